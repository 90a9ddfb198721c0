"""A native T1 map brought onto the cine: matched by slice position, then by the LV seen on both.

The two are taken seconds to minutes apart in different breath-holds, so the heart lies up to some
millimetres elsewhere in plane. The paper segments both; here the LV epicardium and cavity of the
T1 map are moved, by a translation in the plane, onto those of the cine at ED (T1 maps are taken in
late diastole).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..study import LV_CAVITY, LV_MYOCARDIUM, Cine, SliceGeometry, T1Map
from .frame import bilinear, centroid, lv_centre, pixel_points, slice_positions

MAX_DISTANCE_MM = 5.0
"""Slices this near show the same wall; farther apart is allowed up to half the cine's own gap."""

MAX_TILT_DEG = 10.0
MAX_SHIFT_MM = 15.0
"""Breath-holds displace the heart by 1-3 mm, rarely 10; a larger shift is a failed segmentation."""

MIN_LV_MM2 = 200.0
"""LV (cavity and wall) smaller than 16 mm across cannot steer the alignment."""

SEARCH_STEPS_MM = (2.0, 1.0, 0.5, 0.25)


@dataclass(frozen=True, eq=False)
class T1Alignment:
    """A native map on the cine grid.

    native_ms  (S, R, C) float32 ms; 0 where there is no value
    labels     (S, R, C) uint8, the map's own contours moved with it; 0 where there is no value
    matched    (S,) index of the T1 slice used, -1 for none
    shift_mm   (S, 2) displacement of the T1 content along the cine's columns (row axis) and rows
               (column axis), (down, right) in mm
    notes      S sentences
    """

    native_ms: np.ndarray
    labels: np.ndarray
    matched: np.ndarray
    shift_mm: np.ndarray
    notes: tuple[str, ...]


def align_t1(t1: T1Map, cine: Cine, t1_labels: np.ndarray, cine_labels_ed: np.ndarray) -> T1Alignment:
    """Align a native T1 map with a cine.

    t1_labels       (N, R, C) labels on the T1 slices
    cine_labels_ed  (S, R, C) labels on the cine at ED

    Each T1 slice goes to its nearest cine slice if their planes are within 10° and 5 mm (or half
    the cine's slice gap, but never so far that the slices share no tissue). The T1 values are
    resampled bilinearly; a shift over 15 mm is rejected and the position alone used.
    """
    heart = [_heart_point(labels, g) for labels, g in zip(cine_labels_ed, cine.geometries)]
    pairs, notes = _match(t1.geometries, cine.geometries, heart)
    native = np.zeros((cine.n_slices, *cine.images.shape[2:]), dtype=np.float32)
    labels = np.zeros(native.shape, dtype=np.uint8)
    matched = np.full(cine.n_slices, -1)
    shifts = np.zeros((cine.n_slices, 2))
    for s, n in pairs.items():
        source, target = t1.geometries[n], cine.geometries[s]
        shift, remark = _lv_shift(t1_labels[n], source, cine_labels_ed[s], target)
        pixels = _source_pixels(pixel_points(target), shift, source, target)
        native[s] = _resample(t1.values_ms[n], pixels)
        labels[s] = _nearest(t1_labels[n], pixels) * (native[s] > 0)
        matched[s], shifts[s] = n, shift
        away = abs(float(source.distance(heart[s])))
        notes[s] = f"slice {s}: T1 slice {n}, {away:.1f} mm away along the normal, {remark}"
    return T1Alignment(native, labels, matched, shifts, tuple(notes))


def _heart_point(labels: np.ndarray, geometry: SliceGeometry) -> np.ndarray:
    """(3,) LPS mm where slice distances are taken: the LV, as tilted planes part away from it."""
    centre = lv_centre(labels)
    return geometry.centre if centre is None else geometry.to_patient(centre)


