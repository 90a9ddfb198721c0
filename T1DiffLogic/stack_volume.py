"""One volume for a stack of slices: exact where the stack is uniform, resampled where it is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .study import SliceGeometry, stack_is_uniform

RESAMPLED_NOTE = (
    "resampled to even spacing from a stack that is not uniform (nearest slice, nearest pixel; "
    "0 between slices further apart than their thickness); the single slices hold the values themselves"
)

TIE = 1e-6
"""Pixels or mm within which two are equally near, so that rounding errors do not decide."""


@dataclass(frozen=True, eq=False)
class VolumeGrid:
    """A regular grid: index (k, r, c) lies at origin + c·axes[0] + r·axes[1] + k·axes[2], LPS mm.

    origin     (3,) centre of the first voxel
    axes       (3, 3) rows: the step in mm of one column, one row, one slice
    shape      (K, R, C)
    resampled  True when the grid is not the stack's own
    """

    origin: np.ndarray
    axes: np.ndarray
    shape: tuple[int, int, int]
    resampled: bool = False

    @property
    def spacing(self) -> np.ndarray:
        """(3,) mm between columns, rows, slices."""
        return np.linalg.norm(self.axes, axis=1)

    @property
    def directions(self) -> np.ndarray:
        """(3, 3) rows: unit vectors along columns, rows, slices."""
        return self.axes / self.spacing[:, None]


def slice_grid(geometry: SliceGeometry) -> VolumeGrid:
    """The grid of a single slice, as thick as SliceThickness."""
    axes = np.stack([*_in_plane(geometry), geometry.normal * geometry.thickness_mm])
    return VolumeGrid(geometry.origin, axes, (1, *geometry.shape))


def stack_grid(geometries: tuple[SliceGeometry, ...]) -> VolumeGrid:
    """The grid of a whole stack: its own when uniform, else an even one that covers every slice.

    The even grid lies in the plane of the middle slice and steps along its normal by the median
    distance between slices, so a stack with one uneven gap keeps nearly all slices in place. Where
    two slices would share a plane it steps by the smallest distance: each slice has a plane nearest to
    it that is no other's, so that what is drawn on the grid comes back slice by slice.
    """
    first, last = geometries[0], geometries[-1]
    if len(geometries) == 1:
        return slice_grid(first)
    if stack_is_uniform(geometries):
        step = (last.origin - first.origin) / (len(geometries) - 1)
        return VolumeGrid(first.origin, np.stack([*_in_plane(first), step]), (len(geometries), *first.shape))
    middle = geometries[len(geometries) // 2]
    corners = np.concatenate([_corners(g) for g in geometries])
    pixels = middle.to_pixel(corners)
    # whole pixels away from the middle slice: its own pixels, and aligned slices', are met exactly
    low, high = np.floor(pixels.min(axis=0) + 1e-6), np.ceil(pixels.max(axis=0) - 1e-6)
    centres = np.array([middle.distance(g.centre) for g in geometries])
    gaps = np.diff(np.sort(centres))
    step = float(np.median(gaps))
    step = step if step > 0.1 else middle.thickness_mm
    bottom = float(centres.min())
    if len(np.unique(np.floor((centres - bottom) / step + 0.5 + TIE))) < len(centres) and gaps.min() > 0.1:
        step = float(gaps.min())
    count = int(np.ceil((float(centres.max()) - bottom) / step - 0.05)) + 1
    origin = middle.to_patient(low) + bottom * middle.normal
    axes = np.stack([*_in_plane(middle), step * middle.normal])
    return VolumeGrid(origin, axes, (count, *(int(v) + 1 for v in high - low)), resampled=True)


def on_grid(values: np.ndarray, geometries: tuple[SliceGeometry, ...], grid: VolumeGrid) -> np.ndarray:
    """(S, R, C) values of a stack -> (K, R, C) on `grid`; 0 where no slice is near.

    A uniform stack passes unchanged. Otherwise each voxel takes the nearest pixel of the nearest
    slice, never a mean: labels stay labels and *no value* (0) is not mixed into milliseconds. Half
    way between two, the lower one is taken; reading back takes the upper one (`TIE`), and so slices
    that are shifted by any part of a pixel come back as they were.
    """
    values = np.asarray(values)
    if not grid.resampled:
        return values
    rows, columns = np.mgrid[: grid.shape[1], : grid.shape[2]]
    plane = grid.origin + columns[..., None] * grid.axes[0] + rows[..., None] * grid.axes[1]
    result = np.zeros(grid.shape, dtype=values.dtype)
    for k in range(grid.shape[0]):
        points = plane + k * grid.axes[2]
        nearest = np.full(grid.shape[1:], np.inf)
        for index, geometry in enumerate(geometries):
            distance = np.abs(geometry.distance(points))
            reach = max(geometry.thickness_mm, grid.spacing[2]) / 2 + 1e-3
            row, column = np.moveaxis(np.ceil(geometry.to_pixel(points) - 0.5 - TIE).astype(int), -1, 0)
            near = (distance < nearest - TIE) & (distance <= reach)
            near &= (row >= 0) & (row < geometry.shape[0]) & (column >= 0) & (column < geometry.shape[1])
            result[k][near] = values[index][row[near], column[near]]
            nearest[near] = distance[near]
    return result


def _in_plane(geometry: SliceGeometry) -> tuple[np.ndarray, np.ndarray]:
    return geometry.row_direction * geometry.spacing[1], geometry.column_direction * geometry.spacing[0]


def _corners(geometry: SliceGeometry) -> np.ndarray:
    rows, columns = geometry.shape
    return geometry.to_patient(np.array([[0, 0], [0, columns - 1], [rows - 1, 0], [rows - 1, columns - 1]]))
