"""The LV-centred region of interest that the networks see, and its exact inverse.

The ROI is parallel to the image grid (no rotation), so going in and out is one small matrix per
axis. Its centre follows the LV from slice to slice along a straight line in patient space: the
short axis is rarely planned exactly perpendicular to the ventricle, and a line fitted robustly
through all centroids is steadier than any single slice's contour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import StudyError
from ..study import LV_CAVITY, LV_MYOCARDIUM, SliceGeometry
from .frame import centroid, mean_normal

SIZE = 128
PIXEL_MM = 1.4

MIN_AREA_MM2 = 60.0
"""An LV smaller than this does not steer the centre line."""

MAX_TILT = np.tan(np.radians(35))
"""In-plane drift of the centre per mm along the stack; a steeper line is a failed fit, not an LV."""

OUTLIER_MM = 5.0
"""Centroids farther than this from the line count less (Huber): breathing shifts between slices reach it."""


def lv_centre_line(lv, geometries) -> np.ndarray:
    """(S, R, C) LV weights (cavity and wall) -> (S, 2) ROI centres in pixel coordinates.

    Raises StudyError when no slice shows an LV.
    """
    normal = mean_normal(geometries)
    points, weights = [], []
    for weight, geometry in zip(lv, geometries):
        area = float(np.sum(weight, dtype=np.float64) * np.prod(geometry.spacing))
        if area >= MIN_AREA_MM2:
            points.append(geometry.to_patient(centroid(weight)))
            weights.append(area)
    if not points:
        raise StudyError("no left ventricle was found on any slice; check that STUDY is a short-axis cine.")
    points, weights = np.array(points), np.array(weights)
    position = points @ normal
    huber = np.ones(len(points))
    for _ in range(20):
        w = weights * huber
        middle = w @ points / w.sum()
        along = position - middle @ normal
        spread = w @ along**2
        drift = (w * along) @ (points - middle) / spread if spread > 1e-6 else normal
        tilt = drift - (drift @ normal) * normal
        if np.linalg.norm(tilt) > MAX_TILT:
            tilt = np.zeros(3)
        line = normal + tilt
        residual = np.linalg.norm(points - middle - along[:, None] * line, axis=1)
        huber = OUTLIER_MM / np.maximum(residual, OUTLIER_MM)
    centres = []
    for geometry in geometries:
        # where the line meets this slice's own plane (slices need not be parallel)
        step = -geometry.distance(middle) / (line @ geometry.normal)
        centres.append(geometry.to_pixel(middle + step * line))
    return np.array(centres)


def _linear(positions: np.ndarray, count: int) -> np.ndarray:
    """(N, count) matrix sampling `count` pixels linearly at `positions`; rows outside the field are 0."""
    inside = (positions >= -0.5) & (positions <= count - 0.5)
    clipped = np.clip(positions, 0, count - 1)
    low = np.minimum(np.floor(clipped).astype(int), max(count - 2, 0))
    fraction = clipped - low
    matrix = np.zeros((positions.size, count))
    rows = np.arange(positions.size)
    matrix[rows, low] += 1 - fraction
    matrix[rows, np.minimum(low + 1, count - 1)] += fraction
    return matrix * inside[:, None]


def _nearest(positions: np.ndarray, count: int) -> np.ndarray:
    index = np.rint(np.clip(positions, 0, count - 1)).astype(int)
    inside = (positions >= -0.5) & (positions <= count - 0.5)
    matrix = np.zeros((positions.size, count))
    matrix[np.arange(positions.size), index] = inside
    return matrix


def _antialias(count: int, ratio: float) -> np.ndarray:
    """(count, count) Gaussian that widens a pixel's FWHM to that of a pixel `ratio` times larger
    (Cardoso et al., Scale factor point spread function matching, MICCAI 2015); identity for ratio <= 1."""
    if ratio <= 1.0:
        return np.eye(count)
    sigma = np.sqrt((ratio**2 - 1) / (8 * np.log(2)))
    offset = np.arange(count)[:, None] - np.arange(count)[None, :]
    kernel = np.exp(-0.5 * (offset / sigma) ** 2) * (np.abs(offset) <= 4 * sigma + 1)
    return kernel / kernel.sum(axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class Roi:
    """One square region per slice.

    centres     (S, 2) pixel coordinates (row, column) in the source image of the ROI's middle,
                which lies between its pixels (size-1)/2
    geometries  S SliceGeometry of the source images
    """

    centres: np.ndarray
    geometries: tuple[SliceGeometry, ...]
    size: int = SIZE
    pixel_mm: float = PIXEL_MM

    @classmethod
    def around(cls, labels, geometries, size: int = SIZE, pixel_mm: float = PIXEL_MM) -> Roi:
        """Centred on the LV of (S, R, C) labels or (S, 4, R, C) probabilities."""
        labels = np.asarray(labels)
        if labels.ndim == 4:
            lv = labels[:, LV_MYOCARDIUM] + labels[:, LV_CAVITY]
        else:
            lv = (labels == LV_MYOCARDIUM) | (labels == LV_CAVITY)
        return cls(lv_centre_line(lv, geometries), tuple(geometries), size, pixel_mm)

    @property
    def roi_geometries(self) -> tuple[SliceGeometry, ...]:
        """S SliceGeometry of the ROI's own pixel grid."""
        result = []
        for centre, source in zip(self.centres, self.geometries):
            corner = centre - (self.size - 1) / 2 * self.pixel_mm / np.array(source.spacing)
            result.append(
                SliceGeometry(
                    source.to_patient(corner),
                    source.row_direction,
                    source.column_direction,
                    (self.pixel_mm, self.pixel_mm),
                    (self.size, self.size),
                    source.thickness_mm,
                )
            )
        return tuple(result)

    @property
    def inside(self) -> np.ndarray:
        """(S, size, size) bool: ROI pixels whose centre lies in the source image."""
        masks = []
        for s, geometry in enumerate(self.geometries):
            row, column = (
                (p >= -0.5) & (p <= n - 0.5) for p, n in zip(self._source_positions(s), geometry.shape)
            )
            masks.append(row[:, None] & column[None, :])
        return np.array(masks)

    def extract(self, image: np.ndarray, order: int = 1) -> np.ndarray:
        """(S, ..., R, C) -> (S, ..., size, size) float32; zero outside the source image.

        order 1 is bilinear, after a Gaussian against aliasing where the source is finer than the
        ROI; order 0 is nearest neighbour, for labels.
        """
        return self._apply(image, order, self._source_positions, [g.shape for g in self.geometries], True)

    def restore(self, roi_image: np.ndarray, order: int = 1) -> np.ndarray:
        """(S, ..., size, size) -> (S, ..., R, C) float32 in the source grid; zero outside the ROI.

        No smoothing: where the source is coarser than the ROI, a T1 value must not be mixed with
        more neighbours than bilinear interpolation does.
        """
        shapes = [(self.size, self.size)] * len(self.geometries)
        return self._apply(roi_image, order, self._roi_positions, shapes, False)

    def _source_positions(self, s: int) -> tuple[np.ndarray, np.ndarray]:
        offset = (np.arange(self.size) - (self.size - 1) / 2) * self.pixel_mm
        return tuple(c + offset / d for c, d in zip(self.centres[s], self.geometries[s].spacing))

    def _roi_positions(self, s: int) -> tuple[np.ndarray, np.ndarray]:
        g = self.geometries[s]
        return tuple(
            (np.arange(n) - c) * d / self.pixel_mm + (self.size - 1) / 2
            for n, c, d in zip(g.shape, self.centres[s], g.spacing)
        )

    def _apply(self, image, order, positions, shapes, antialias) -> np.ndarray:
        image = np.asarray(image)
        if image.shape[0] != len(self.geometries) or any(image.shape[-2:] != shape for shape in shapes):
            raise StudyError(f"image {image.shape} does not fit the ROI's slices of {shapes[0]}.")
        sampler = _linear if order == 1 else _nearest
        result = []
        for s, (plane, shape) in enumerate(zip(image, shapes)):
            matrices = []
            for position, count, spacing in zip(positions(s), shape, self.geometries[s].spacing):
                matrix = sampler(position, count)
                if antialias and order == 1:
                    matrix = matrix @ _antialias(count, self.pixel_mm / spacing)
                matrices.append(matrix.astype(np.float32))
            rows, columns = matrices
            result.append(rows @ (plane.astype(np.float32) @ columns.T))
        return np.stack(result)
