"""LV volumes, ejection fraction, mass and wall thickening from ED and ES labels."""

from __future__ import annotations

import numpy as np

from ..study import LV_CAVITY, LV_MYOCARDIUM
from .aha import sector, septal_course
from .frame import lv_centre, radial_profiles, short_axis_frame, slice_positions, wrap

MYOCARDIAL_DENSITY = 1.05
"""g/ml, the convention of cardiac MR mass (Schulz-Menger et al., JCMR 2020;22:19)."""

MIN_WALL_MM = 1.0
"""A ray that meets less wall than this passed through a hole of the label or an open ring."""

RAY_STEP_MM = 0.25


def slice_heights(geometries) -> np.ndarray:
    """(S,) mm of the stack that each slice stands for: half the way to either neighbour.

    The two end slices extend outward as far as inward; a single slice counts its own thickness.
    """
    if len(geometries) == 1:
        return np.array([geometries[0].thickness_mm])
    position = slice_positions(geometries)
    order = np.argsort(position)
    gap = np.diff(position[order])
    heights = np.empty(len(position))
    heights[order] = (np.append(gap[0], gap) + np.append(gap, gap[-1])) / 2
    return heights


def volume_ml(labels, value: int, geometries) -> float:
    """(S, R, C) labels -> ml of label `value` by disk summation over non-uniform slice distances."""
    heights = slice_heights(geometries) * np.array([np.prod(g.spacing) for g in geometries])
    return float((np.asarray(labels) == value).sum(axis=(1, 2)) @ heights / 1000)


def ventricular_function(labels_ed, labels_es, geometries) -> dict[str, float | None]:
    """(S, R, C) labels at ED and ES -> edv_ml, esv_ml, ef_percent, mass_g (at ED).

    Every labelled slice counts; ef_percent is None without a cavity at ED.
    """
    edv, esv = (volume_ml(labels, LV_CAVITY, geometries) for labels in (labels_ed, labels_es))
    return {
        "edv_ml": edv,
        "esv_ml": esv,
        "ef_percent": 100 * (edv - esv) / edv if edv > 0 else None,
        "mass_g": MYOCARDIAL_DENSITY * volume_ml(labels_ed, LV_MYOCARDIUM, geometries),
    }


def wall_thickening(labels_ed, labels_es, insertions, levels, geometries) -> np.ndarray:
    """(16,) systolic wall thickening in percent per AHA segment, NaN where it cannot be measured.

    The wall is measured along rays from the cavity centroid of each phase; the segment of a ray is
    that of its patient-space angle at ED (systolic twist, about 10° in plane, is not followed).
    Thickness is averaged over all rays and slices of a segment before ED and ES are compared.
    """
    course = septal_course(labels_ed, insertions, geometries)
    if course is None:
        return np.full(16, np.nan)
    anterior, width, turn = course
    frame = short_axis_frame(geometries)
    angles = np.radians(np.arange(0, 360, 3))
    total, rays = np.zeros((2, 17)), np.zeros(17)
    for s, (level, geometry) in enumerate(zip(levels, geometries)):
        if level is None:
            continue
        walls = np.array([wall_along_rays(a[s], geometry, frame, angles) for a in (labels_ed, labels_es)])
        through = (turn * wrap(angles - anterior[s])) % (2 * np.pi)
        number = sector(through, level, width[s], "equal")
        seen = (walls >= MIN_WALL_MM).all(axis=0)
        rays += np.bincount(number[seen], minlength=17)
        for phase in range(2):
            total[phase] += np.bincount(number[seen], walls[phase][seen], minlength=17)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(rays > 0, 100 * (total[1] - total[0]) / total[0], np.nan)[1:]


def wall_along_rays(labels, geometry, frame, angles) -> np.ndarray:
    """(A,) mm of LV myocardium along each ray; 0 where the slice shows no LV."""
    centre = lv_centre(labels)
    if centre is None:
        return np.zeros(angles.size)
    wall = labels == LV_MYOCARDIUM
    return RAY_STEP_MM * radial_profiles(
        wall, geometry, centre, frame, angles, np.arange(RAY_STEP_MM / 2, 80, RAY_STEP_MM)
    ).sum(axis=1)