def _match(sources, targets, heart) -> tuple[dict[int, int], list[str]]:
    """Cine slice -> T1 slice, one to one, nearest first; and a sentence for every slice without."""
    position = np.sort(slice_positions(targets))
    half_gap = np.min(np.diff(position)) / 2 if len(targets) > 1 else 0.0
    distance = np.full((len(targets), len(sources)), np.inf)
    parallel = f"no T1 slice is within {MAX_TILT_DEG:.0f}° of its plane."
    notes = [f"slice {s}: {parallel}" for s in range(len(targets))]
    limit = np.zeros_like(distance)
    for s, target in enumerate(targets):
        for n, source in enumerate(sources):
            if abs(target.normal @ source.normal) >= np.cos(np.radians(MAX_TILT_DEG)):
                distance[s, n] = abs(float(source.distance(heart[s])))
            overlap = (target.thickness_mm + source.thickness_mm) / 2
            limit[s, n] = min(max(MAX_DISTANCE_MM, half_gap), max(overlap, MAX_DISTANCE_MM))
        if np.isfinite(distance[s]).any():
            notes[s] = f"slice {s}: the nearest T1 slice is {distance[s].min():.1f} mm away; none was used."
    pairs: dict[int, int] = {}
    for flat in np.argsort(distance, axis=None, kind="stable"):
        s, n = (int(v) for v in np.unravel_index(flat, distance.shape))
        if distance[s, n] > limit[s, n]:
            continue
        if s not in pairs and n not in pairs.values():
            pairs[s] = n
        elif s not in pairs:
            notes[s] = f"slice {s}: T1 slice {n} lies nearer to another cine slice and was used there."
    return pairs, notes


def _source_pixels(points, shift, source: SliceGeometry, target: SliceGeometry) -> np.ndarray:
    """Pixel coordinates on `source` of target-plane points whose content was displaced by `shift`."""
    moved = points - shift[0] * target.column_direction - shift[1] * target.row_direction
    return source.to_pixel(moved)


def _lv_shift(source_labels, source, target_labels, target) -> tuple[np.ndarray, str]:
    """((2,) mm (down, right) in the cine plane, the end of the slice's note)."""
    by_position = np.zeros(2)
    moving, fixed = (
        [(a == LV_MYOCARDIUM) | (a == LV_CAVITY), a == LV_CAVITY] for a in (source_labels, target_labels)
    )
    for lv, geometry, name in ((moving[0], source, "T1 map"), (fixed[0], target, "cine")):
        if lv.sum() * np.prod(geometry.spacing) < MIN_LV_MM2:
            return by_position, f"placed by position only: no LV was found on the {name}."
    gap = target.to_patient(centroid(fixed[0])) - source.to_patient(centroid(moving[0]))
    shift = np.array([gap @ target.column_direction, gap @ target.row_direction])
    rows, columns = np.nonzero(fixed[0])
    margin = np.ceil((MAX_SHIFT_MM + 5) / np.array(target.spacing)).astype(int)
    window = tuple(
        slice(max(int(v.min()) - m, 0), int(v.max()) + m + 1) for v, m in zip((rows, columns), margin)
    )
    points = pixel_points(target)[window]
    fixed = [mask[window].astype(np.float64) for mask in fixed]

    def overlap(candidate) -> float:
        pixels = _source_pixels(points, candidate, source, target)
        return sum(_dice(bilinear(m, pixels), f) for m, f in zip(moving, fixed))

    best = overlap(shift)
    for step in SEARCH_STEPS_MM:
        improved = True
        while improved and np.linalg.norm(shift) <= 2 * MAX_SHIFT_MM:
            improved = False
            for move in ((step, 0), (-step, 0), (0, step), (0, -step)):
                candidate = shift + move
                score = overlap(candidate)
                if score > best + 1e-9:
                    shift, best, improved = candidate, score, True
    size = float(np.linalg.norm(shift))
    if size > MAX_SHIFT_MM:
        return by_position, f"placed by position only: the LV shift of {size:.0f} mm is not plausible."
    return shift, f"moved {size:.1f} mm in plane to the LV of the cine (LV Dice {best / 2:.2f})."


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice of soft masks, 2 sum(ab) / sum(a² + b²), which unlike sum(a + b) is 1 for equal masks."""
    return float(2 * (a * b).sum() / max((a * a).sum() + (b * b).sum(), 1e-6))


def _resample(values: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Bilinear over the pixels that hold a value; 0 where the nearest does not or outside the map."""
    has_value = (values > 0).astype(np.float64)
    weight = bilinear(has_value, pixels)
    kept = (_nearest(has_value, pixels) > 0) & (weight > 0)
    return np.where(kept, bilinear(values, pixels) / np.maximum(weight, 1e-6), 0.0).astype(np.float32)


def _nearest(values: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Values at the nearest pixel, 0 outside."""
    nearest = np.rint(pixels).astype(int)
    limit = np.array(values.shape) - 1
    inside = ((nearest >= 0) & (nearest <= limit)).all(axis=-1)
    row, column = np.moveaxis(np.clip(nearest, 0, limit), -1, 0)
    return np.where(inside, values[row, column], 0).astype(values.dtype)
