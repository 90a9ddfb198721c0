"""A common direction frame of a short-axis stack in patient space, and polar sampling about the LV.

Angles are always patient-space angles in this frame, so that a flipped, transposed or rotated
image of the same heart gives the same angle to the same piece of wall.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..study import LV_CAVITY, LV_MYOCARDIUM, SliceGeometry

ANTERIOR = np.array([0.0, -1.0, 0.5]) / np.hypot(1.0, 0.5)
"""LPS direction from the inferior to the anterior wall: patient anterior (-y), and somewhat superior,
because the short axis of a human heart is oblique and its anterior wall faces up as well as forward."""

APEX = np.array([1.0, -1.0, -1.0]) / np.sqrt(3.0)
"""LPS direction in which the apex of a normally placed heart points: left, anterior, inferior."""


def wrap(angle):
    """Radians -> the same angle in [-pi, pi)."""
    return (np.asarray(angle) + np.pi) % (2 * np.pi) - np.pi


@dataclass(frozen=True, eq=False)
class ShortAxisFrame:
    """Angles run from `anterior` and increase by the right-hand rule about `normal` (unit, LPS)."""

    normal: np.ndarray
    anterior: np.ndarray

    @property
    def lateral(self) -> np.ndarray:
        return np.cross(self.normal, self.anterior)

    def angle(self, vectors: np.ndarray) -> np.ndarray:
        """(..., 3) mm -> (...) radians."""
        return np.arctan2(vectors @ self.lateral, vectors @ self.anterior)

    def direction(self, angles: np.ndarray) -> np.ndarray:
        """(...) radians -> (..., 3) unit vectors."""
        angles = np.asarray(angles)[..., None]
        return np.cos(angles) * self.anterior + np.sin(angles) * self.lateral


def short_axis_frame(geometries) -> ShortAxisFrame:
    """The frame of a stack: its mean normal, and patient anterior projected into the plane."""
    normal = mean_normal(geometries)
    anterior = ANTERIOR - (ANTERIOR @ normal) * normal
    return ShortAxisFrame(normal, anterior / np.linalg.norm(anterior))


def mean_normal(geometries) -> np.ndarray:
    """(3,) unit LPS mean of the slice normals, in the sense of the first."""
    first = geometries[0].normal
    normal = np.sum([g.normal * np.sign(g.normal @ first or 1.0) for g in geometries], axis=0)
    return normal / np.linalg.norm(normal)


def slice_positions(geometries) -> np.ndarray:
    """(S,) mm of the slice centres along the mean normal."""
    return np.array([g.centre for g in geometries]) @ mean_normal(geometries)


def pixel_points(geometry: SliceGeometry) -> np.ndarray:
    """(R, C, 3) LPS mm of the pixel centres."""
    return geometry.to_patient(np.stack(np.indices(geometry.shape), axis=-1))


def centroid(mask: np.ndarray) -> np.ndarray | None:
    """(R, C) weights -> (2,) pixel coordinates of their centroid, None when empty."""
    weight = np.asarray(mask, dtype=np.float64)
    total = weight.sum()
    if total <= 0:
        return None
    rows, columns = weight.sum(axis=1), weight.sum(axis=0)
    return np.array([rows @ np.arange(rows.size), columns @ np.arange(columns.size)]) / total


def lv_centre(labels: np.ndarray) -> np.ndarray | None:
    """(R, C) labels -> (2,) pixel coordinates of the cavity centroid, of the wall's where it has none."""
    centre = centroid(labels == LV_CAVITY)
    return centroid(labels == LV_MYOCARDIUM) if centre is None else centre


def bilinear(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(R, C) sampled at (..., 2) pixel coordinates, zero outside."""
    padded = np.pad(np.asarray(image, dtype=np.float64), 1)
    position = np.clip(pixels + 1, 0, np.array(padded.shape) - 1.000001)
    base = position.astype(np.intp)
    (r, c), (fr, fc) = np.moveaxis(base, -1, 0), np.moveaxis(position - base, -1, 0)
    top = padded[r, c] * (1 - fc) + padded[r, c + 1] * fc
    bottom = padded[r + 1, c] * (1 - fc) + padded[r + 1, c + 1] * fc
    return top * (1 - fr) + bottom * fr


def radial_profiles(image, geometry, centre, frame, angles, radii_mm) -> np.ndarray:
    """(A, N) values of (R, C) `image` along rays from pixel `centre` at patient-space `angles`."""
    direction = frame.direction(angles)
    step = np.stack([direction @ geometry.column_direction, direction @ geometry.row_direction], axis=-1)
    step /= np.linalg.norm(step, axis=-1, keepdims=True) * np.array(geometry.spacing)
    # after the division one unit of radius is one mm in the plane
    return bilinear(image, np.asarray(centre) + step[:, None, :] * np.asarray(radii_mm)[None, :, None])
