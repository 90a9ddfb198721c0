"""What is wrong with a slice, in plain sentences, and whether a map may be painted on it."""

from __future__ import annotations

import numpy as np

from ..study import LV_CAVITY, LV_MYOCARDIUM
from .frame import lv_centre, short_axis_frame
from .levels import CLOSED, ring_closure
from .phases import NOISE_FACTOR, smooth_cycle
from .score import MIN_SCORE

MIN_LV_MM2 = 150.0
"""Cavity and wall at ED under 14 mm across: thinner than two walls, so not an LV cross-section."""

MIN_CHANGE = 0.03
"""'No motion' needs both a cavity that changes by less than 3 % and an LV outline that overlaps itself
by more than 97 % between ED and ES. An akinetic segment or an ejection fraction of 20 % still moves
its slice by more (area change about 14 %, translation of a millimetre or two); a frozen image does not."""

LEFT_SHARE = 0.3
"""The base descends by 10 to 15 mm in systole; a slice whose LV at ES is smaller than this share of that
at ED then shows the atrium or the aortic root, and no motion of a wall can be read from it."""

BORDER_PIXELS = 1
"""LV within this of the image edge has been cut off by the field of view."""

PLAUSIBLE_LV_MM2 = (300.0, 12000.0)
"""Cavity and wall at ED on a levelled slice: 20 mm across (a child's apex) to 124 mm (extreme dilation)."""

MAX_MOVE_MM = 12.0
MAX_GROWTH = 1.2
"""From ED to ES the LV's centre moves by 3 to 6 mm in the plane, and no cavity of a levelled slice grows
but by a contour's error: even an aneurysm bulges beside wall that contracts."""

MIN_CONTRAST = 1.3
MIN_CLARITY = 0.35
"""Blood in bSSFP is 1.5 or more times as bright as the wall at any vendor. Clarity is
0.5 where the difference of blood and wall equals the sum of both noises, less below."""

TRAINED_FIELD_STRENGTH_T = 3.0

MAX_FAR = 1.0
"""Scores of distance from the training intensities are scaled so that 1 is the last accepted."""

NO_LV = "no LV found"
NO_MOTION = "no motion between ED and ES"
BASE_LEFT = "the LV base has left the slice at end-systole"
FAR_FROM_TRAINING = "intensities are far from those of the training images"
AT_BORDER = "the LV touches the border of the field of view"
OPEN_RING = "the myocardial ring is open (basal outflow)"
IMPLAUSIBLE_AREA = "the LV area is implausible"
IMPLAUSIBLE_MOTION = "the LV moves implausibly between ED and ES (failed contours or mis-gating)"
POOR_CONTRAST = "poor contrast between blood and myocardium"
DOUBTFUL = "the contours are doubtful: low quality score"
NO_INSERTION = "no RV insertion point on any slice, AHA segments not assigned; give --rv-insertions"

LEFT_OUT = frozenset({NO_LV, NO_MOTION, BASE_LEFT, FAR_FROM_TRAINING})
"""Flags with which a slice is not judged and gets no map."""


def slice_flags(
    labels_ed, labels_es, geometries, levels, insertions=None, cavity_mm2=None, images_ed=None
) -> tuple[tuple[tuple[str, ...], ...], np.ndarray]:
    """Flags of every slice that its anatomy gives rise to, and which slices may be judged.

    labels_ed, labels_es  (S, R, C) labels
    levels                S of 'basal', 'mid', 'apical', None
    insertions            (S, 2, 2) RV insertion points, to report when all are missing
    cavity_mm2            (S, P) cavity area curve; with it motion may show in any phase
    images_ed             (S, R, C) the cine at ED, for the contrast

    Returns S tuples of sentences and (S,) bool, False where a flag of LEFT_OUT applies.
    """
    labels_ed, labels_es = np.asarray(labels_ed), np.asarray(labels_es)
    frame = short_axis_frame(geometries)
    no_insertion = insertions is not None and not np.isfinite(insertions).any()
    result = []
    for s, geometry in enumerate(geometries):
        flags = []
        pixel = np.prod(geometry.spacing)
        lv = _lv(labels_ed[s])
        area = lv.sum() * pixel
        if area < MIN_LV_MM2 or not (labels_ed[s] == LV_CAVITY).any():
            flags.append(NO_LV)
        else:
            curve = None if cavity_mm2 is None else cavity_mm2[s]
            if not _moves(labels_ed[s], labels_es[s], curve):
                flags.append(NO_MOTION)
            elif _lv(labels_es[s]).sum() < LEFT_SHARE * lv.sum():
                flags.append(BASE_LEFT)
            edge = np.ones(lv.shape, dtype=bool)
            edge[BORDER_PIXELS:-BORDER_PIXELS, BORDER_PIXELS:-BORDER_PIXELS] = False
            if (lv & edge).any():
                flags.append(AT_BORDER)
            if ring_closure(labels_ed[s], geometry, frame) < CLOSED:
                flags.append(OPEN_RING)
            if levels[s] is not None and not PLAUSIBLE_LV_MM2[0] <= area <= PLAUSIBLE_LV_MM2[1]:
                flags.append(IMPLAUSIBLE_AREA)
            if levels[s] is not None and BASE_LEFT not in flags:
                if not _plausible_motion(labels_ed[s], labels_es[s], geometry, frame.normal):
                    flags.append(IMPLAUSIBLE_MOTION)
            if images_ed is not None and _poor_contrast(images_ed[s], labels_ed[s]):
                flags.append(POOR_CONTRAST)
            if no_insertion:
                flags.append(NO_INSERTION)
        result.append(tuple(flags))
    return tuple(result), _judged(result)


