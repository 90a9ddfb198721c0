"""One patient: cine and native T1 map become aligned pairs of slices, or sentences on why not.

Everything after the cine's segmentation happens on the grid that the networks see, 128 × 128 pixels of
1.4 mm around the LV: the map is interpolated once, from its own pixels onto these.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..anatomy.aha import aha_labels
from ..anatomy.alignment import MAX_DISTANCE_MM, MAX_TILT_DEG, T1Alignment, align_t1
from ..anatomy.frame import lv_centre
from ..anatomy.levels import base_to_apex
from ..anatomy.phase_sampling import engine_phases
from ..anatomy.roi import Roi
from ..anatomy.segmenter import Segmenter
from ..errors import StudyError
from ..progress import Progress
from ..segmentation import StudyAnatomy, segment
from ..study import Cine, T1Map
from .contours import t1_contours
from .exclusion import cine_reason, pair_reason

HALF_PRECISION_TOP = 32768.0
"""Scanner units above it are halved until they fit, as float16 ends at 65504."""


@dataclass(frozen=True)
class PairingOptions:
    """What decides the content of a patient's file.

    cine_phases  P, at least 3: ED first, ES at P − 2 (anatomy.phase_sampling)
    all_phases   whether the file also holds all phases of the cine, for the choice of ED and ES
    pictures     whether a picture per pair is drawn
    """

    cine_phases: int = 5
    all_phases: bool = True
    pictures: bool = True

    def __post_init__(self):
        if self.cine_phases < 3:
            raise StudyError(f"{self.cine_phases} cine phases are too few; ED, ES and one more are needed.")


@dataclass(frozen=True, eq=False)
class PhantomTruth:
    """What is known of a digital patient besides its two examinations; maps on the grid of its T1 slices.

    labels                 (S, P, R, C) uint8 true labels of the cine
    repeat                 a second T1 scan
    truth_ms, expected_ms  (N, R, C) without noise; of the same anatomy in an average person
    scar                   (N, R, C) share of infarct core
    """

    seed: int
    infarcted: bool
    labels: np.ndarray
    repeat: T1Map
    truth_ms: np.ndarray
    expected_ms: np.ndarray
    scar: np.ndarray


@dataclass(frozen=True, eq=False)
class Examination:
    """What a patient's source gives: cine and native map, notes on both, the truth of a digital patient."""

    cine: Cine
    t1: T1Map
    truth: PhantomTruth | None = None


@dataclass(frozen=True, eq=False)
class PatientPairs:
    """What became of one patient.

    record    the arrays of pairs.FIELDS, without `patient`; None when no slice is left
    rows      one dict per kept slice, the columns of pairs.csv without patient and split
    excluded  (slice, sentence): slice "" for the patient, "4" of the cine, "T1 1" of the map
    """

    record: dict | None
    rows: list[dict]
    excluded: list[tuple[str, str]] = field(default_factory=list)


def pair_patient(
    exam: Examination, segmenter: Segmenter, options: PairingOptions, progress: Progress | None = None
) -> PatientPairs:
    """Aligned pairs of every cine slice that has a T1 slice, base to apex.

    progress  as of a synthesis; raise errors.Cancelled from it to stop

    Raises StudyError when no LV is found on the cine or it does not move.
    """
    cine, t1 = exam.cine, exam.t1
    anatomy = segment(cine, progress=progress, segmenter=segmenter)
    masks = anatomy.segmentation
    roi = Roi.around(masks.labels_ed, cine.geometries)
    crop = Crop.of(cine, anatomy, roi)
    t1_labels = t1_contours(t1, segmenter)
    aligned = align_t1(t1, crop.cine, t1_labels, crop.labels_ed)
    excluded = unmatched(t1, crop, aligned)
    kept = []
    for s in np.flatnonzero(aligned.matched >= 0):
        reason = cine_reason(
            anatomy.flags[s],
            anatomy.levels[s],
            crop.cine.images[s, anatomy.phases.ed],
            crop.labels_ed[s],
        ) or pair_reason(crop.labels_ed[s], aligned.labels[s], aligned.native_ms[s], aligned.notes[s])
        if reason:
            excluded.append((str(s), _sentence(reason)))
        else:
            kept.append(int(s))
    if not kept:
        return PatientPairs(None, [], excluded)
    if base_to_apex(masks.labels_ed, cine.geometries) < 0:
        kept = kept[::-1]
    record = crop.record(kept, anatomy, aligned, options)
    if exam.truth is not None:
        record |= _truth(exam.truth, crop, roi, kept, anatomy, t1, t1_labels, segmenter)
    rows = [_row(s, anatomy, crop, aligned, t1, record, k) for k, s in enumerate(kept)]
    return PatientPairs(record, rows, excluded)


