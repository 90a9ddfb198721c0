"""The 16 myocardial segments of the American Heart Association (Cerqueira et al., Circulation 2002;
105:539), laid out in patient space.

From the anterior RV insertion (the border 1|2) through the septum: 2, 3, then 4 inferior,
5 inferolateral, 6 anterolateral, 1 anterior; 7 to 12 alike; the apical four have 14 centred on
the mid-septum. Which way "through the septum" turns in an image follows from where the
insertions lie in the patient, never from the display.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from ..study import LV_CAVITY, LV_MYOCARDIUM
from .frame import lv_centre, pixel_points, short_axis_frame, slice_positions, wrap
from .levels import base_to_apex

WALLS = ("anterior", "anteroseptal", "inferoseptal", "inferior", "inferolateral", "anterolateral")

NAMES = tuple(
    [f"{level} {wall}" for level in ("basal", "mid") for wall in WALLS]
    + [f"apical {wall}" for wall in ("anterior", "septal", "inferior", "lateral")]
)
"""Names of segments 1 to 16."""

TRIM = (0.15, 0.85)
"""Part of the wall kept between endocardium (0) and epicardium (1), against partial volume."""

MIN_PIXELS = 12
"""A segment left with fewer trimmed pixels, over all its slices, is trimmed half as much, then not at
all: twelve 1.4 mm pixels hold a mean to about 10 ms at a pixel SD of 30 ms."""

PLAUSIBLE_SEPTUM_DEG = (60.0, 200.0)
NOMINAL_SEPTUM = np.radians(120.0)


def aha_labels(
    labels_ed, insertions, levels, geometries, trim: tuple[float, float] = TRIM, septum: str = "equal"
) -> np.ndarray:
    """Segment of every pixel of the trimmed ED myocardium.

    labels_ed   (S, R, C) labels at ED
    insertions  (S, 2, 2) (row, column) of the anterior and inferior RV insertion, NaN if unseen
    levels      S of 'basal', 'mid', 'apical', None
    geometries  S SliceGeometry
    trim        kept fractions of the wall, endocardium 0 to epicardium 1
    septum      'equal': six sectors of 60° from the anterior insertion; 'measured': the septum
                between both insertions in two, the free wall in four. Apical segments are centred
                on the measured mid-septum either way.

    Slices without their own insertions take the nearest slice's, as angles in patient space
    about their own cavity centroid. Returns (S, R, C) uint8 1…16, 0 elsewhere; all 0 when no
    slice has an insertion, as nothing then tells the walls apart.
    """
    if septum not in ("equal", "measured"):
        raise ValueError(f"septum is 'equal' or 'measured', not {septum!r}")
    labels_ed = np.asarray(labels_ed)
    result = np.zeros(labels_ed.shape, dtype=np.uint8)
    course = septal_course(labels_ed, insertions, geometries)
    if course is None:
        return result
    frame = short_axis_frame(geometries)
    anterior, width, turn = course
    depth = np.full(labels_ed.shape, np.nan)
    segment = np.zeros(labels_ed.shape, dtype=np.uint8)
    for s, (labels, level, geometry) in enumerate(zip(labels_ed, levels, geometries)):
        wall = labels == LV_MYOCARDIUM
        if level is None or not wall.any():
            continue
        offset = pixel_points(geometry) - geometry.to_patient(lv_centre(labels))
        through = (turn * (frame.angle(offset) - anterior[s])) % (2 * np.pi)
        segment[s] = np.where(wall, sector(through, level, width[s], septum), 0)
        depth[s] = wall_depth(labels, geometry)
    for number in range(1, 17):
        mine = segment == number
        for share in (1.0, 0.5, 0.0):
            low, high = trim[0] * share, 1 - (1 - trim[1]) * share
            with np.errstate(invalid="ignore"):
                kept = mine & (depth >= low) & (depth <= high) if share else mine
            if kept.sum() >= MIN_PIXELS:
                break
        result[kept] = number
    return result


def septal_course(labels_ed, insertions, geometries):
    """(S,) anterior insertion angle, (S,) septal width (radians), and ±1, the sense in which angles
    of the stack's frame run from the anterior insertion through the septum; None without insertions.
    """
    frame = short_axis_frame(geometries)
    position = slice_positions(geometries)
    angle = np.full((len(geometries), 2), np.nan)
    for s, (labels, points, geometry) in enumerate(zip(labels_ed, insertions, geometries)):
        centre = lv_centre(labels)
        if centre is not None:
            angle[s] = frame.angle(geometry.to_patient(points) - geometry.to_patient(centre))
    if not np.isfinite(angle).any():
        return None
    both = np.isfinite(angle).all(axis=1)
    if both.any():
        # the septum is the shorter way between the insertions, on most slices of any heart
        turn = 1 if wrap(angle[both, 1] - angle[both, 0]).sum() >= 0 else -1
    else:
        # seen from the apex the septum follows counter-clockwise: positive about base -> apex
        turn = base_to_apex(labels_ed, geometries)
    plausible = np.radians(PLAUSIBLE_SEPTUM_DEG)
    width = (turn * (angle[:, 1] - angle[:, 0])) % (2 * np.pi)
    with np.errstate(invalid="ignore"):
        width[~((width >= plausible[0]) & (width <= plausible[1]))] = np.nan
    width = _carried(width, position, NOMINAL_SEPTUM)
    anterior = np.where(np.isnan(angle[:, 0]), angle[:, 1] - turn * width, angle[:, 0])
    return _carried(anterior, position, 0.0), width, turn


def _carried(values: np.ndarray, position: np.ndarray, default: float) -> np.ndarray:
    """Fill NaN from the nearest slice that has a value."""
    seen = np.flatnonzero(np.isfinite(values))
    if seen.size == 0:
        return np.full_like(values, default)
    return values[seen[np.abs(position[:, None] - position[seen][None, :]).argmin(axis=1)]]


def sector(through: np.ndarray, level: str, width: float, septum: str) -> np.ndarray:
    """Segment by `through`, the angle from the anterior insertion through the septum, 0 to 2 pi."""
    if level == "apical":
        quarter = ((through - width / 2 + np.pi / 4) % (2 * np.pi)) // (np.pi / 2)
        return np.array([14, 15, 16, 13], dtype=np.uint8)[np.minimum(quarter, 3).astype(int)]
    if septum == "equal":
        sixth = through // (np.pi / 3)
    else:
        sixth = np.where(
            through < width, through // (width / 2), 2 + (through - width) // ((2 * np.pi - width) / 4)
        )
    ring = np.array([2, 3, 4, 5, 6, 1], dtype=np.uint8)[np.clip(sixth, 0, 5).astype(int)]
    return ring + np.uint8(6 * (level == "mid"))


def wall_depth(labels: np.ndarray, geometry) -> np.ndarray:
    """(R, C) labels -> position in the wall, 0 at the endocardium to 1 at the epicardium.

    From Euclidean distances in mm to cavity and outside. They are measured between pixel centres
    while the border runs half a pixel nearer, hence the half pixel taken off. 0.5 where the slice
    has no cavity; meaningful on myocardium only.
    """
    cavity = labels == LV_CAVITY
    outside = ~cavity & (labels != LV_MYOCARDIUM)
    half = np.mean(geometry.spacing) / 2
    endo = np.maximum(_distance(cavity, geometry.spacing) - half, 0.0)
    epi = np.maximum(_distance(outside, geometry.spacing) - half, 0.0)
    if not cavity.any():
        return np.full(labels.shape, 0.5)
    return endo / np.maximum(endo + epi, 1e-6)


def _distance(mask: np.ndarray, spacing) -> np.ndarray:
    """(R, C) mm from each pixel centre to the nearest pixel centre of `mask`."""
    if not mask.any():
        return np.full(mask.shape, 1e3)
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing((spacing[1], spacing[0]))
    signed = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    return np.maximum(sitk.GetArrayFromImage(signed).astype(np.float64), 0.0)