def with_intensities(flags, far_from_training) -> tuple[tuple[tuple[str, ...], ...], np.ndarray]:
    """The flags of `slice_flags` and those of the intensities, and which slices may be judged.

    far_from_training  (S,) score of each slice's intensities, at most 1 when like training; None
                       when the model says nothing of them
    """
    if far_from_training is not None:
        flags = tuple(
            (*own, FAR_FROM_TRAINING) if far > MAX_FAR else own for own, far in zip(flags, far_from_training)
        )
    return flags, _judged(flags)


def joined(*of_kinds) -> tuple[tuple[str, ...], ...]:
    """Flags of several kinds, S tuples each, as one."""
    return tuple(tuple(flag for kind in own for flag in kind) for own in zip(*of_kinds, strict=True))


def score_flags(scores, flags) -> tuple[tuple[str, ...], ...]:
    """S tuples of sentences from S scores of `score.slice_scores`; where the `flags` of `slice_flags` say
    that there is no LV, there are no contours to doubt."""
    return tuple(
        (DOUBTFUL,) if v is not None and v < MIN_SCORE and NO_LV not in own else ()
        for v, own in zip(scores, flags, strict=True)
    )


def field_strength_flags(tesla: float | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(flags of every slice, notes of the study) for a cine's MagneticFieldStrength (0018,0087).

    Native T1 rises with field strength, by about 200 ms from 1.5 to 3 T in myocardium, so a map is
    still made but says that its scale is not that of the patient's scanner.
    """
    if tesla is None:
        return (), ("The field strength of the cine is not known; the map is on the 3 T scale.",)
    if abs(tesla - TRAINED_FIELD_STRENGTH_T) > 0.25:
        return (f"acquired at {tesla:g} T; the map is on the 3 T scale",), ()
    return (), ()


def _judged(flags) -> np.ndarray:
    return np.array([LEFT_OUT.isdisjoint(own) for own in flags])


def _lv(labels: np.ndarray) -> np.ndarray:
    return (labels == LV_MYOCARDIUM) | (labels == LV_CAVITY)


def _plausible_motion(labels_ed, labels_es, geometry, normal) -> bool:
    before, after = ((labels == LV_CAVITY).sum() for labels in (labels_ed, labels_es))
    centres = [lv_centre(_lv(labels) * LV_MYOCARDIUM) for labels in (labels_ed, labels_es)]
    if centres[1] is None:
        return True  # the apex may close and the base may leave: nothing to measure
    way = geometry.to_patient(centres[1]) - geometry.to_patient(centres[0])
    way -= (way @ normal) * normal
    return np.linalg.norm(way) <= MAX_MOVE_MM and after <= MAX_GROWTH * before


def _poor_contrast(image, labels) -> bool:
    blood, wall = image[labels == LV_CAVITY], image[labels == LV_MYOCARDIUM]
    if not wall.size:
        return False
    middles = [float(np.median(values)) for values in (blood, wall)]
    # the MAD of normal noise is SD / 1.4826
    noise = sum(1.4826 * float(np.median(np.abs(v - m))) for v, m in zip((blood, wall), middles))
    difference = middles[0] - middles[1]
    return middles[0] < MIN_CONTRAST * middles[1] or difference < MIN_CLARITY * (difference + noise)


def _moves(labels_ed, labels_es, curve_mm2) -> bool:
    cavities = (labels_ed == LV_CAVITY, labels_es == LV_CAVITY)
    areas, error = np.array([c.sum() for c in cavities], dtype=np.float64), 0.0
    if curve_mm2 is not None:
        areas, error = smooth_cycle(curve_mm2)
    if areas.max() > 0 and np.ptp(areas) >= max(MIN_CHANGE * areas.max(), NOISE_FACTOR * error):
        return True
    overlaps = [
        2 * (a & b).sum() / max(a.sum() + b.sum(), 1) for a, b in (cavities, (_lv(labels_ed), _lv(labels_es)))
    ]
    return min(overlaps) < 1 - MIN_CHANGE