@dataclass(frozen=True, eq=False)
class Crop:
    """A study on the grid of its region of interest.

    cine              all phases;  labels_ed (S, H, W);  soft_ed, soft_es (S, 4, H, W) sum to one
    insertions        (S, 2, 2) RV insertion points on this grid
    """

    cine: Cine
    labels_ed: np.ndarray
    labels_es: np.ndarray
    soft_ed: np.ndarray
    soft_es: np.ndarray
    insertions: np.ndarray

    @classmethod
    def of(cls, cine: Cine, anatomy: StudyAnatomy, roi: Roi) -> Crop:
        masks = anatomy.segmentation
        soft_ed, soft_es = (_soft(roi.extract(m)) for m in (masks.ed, masks.es))
        geometries = roi.roi_geometries
        points = np.stack(
            [
                own.to_pixel(source.to_patient(p))
                for own, source, p in zip(geometries, cine.geometries, masks.rv_insertions)
            ]
        )
        return cls(
            cine=Cine(roi.extract(cine.images), geometries, cine.trigger_ms, cine.source),
            labels_ed=soft_ed.argmax(axis=1).astype(np.uint8),
            labels_es=soft_es.argmax(axis=1).astype(np.uint8),
            soft_ed=soft_ed,
            soft_es=soft_es,
            insertions=points,
        )

    def record(self, kept, anatomy: StudyAnatomy, aligned: T1Alignment, options: PairingOptions) -> dict:
        """The fields that every patient has, of the slices `kept`."""
        phases, geometries = anatomy.phases, self.cine.geometries
        chosen = engine_phases(phases.ed, phases.es, phases.count, options.cine_phases)
        # slices outside the kept ones help to lay out the segments, as in a synthesis
        aha, aha_t1 = (
            aha_labels(labels, self.insertions, anatomy.levels, geometries)
            for labels in (self.labels_ed, aligned.labels)
        )
        images = halved(self.cine.images[kept])
        record = {
            "slices": np.array(kept),
            "level": np.array([anatomy.levels[s] for s in kept]),
            "phases": chosen,
            "ed": phases.ed,
            "es": phases.es,
            "cine": images[:, chosen].astype(np.float16),
            "labels_ed": self.labels_ed[kept],
            "labels_es": self.labels_es[kept],
            "soft_ed": self.soft_ed[kept].astype(np.float16),
            "soft_es": self.soft_es[kept].astype(np.float16),
            "rv_insertions": self.insertions[kept],
            "t1_ms": aligned.native_ms[kept],
            "labels_t1": aligned.labels[kept],
            "aha": aha[kept],
            "aha_t1": aha_t1[kept],
            "origin_mm": np.array([geometries[s].origin for s in kept]),
            "row": np.array([geometries[s].row_direction for s in kept]),
            "column": np.array([geometries[s].column_direction for s in kept]),
            "pixel_mm": geometries[0].spacing[0],
        }
        return record | ({"cine_all": images.astype(np.float16)} if options.all_phases else {})


