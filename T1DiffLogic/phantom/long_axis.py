"""Sections through a short-axis stack: the scouts and long-axis views that accompany it in an archive."""

from __future__ import annotations

import numpy as np

from ..study import Cine, SliceGeometry

_FIELD_MM = 256.0
_PIXELS = 96


def _plane(centre, row, column) -> SliceGeometry:
    spacing = _FIELD_MM / _PIXELS
    half = (_PIXELS - 1) / 2 * spacing
    origin = centre - half * row - half * column
    return SliceGeometry(origin, row, column, (spacing, spacing), (_PIXELS, _PIXELS))


def orthogonal_planes(cine: Cine) -> list[SliceGeometry]:
    """Transverse, coronal and sagittal planes through the middle of the stack."""
    centre = np.mean([g.centre for g in cine.geometries], axis=0)
    x, y, z = np.eye(3)
    return [_plane(centre, x, y), _plane(centre, x, -z), _plane(centre, y, -z)]


def long_axis_cine(cine: Cine, view: str) -> Cine:
    """A one-slice cine of the '2ch' or '4ch' plane through the stack's axis."""
    first = cine.geometries[0]
    centre = np.mean([g.centre for g in cine.geometries], axis=0)
    angle = np.radians(60.0 if view == "2ch" else 0.0)
    across = np.cos(angle) * first.row_direction + np.sin(angle) * first.column_direction
    plane = _plane(centre, across, first.normal)
    images = np.stack([sample_stack(cine, p, plane) for p in range(cine.n_phases)])
    return Cine(images[None], (plane,), cine.trigger_ms[:1], cine.source)


def sample_stack(cine: Cine, phase: int, plane: SliceGeometry) -> np.ndarray:
    """(R, C) float32 of `plane` cut through one phase: linear between slices, nearest within; 0 outside."""
    rows, columns = np.indices(plane.shape)
    points = plane.to_patient(np.stack([rows, columns], axis=-1))
    first = cine.geometries[0]
    depths = np.array([g.origin @ first.normal for g in cine.geometries])
    depth = points @ first.normal
    in_slices = np.stack([_nearest(cine.images[s, phase], g, points) for s, g in enumerate(cine.geometries)])
    if len(depths) == 1:
        return np.where(np.abs(depth - depths[0]) < first.thickness_mm, in_slices[0], 0).astype(np.float32)
    right = np.clip(np.searchsorted(depths, depth), 1, len(depths) - 1)
    weight = np.clip((depth - depths[right - 1]) / (depths[right] - depths[right - 1]), 0, 1)
    low = np.take_along_axis(in_slices, (right - 1)[None], axis=0)[0]
    high = np.take_along_axis(in_slices, right[None], axis=0)[0]
    inside = (depth > depths[0] - first.thickness_mm) & (depth < depths[-1] + first.thickness_mm)
    return np.where(inside, (1 - weight) * low + weight * high, 0).astype(np.float32)


def _nearest(image: np.ndarray, geometry: SliceGeometry, points: np.ndarray) -> np.ndarray:
    pixel = np.rint(geometry.to_pixel(points)).astype(int)
    inside = ((pixel >= 0) & (pixel < geometry.shape)).all(axis=-1)
    row, column = np.clip(pixel, 0, np.array(geometry.shape) - 1).transpose(2, 0, 1)
    return np.where(inside, image[row, column], 0)
