"""The two RV insertion points: where the right ventricle leaves the LV epicardium at ED."""

from __future__ import annotations

import numpy as np

from ..study import LV_CAVITY, LV_MYOCARDIUM, RV
from .frame import centroid, radial_profiles, short_axis_frame, slice_positions, wrap

N_ANGLES = 360
RADII_MM = np.arange(0.0, 80.0, 0.25)

CONTACT_MM = 4.0
"""RV blood within this of the LV epicardium touches it: chance gaps of a pixel or two in the labels."""

GAP_DEG = 25
"""Breaks in the contact up to this are closed (septal trabeculae, a pixel of background)."""

RV_WALL_MM = 3.0
"""The free wall of the RV, which no label holds: 2 to 4 mm in adults at ED. The insertion is where its
outer surface meets the LV, beyond the last blood."""

CLOSING_SLOPE = 0.9
"""mm by which the RV's outer surface nears the LV epicardium per mm of the epicardium, at the end of the
crescent. 42° is the angle at which two circles of nearly the same size cross when the centre of one lies
three quarters of a radius from the other's, as the RV's outline lies beside the LV."""

TIP_MM = 3.0
"""Length of the crescent's tip over which its width is taken."""

MAX_TIP_MM = 6.0
"""A crescent wider than this at its end is a label cut off or gone astray; no more of it is closed."""

SEPTUM_DEG = (25, 220)
"""Contact outside this range is a stray label or a ring of RV, not a septum."""

OUTLIER_DEG = 35
"""An insertion this far from the stack's course is dropped; neighbouring slices turn by a few degrees."""


def rv_insertions(segmentation: np.ndarray, geometries) -> np.ndarray:
    """(S, R, C) labels or (S, 4, R, C) probabilities at ED -> (S, 2, 2) (row, column).

    First the anterior, then the inferior insertion, on the LV epicardium; NaN on slices where the
    RV is not seen beside a closed enough LV. The insertion is where the RV's outer wall, which is not
    labelled, meets the LV, not where its blood ends. Which is the anterior one is decided for the stack
    as a whole, in patient space: the one nearer to patient anterior (and superior). Angles are
    smoothed over neighbouring slices and outliers dropped.
    """
    segmentation = np.asarray(segmentation)
    if segmentation.ndim == 3:
        lv = (segmentation == LV_MYOCARDIUM) | (segmentation == LV_CAVITY)
        cavity, rv = segmentation == LV_CAVITY, segmentation == RV
    else:
        cavity, rv = segmentation[:, LV_CAVITY], segmentation[:, RV]
        lv = segmentation[:, LV_MYOCARDIUM] + cavity
    frame = short_axis_frame(geometries)
    angles = np.radians(np.arange(N_ANGLES) * 360.0 / N_ANGLES)
    n = len(geometries)
    ends, radii, centres = np.full((n, 2), np.nan), np.zeros((n, N_ANGLES)), np.zeros((n, 2))
    for s, geometry in enumerate(geometries):
        centre = centroid(cavity[s] >= 0.5)
        if centre is None:
            centre = centroid(lv[s] >= 0.5)
        if centre is None:
            continue
        centres[s] = centre
        profile = radial_profiles(lv[s], geometry, centre, frame, angles, RADII_MM)
        radii[s] = _outermost(profile)
        ends[s] = _septum(rv[s], geometry, centre, frame, angles, radii[s])
    ends = _consistent(_anterior_first(ends, frame), slice_positions(geometries))
    points = np.full((n, 2, 2), np.nan)
    for s, k in np.argwhere(np.isfinite(ends)):
        radius = np.interp(ends[s, k], angles, radii[s], period=2 * np.pi)
        direction = frame.direction(ends[s, k])
        in_plane = direction - (direction @ geometries[s].normal) * geometries[s].normal
        epicardium = geometries[s].to_patient(centres[s]) + radius * in_plane / np.linalg.norm(in_plane)
        points[s, k] = geometries[s].to_pixel(epicardium)
    return points


def _outermost(profile: np.ndarray) -> np.ndarray:
    """(A, N) LV along rays -> (A,) mm of the last crossing of one half, the epicardium."""
    last = profile.shape[1] - 1 - (profile[:, ::-1] >= 0.5).argmax(axis=1)
    return np.where((profile >= 0.5).any(axis=1), RADII_MM[last], 0.0)


