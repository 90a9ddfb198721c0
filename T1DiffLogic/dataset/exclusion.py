"""Why a slice pair is not learned from: the paper's "poor quality, inconsistent slice positions", measured.

Every reason is one sentence of excluded.csv. Limits are generous: a pair is left out when its map and its
cine cannot be of the same wall, or the map is no measurement, not because it looks unusual.
"""

from __future__ import annotations

import numpy as np

from ..anatomy.quality import AT_BORDER, IMPLAUSIBLE_AREA, LEFT_OUT
from ..study import LV_CAVITY, LV_MYOCARDIUM

NOT_LEARNED_FROM = LEFT_OUT | {AT_BORDER, IMPLAUSIBLE_AREA}
"""Flags of anatomy.quality with which a cine slice enters no pair."""

MIN_DICE = 0.70
"""LV (cavity and wall) of cine and map after alignment. Shapes of one LV one slice (8 to 10 mm) apart still
overlap by 0.85 at mid level and by 0.7 towards the apex; less is another position or a failed contour."""

WALL_MS = (800.0, 1700.0)
"""Median native T1 of a whole wall: from a healthy one at 1.5 T (about 950 ms, 3 SD below) to one that
amyloid or an infarct fills at 3 T."""

FIT_MS = (300.0, 2200.0)
"""A pixel of myocardium outside has no fit; the rest of the wall still counts."""

MAX_FAILED = 0.25
"""Share of the wall's pixels without a fit, or without any value, above which a map is of poor quality."""

MAX_WALL_IQR_MS = 400.0
"""Interquartile range of T1 in the wall under its own contours. Noise and the largest infarct together stay
below 250 ms; motion between the inversion images or contours beside the wall go beyond."""

MIN_CONTRAST = 1.1
"""Median cine signal of the cavity over that of the wall at ED: bSSFP at any vendor has 1.5 or more, and a
frame where blood and wall are alike was not contoured by what it shows."""

MIN_WALL_PIXELS = 40
"""A wall of fewer 1.4 mm pixels (0.8 cm²) has no T1 worth a median."""


def cine_reason(flags: tuple[str, ...], level: str | None, frame: np.ndarray, labels: np.ndarray) -> str:
    """Why the cine slice cannot be used, or "".

    flags, level  of anatomy.quality and anatomy.levels;  frame, labels  (H, W) at ED
    """
    bad = [flag for flag in flags if flag in NOT_LEARNED_FROM]
    if bad:
        return f"poor quality of the cine: {bad[0]}."
    if level is None:
        return "the slice lies outside the closed ring of the LV (above the base or beyond the apex)."
    contrast = _median(frame, labels == LV_CAVITY) / max(_median(frame, labels == LV_MYOCARDIUM), 1e-6)
    if contrast < MIN_CONTRAST:
        return (
            f"poor quality of the cine: blood is only {contrast:.2f} times as bright as the wall "
            f"(at least {MIN_CONTRAST:g} expected)."
        )
    return ""


def pair_reason(labels_ed: np.ndarray, labels_t1: np.ndarray, t1_ms: np.ndarray, placed: str) -> str:
    """Why a matched and aligned pair cannot be used, or "".

    labels_ed, labels_t1  (H, W) contours of cine and map on one grid;  t1_ms  (H, W), 0 = no value
    placed                the alignment's own sentence on this slice
    """
    wall = labels_t1 == LV_MYOCARDIUM
    if not _lv(labels_t1).any() or not (labels_t1 == LV_CAVITY).any():
        return "poor quality of the native map: no LV was found on it."
    if "not plausible" in placed:
        return f"inconsistent slice position: {placed.rpartition(': ')[2]}"
    overlap = dice(_lv(labels_ed), _lv(labels_t1))
    if overlap < MIN_DICE:
        return (
            "inconsistent slice position, or the contours failed: the LV on the native map and on the cine "
            f"overlap with a Dice of {overlap:.2f} only (at least {MIN_DICE:g} expected)."
        )
    if wall.sum() < MIN_WALL_PIXELS:
        return f"poor quality of the native map: its myocardium has {int(wall.sum())} pixels only."
    # the contours end where the map has no value, so holes are counted under the cine's contours
    missing = float((t1_ms[labels_ed == LV_MYOCARDIUM] <= 0).mean())
    values = t1_ms[wall]
    failed = max(missing, float(((values < FIT_MS[0]) | (values > FIT_MS[1])).mean()))
    if failed > MAX_FAILED:
        return f"poor quality of the native map: {failed:.0%} of the wall has no plausible T1."
    low, middle, high = np.percentile(values, (25, 50, 75))
    if not WALL_MS[0] <= middle <= WALL_MS[1]:
        return (
            f"implausible native map: the median T1 of the wall is {middle:.0f} ms "
            f"({WALL_MS[0]:.0f} to {WALL_MS[1]:.0f} expected)."
        )
    if high - low > MAX_WALL_IQR_MS:
        return (
            f"poor quality of the native map: T1 scatters over {high - low:.0f} ms (interquartile range) "
            f"in the wall (up to {MAX_WALL_IQR_MS:.0f} expected)."
        )
    return ""


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """2 |a ∩ b| / (|a| + |b|) of two masks; 0 when both are empty."""
    return float(2 * (a & b).sum() / max(a.sum() + b.sum(), 1))


def _lv(labels: np.ndarray) -> np.ndarray:
    return (labels == LV_MYOCARDIUM) | (labels == LV_CAVITY)


def _median(image: np.ndarray, where: np.ndarray) -> float:
    return float(np.median(image[where])) if where.any() else 0.0