def unmatched(t1: T1Map, crop: Crop, aligned: T1Alignment) -> list[tuple[str, str]]:
    """A sentence for every T1 slice that no cine slice was paired with."""
    result = []
    targets = crop.cine.geometries
    for n in sorted(set(range(t1.n_slices)) - set(aligned.matched.tolist())):
        source = t1.geometries[n]
        # distances are taken at the heart, as in the alignment: tilted planes part away from it
        near = [
            abs(float(source.distance(target.centre if centre is None else target.to_patient(centre))))
            for target, centre in ((g, lv_centre(a)) for g, a in zip(targets, crop.labels_ed))
            if abs(target.normal @ source.normal) >= np.cos(np.radians(MAX_TILT_DEG))
        ]
        if not near:
            reason = f"no cine slice is within {MAX_TILT_DEG:.0f}° of the plane of the T1 slice."
        elif min(near) > MAX_DISTANCE_MM:
            reason = f"the nearest cine slice is {min(near):.1f} mm away from the T1 slice."
        else:
            reason = "the nearest cine slice is nearer to another T1 slice."
        result.append((f"T1 {n}", _sentence(f"inconsistent slice position: {reason}")))
    return result


def halved(images: np.ndarray) -> np.ndarray:
    """Images whose largest value half precision can hold: divided by a power of two where needed."""
    top = float(np.abs(images).max())
    return images / 2.0 ** np.ceil(np.log2(top / HALF_PRECISION_TOP)) if top > HALF_PRECISION_TOP else images


def moved_alike(values: np.ndarray, t1: T1Map, crop: Crop, t1_labels, scale: float = 1.0) -> np.ndarray:
    """(N, R, C) values ≥ 0 on the T1 slices, moved onto the crop as the map itself; 0 outside it."""
    # an alignment reads 0 as "no value", so everything is lifted by one for the way
    lifted = T1Map(1.0 + scale * np.asarray(values), t1.geometries)
    moved = align_t1(lifted, crop.cine, t1_labels, crop.labels_ed).native_ms
    return np.maximum(moved - 1.0, 0.0) / scale


def _truth(truth: PhantomTruth, crop, roi, kept, anatomy, t1, labels, segmenter) -> dict:
    again = t1_contours(truth.repeat, segmenter)
    repeat = align_t1(truth.repeat, crop.cine, again, crop.labels_ed)
    aha = aha_labels(repeat.labels, crop.insertions, anatomy.levels, crop.cine.geometries)
    ed, es = (
        roi.extract(truth.labels[:, p], order=0).astype(np.uint8)
        for p in (anatomy.phases.ed, anatomy.phases.es)
    )
    return {
        "seed": truth.seed,
        "infarcted": int(truth.infarcted),
        "true_labels_ed": ed[kept],
        "true_labels_es": es[kept],
        "t1_repeat_ms": repeat.native_ms[kept],
        "labels_t1_repeat": repeat.labels[kept],
        "aha_t1_repeat": aha[kept],
        "t1_truth_ms": moved_alike(truth.truth_ms, t1, crop, labels)[kept],
        "t1_expected_ms": moved_alike(truth.expected_ms, t1, crop, labels)[kept],
        "scar": moved_alike(truth.scar, t1, crop, labels, 1000.0)[kept].astype(np.float16),
    }


def _row(s: int, anatomy, crop: Crop, aligned, t1: T1Map, record: dict, k: int) -> dict:
    geometry, source = crop.cine.geometries[s], t1.geometries[int(aligned.matched[s])]
    centre = lv_centre(crop.labels_ed[s])
    heart = geometry.to_patient(centre)
    normal = crop.cine.geometries[0].normal
    return {
        "slice": s,
        "level": anatomy.levels[s],
        "cine_z_mm": round(float(geometry.centre @ normal), 2),
        "t1_z_mm": round(float(source.centre @ normal), 2),
        "distance_mm": round(abs(float(source.distance(heart))), 2),
        "shift_row_mm": round(float(aligned.shift_mm[s, 0]), 2),
        "shift_col_mm": round(float(aligned.shift_mm[s, 1]), 2),
        "n_myocardium": int((record["labels_t1"][k] == 2).sum()),
        "flags": "; ".join(anatomy.flags[s]),
    }


def _soft(masks: np.ndarray) -> np.ndarray:
    """(S, 4, H, W) probabilities that sum to one; what lies beyond the image is background."""
    masks = np.clip(masks, 0.0, 1.0)
    masks[:, 0] = 1.0 - np.minimum(masks[:, 1:].sum(axis=1), 1.0)
    return masks


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