def _septum(rv, geometry, centre, frame, angles, radius) -> np.ndarray:
    """(2,) radians: start and end, in increasing angle, of the arc where RV meets the epicardium."""
    profile = radial_profiles(rv, geometry, centre, frame, angles, RADII_MM)
    distance = RADII_MM[None, :] - radius[:, None]
    reach = max(CONTACT_MM, 2 * max(geometry.spacing))
    touch = ((profile >= 0.5) & (distance >= -reach) & (distance <= reach)).any(axis=1) & (radius > 0)
    if not touch.any() or touch.all():
        return np.full(2, np.nan)
    start = int(np.flatnonzero(~touch)[0])
    rolled = np.roll(touch, -start)  # begins off contact, so no run wraps
    edges = np.flatnonzero(np.diff(np.concatenate([[0], rolled.astype(int), [0]])))
    runs = [list(pair) for pair in edges.reshape(-1, 2)]
    per_degree = N_ANGLES / 360
    merged = [runs[0]]
    for run in runs[1:]:
        if run[0] - merged[-1][1] <= GAP_DEG * per_degree:
            merged[-1][1] = run[1]
        else:
            merged.append(run)
    low, high = max(merged, key=lambda run: run[1] - run[0])
    if not SEPTUM_DEG[0] * per_degree <= high - low <= SEPTUM_DEG[1] * per_degree:
        return np.full(2, np.nan)
    step = 2 * np.pi / N_ANGLES
    width = np.roll(np.clip(_outermost(profile) - radius, 0.0, None), -start)
    radius = np.roll(radius, -start)
    ends = (low - 0.5 - _closing(width, radius, low, 1), high - 0.5 + _closing(width, radius, high - 1, -1))
    return wrap((np.array(ends) + start) * step)


def _closing(width, radius, last: int, inward: int) -> float:
    """Rays from the end of the blood at ray `last` to where the RV's outer wall meets the epicardium.

    width   (A,) mm from the epicardium to the outer edge of the RV blood; at the tip of a crescent it
            is about a pixel, and more where a label is rounded off before the tip
    inward  +1 or -1, towards the septum
    """
    per_mm = N_ANGLES / (2 * np.pi * radius[last])
    tip = (last + inward * np.arange(max(1, round(TIP_MM * per_mm)))) % N_ANGLES
    open_mm = min(float(np.median(width[tip])), MAX_TIP_MM)
    return (RV_WALL_MM + open_mm) / CLOSING_SLOPE * per_mm


def _anterior_first(ends: np.ndarray, frame) -> np.ndarray:
    """Swap the two ends of every slice alike so that the first is the anterior one.

    The frame's zero angle is anterior, so the anterior insertion has the larger cosine.
    """
    seen = np.isfinite(ends).all(axis=1)
    return ends[:, ::-1] if (np.cos(ends[seen, 0]) - np.cos(ends[seen, 1])).sum() < 0 else ends


def _consistent(ends: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Drop angles far from the stack's median course, then smooth 1-2-1 over adjacent slices."""
    result = ends.copy()
    for k in range(2):
        seen = np.flatnonzero(np.isfinite(ends[:, k]))
        if seen.size < 3:
            continue
        reference = np.angle(np.exp(1j * ends[seen, k]).sum())
        turned = wrap(ends[seen, k] - reference)
        turned = wrap(turned - np.median(turned)) + np.median(turned)
        # Theil-Sen course: insertions turn steadily from base to apex, single slices fail
        i, j = np.triu_indices(seen.size, 1)
        slope = np.median((turned[j] - turned[i]) / (position[seen[j]] - position[seen[i]]))
        course = slope * position[seen]
        residual = turned - course - np.median(turned - course)
        good = np.abs(residual) <= np.radians(OUTLIER_DEG)
        result[seen[~good], k] = np.nan
        seen, turned = seen[good], turned[good]
        if seen.size == 0:
            continue
        padded = np.pad(turned - slope * position[seen], 1, mode="edge")
        smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4 + slope * position[seen]
        result[seen, k] = wrap(reference + smooth)
    return result
