"""The AHA-16 table as a structured report: TID 1500, one TID 1411 group per segment."""

from __future__ import annotations

import numpy as np
from highdicom.seg import Segmentation
from highdicom.sr import (
    AlgorithmIdentification,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    ReferencedSegment,
    SourceImageForMeasurement,
    SourceImageForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from . import codes as concepts
from .edition import MANUFACTURER, Edition
from .segmentations import measured_aha
from .source import SourceImage


def measurement_report(edition: Edition, segmentation: Segmentation, t1_map: Dataset) -> Comprehensive3DSR:
    """Mean, SD, uncertainty (when there are samples) and number of pixels of every measured AHA segment.

    segmentation  the AHA segments as they are filed, to which the groups refer
    t1_map        the Parametric Map on which they were measured

    A segment without judged pixels has no group.
    """
    synthesis = edition.synthesis
    measured = measured_aha(synthesis)
    groups = [
        _group(row, edition, segmentation, t1_map, np.flatnonzero((measured == row["id"]).any(axis=(1, 2))))
        for row in edition.segments
        if row["n"]
    ]
    device = DeviceObserverIdentifyingAttributes(
        uid=edition.uid("device"),
        name="T1Diff",
        manufacturer_name=MANUFACTURER,
        model_name=edition.model,
        serial_number=edition.weights[:16],
    )
    context = ObservationContext(
        observer_device_context=ObserverContext(observer_type=codes.DCM.Device,
                                                observer_identifying_attributes=device)
    )  # fmt: skip
    report = MeasurementReport(
        observation_context=context,
        procedure_reported=codes.cid100.MRIUnspecifiedBodyRegion,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    names = edition.names("measurements")
    result = Comprehensive3DSR(
        evidence=[*_evidence(edition), segmentation, t1_map],
        content=report[0],
        is_complete=True,
        coding_schemes=[concepts.OWN_SCHEME_ITEM],
        **names,
    )
    return edition.finish(result, is_image=False)


def _group(row, edition: Edition, segmentation, t1_map, slices):
    identifier = f"SYNTHETIC T1, AHA {row['id']} {row['name']}"
    p = edition.synthesis.provenance
    algorithm = AlgorithmIdentification(
        name="T1Diff (synthetic T1, research only)",
        version=f"{edition.version}, model {edition.model}",
        parameters=[
            f"weights_sha256={edition.weights}",
            *(f"{key}={p[key]}" for key in ("sampler", "steps", "samples", "seed")),
        ],
    )
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=edition.uid("tracking", f"AHA {row['id']} {row['name']}"), identifier=identifier
        ),
        referenced_segment=ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=row["id"],
            source_images=[_for_segmentation(edition.source.images[s]) for s in slices],
        ),
        finding_type=concepts.LV_MYOCARDIUM_CODE,
        finding_sites=[FindingSite(concepts.AHA_SITES[row["id"] - 1])],
        algorithm_id=algorithm,
        measurements=_measurements(row, t1_map, [int(s) + 1 for s in slices]),
    )


def _measurements(row, t1_map, frames) -> list[Measurement]:
    place = SourceImageForMeasurement(t1_map.SOPClassUID, t1_map.SOPInstanceUID, frames)
    result = [
        Measurement(concepts.T1, row["mean_ms"], concepts.MILLISECOND, derivation=concepts.MEAN,
                    referenced_images=[place]),
        Measurement(concepts.T1, row["sd_ms"], concepts.MILLISECOND,
                    derivation=concepts.STANDARD_DEVIATION),
        Measurement(concepts.PIXEL_COUNT, row["n"], concepts.NO_UNITS),
    ]  # fmt: skip
    if row["uncertainty_ms"] is not None:
        result.append(Measurement(concepts.UNCERTAINTY, row["uncertainty_ms"], concepts.MILLISECOND))
    return result


def _for_segmentation(image: SourceImage) -> SourceImageForSegmentation:
    frames = None if image.frame is None else [image.frame]
    return SourceImageForSegmentation(image.sop_class, image.sop_instance, frames)


def _evidence(edition: Edition) -> list[Dataset]:
    """The source instances under their true names, each once, the first with patient and study."""
    found = {}
    for image, header in zip(edition.source.images, edition.source.headers, strict=True):
        if image.sop_instance not in found:
            item = Dataset(header)
            item.SOPClassUID, item.SOPInstanceUID = image.sop_class, image.sop_instance
            item.SeriesInstanceUID = image.series
            found[image.sop_instance] = item
    return list(found.values())
