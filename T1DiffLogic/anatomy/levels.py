"""Basal, mid and apical: which third of the LV a short-axis slice shows."""

from __future__ import annotations

import numpy as np

from ..study import LV_CAVITY, LV_MYOCARDIUM, RV
from .frame import APEX, lv_centre, mean_normal, radial_profiles, short_axis_frame, slice_positions

LEVELS = ("basal", "mid", "apical")

CLOSED = 0.75
"""Share of the circumference with myocardium from which a ring counts as closed; below, the slice
shows the outflow tract or the mitral valve (domain: levels start at the first closed ring)."""

MIN_CAVITY_MM2 = 20.0
"""A cavity under 5 mm across at ED is below the resolution of a cine."""

PLACEMENT = 0.15
"""Weight of the usual placement of the heart beside the lean of the areas. A whole ventricle with its RV
leans by 0.25 to 0.35 of its length and overrules it; a mid-ventricular slab or a stack whose basal
contours fail leans by less than 0.1 and does not."""


def ring_closure(labels: np.ndarray, geometry, frame) -> float:
    """(R, C) labels -> share of directions from the cavity centroid that meet LV myocardium, 0 to 1."""
    centre = lv_centre(labels)
    if centre is None or not (labels == LV_CAVITY).any():
        return 0.0
    angles = np.radians(np.arange(0, 360, 3))
    radii = np.arange(0, 80, 0.5)
    wall = radial_profiles(labels == LV_MYOCARDIUM, geometry, centre, frame, angles, radii)
    return float((wall.max(axis=1) >= 0.5).mean())


def base_to_apex(labels, geometries) -> int:
    """(S, R, C) ED labels -> +1 when the slices run from base to apex along the stack normal, else -1.

    The base is the side to which the areas of LV and RV lean, measured from the middle of the LV
    in parts of its length; the usual placement in the patient, apex left, anterior and inferior,
    has a smaller say, and the only one in a single slice.
    """
    labels = np.asarray(labels)
    position = slice_positions(geometries)
    pixel = np.array([np.prod(g.spacing) for g in geometries])
    lv = ((labels == LV_MYOCARDIUM) | (labels == LV_CAVITY)).sum(axis=(1, 2)) * pixel
    rv = (labels == RV).sum(axis=(1, 2)) * pixel
    lean = -PLACEMENT * float(mean_normal(geometries) @ APEX)
    seen = position[lv > MIN_CAVITY_MM2]
    if seen.size >= 2:
        middle, length = (seen.max() + seen.min()) / 2, seen.max() - seen.min()
        for area in (lv, np.where(lv > MIN_CAVITY_MM2, rv, 0.0)):
            if area.sum() > 0:
                lean += (area @ position / area.sum() - middle) / length
    return -1 if lean > 0 else 1


def slice_levels(labels, geometries) -> tuple[str | None, ...]:
    """(S, R, C) ED labels -> S of 'basal', 'mid', 'apical', or None outside the LV.

    The LV runs from the first slice, from the base, whose myocardial ring is at least 75 % closed
    to the last with a cavity, half a slice gap beyond each; it is cut in thirds by position in mm
    and a slice belongs to the third that holds its centre. So three slices are basal, mid, apical,
    two are basal and apical, one is mid.
    """
    labels = np.asarray(labels)
    frame = short_axis_frame(geometries)
    position = slice_positions(geometries) * base_to_apex(labels, geometries)
    order = np.argsort(position)
    closed = np.array([ring_closure(a, g, frame) >= CLOSED for a, g in zip(labels, geometries)])
    cavity = np.array([(a == LV_CAVITY).sum() * np.prod(g.spacing) for a, g in zip(labels, geometries)])
    levels: list[str | None] = [None] * len(labels)
    starts = [k for k, s in enumerate(order) if closed[s]]
    ends = [k for k, s in enumerate(order) if cavity[s] >= MIN_CAVITY_MM2]
    if not starts or not ends or ends[-1] < starts[0]:
        return tuple(levels)
    inside = order[starts[0] : ends[-1] + 1]
    at = position[inside]
    if at.size == 1:
        levels[inside[0]] = "mid"
        return tuple(levels)
    top = at[0] - (at[1] - at[0]) / 2
    length = at[-1] + (at[-1] - at[-2]) / 2 - top
    # the small allowance keeps a slice that lies on a border, as in even stacks, on one side of it
    third = np.clip(np.floor(3 * (at - top) / length + 1e-6), 0, 2).astype(int)
    for s, t in zip(inside, third):
        levels[s] = LEVELS[t]
    return tuple(levels)
