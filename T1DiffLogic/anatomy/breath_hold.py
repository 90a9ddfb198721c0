"""Slices that the breath-hold has moved: their LV lies beside the line through the LV of the others."""

from __future__ import annotations

import numpy as np

from ..errors import StudyError
from ..study import LV_CAVITY, LV_MYOCARDIUM
from .frame import centroid, slice_positions
from .roi import lv_centre_line

SHIFT_MM = 7.0
END_SHIFT_MM = 12.0
"""Of the experts' cavities of 33 people (Radau et al. 2009) 1 slice in 20 lies 7 mm or more beside the line
through the others, half of them 2 mm. At either end, where the line is only carried on and the section
is of the apex or of the outflow tract, 1 in 20 lies 11 mm beside it."""

MIN_SLICES = 4
"""With fewer, a line through the others says nothing."""


def shifts_mm(labels, geometries) -> np.ndarray:
    """(S, R, C) labels of one phase -> (S,) mm in the plane from the LV's centre to the line through
    the centres of the other slices, NaN without an LV or among fewer than MIN_SLICES with one."""
    lv = np.isin(labels, (LV_MYOCARDIUM, LV_CAVITY))
    offsets = np.full(len(lv), np.nan)
    seen = np.flatnonzero(lv.any(axis=(1, 2)))
    if seen.size < MIN_SLICES:
        return offsets
    for s in seen:
        others = lv.copy()
        others[s] = False
        try:
            expected = lv_centre_line(others, geometries)[s]
        except StudyError:  # what is left is too small to steer by
            continue
        away = (centroid(lv[s]) - expected) * geometries[s].spacing
        offsets[s] = np.hypot(*away)
    return offsets


def breath_hold_flags(labels_ed, labels_es, geometries, levels) -> tuple[tuple[str, ...], ...]:
    """S tuples of sentences; a shift shows at ED and at ES alike, else contours of one phase failed.

    levels  S of 'basal', 'mid', 'apical', None; slices outside the LV are not judged
    """
    levelled = np.array([level is not None for level in levels])
    both = []
    for labels in (labels_ed, labels_es):
        both.append(shifts_mm(np.where(levelled[:, None, None], labels, 0), geometries))
    offset = np.minimum(*both)
    flags: list[tuple[str, ...]] = [() for _ in levels]
    seen = np.flatnonzero(np.isfinite(offset))
    if seen.size:
        position = slice_positions(geometries)[seen]
        ends = seen[[position.argmin(), position.argmax()]]
        for s in seen:
            if offset[s] > (END_SHIFT_MM if s in ends else SHIFT_MM):
                flags[s] = (
                    f"shifted by {offset[s]:.0f} mm in the plane against the other slices "
                    "(another breath-hold, or failed contours)",
                )
    return tuple(flags)
