"""The LV at end-diastole and the measured AHA segments as BINARY Segmentation objects."""

from __future__ import annotations

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from matplotlib import colormaps

from ..nrrd_files import LABEL_COLOURS
from ..study import LABEL_NAMES, Synthesis
from . import codes
from .edition import CREATOR, NO_VALUE, Edition
from .references import refer_to_source, true_planes


def lv_segmentation(edition: Edition) -> Segmentation:
    """RV, LV myocardium and LV cavity at ED, segments 1 to 3, in the pixels of the cine."""
    provenance = edition.synthesis.provenance["segmenter"]
    algorithm = AlgorithmIdentificationSequence(
        name=str(provenance["name"]),
        family=codes.ARTIFICIAL_INTELLIGENCE,
        version=edition.version or "unknown",
        source="T1Diff",
        parameters={"weights_sha256": str(provenance["weights_sha256"])},
    )
    descriptions = [
        _description(edition, number, name, codes.STRUCTURES[number], algorithm, LABEL_COLOURS[number])
        for number, name in LABEL_NAMES.items()
    ]
    labels = edition.synthesis.segmentation.labels_ed
    return _segmentation(labels, "segmentation", "LV_ED", "RV and LV at end-diastole", descriptions, edition)


def aha_segmentation(edition: Edition) -> Segmentation:
    """The pixels that were measured: AHA segment 1 to 16 of the trimmed myocardium, segment number alike."""
    algorithm = AlgorithmIdentificationSequence(
        name="T1Diff AHA segments", family=codes.ARTIFICIAL_INTELLIGENCE, version=edition.version or "unknown"
    )
    palette = colormaps["tab20"].colors
    descriptions = [
        _description(edition, number, f"AHA {number} {row['name']}", site, algorithm, palette[number - 1])
        for number, (row, site) in enumerate(zip(edition.segments, codes.AHA_SITES, strict=True), start=1)
    ]
    what = f"Myocardium whose T1 was measured; {NO_VALUE}"
    return _segmentation(measured_aha(edition.synthesis), "aha", "AHA_16", what, descriptions, edition)


def measured_aha(synthesis: Synthesis) -> np.ndarray:
    """(S, R, C) uint8 AHA segment of each pixel that has a value, as statistics.segment_table counts them."""
    return np.where(synthesis.valid.astype(bool), synthesis.aha, 0).astype(np.uint8)


def _description(edition, number, label, kind, algorithm, colour) -> SegmentDescription:
    return SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.ANATOMICAL_STRUCTURE,
        segmented_property_type=kind,
        algorithm_type="SEMIAUTOMATIC" if is_reviewed(edition.synthesis) else "AUTOMATIC",
        algorithm_identification=algorithm,
        tracking_uid=edition.uid("tracking", label),
        tracking_id=label,
        display_color=CIELabColor.from_rgb(*(255 * c for c in colour)),
    )


def is_reviewed(synthesis: Synthesis) -> bool:
    """True when a person put labels in place of the network's (segmentation.StudyAnatomy.notes)."""
    return any(note.startswith("Labels of phase") for note in synthesis.provenance.get("notes", []))


def _segmentation(labels, role, label, what, descriptions, edition: Edition) -> Segmentation:
    result = Segmentation(
        source_images=edition.source.headers,
        pixel_array=np.asarray(labels, dtype=np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=descriptions,
        content_label=label,
        content_description=what,
        content_creator_name=CREATOR,
        **edition.names(role),
    )
    true_planes(result, edition.synthesis.cine.geometries)
    refer_to_source(result, edition.source)
    return edition.finish(result)
