"""A native map displaced in plane and planned on its own slices comes back onto the cine."""

import numpy as np
import pytest

from T1DiffLogic.anatomy.alignment import align_t1
from T1DiffLogic.study import LV_CAVITY, LV_MYOCARDIUM, Cine, SliceGeometry, T1Map

ROW = np.array([0.8, 0.6, 0.0])
COLUMN = np.array([0.36, -0.48, -0.8])
NORMAL = np.cross(ROW, COLUMN)


def slice_at(position, row=ROW, column=COLUMN, spacing=(1.5, 1.3), shape=(120, 140), thickness=8.0):
    corner = (
        position * NORMAL - (shape[0] - 1) / 2 * spacing[0] * column - (shape[1] - 1) / 2 * spacing[1] * row
    )
    return SliceGeometry(corner, row, column, spacing, shape, thickness)


def turned(degrees):
    angle = np.radians(degrees)
    return (
        np.cos(angle) * ROW + np.sin(angle) * COLUMN,
        np.cos(angle) * COLUMN - np.sin(angle) * ROW,
    )


def heart(geometry, centre):
    """Labels and T1 (with a smooth texture) of an LV around the patient point `centre`."""
    points = geometry.to_patient(np.stack(np.indices(geometry.shape), axis=-1)) - centre
    x, y = points @ ROW, points @ COLUMN
    radius = np.hypot(x, 1.1 * y)
    labels = np.where(radius < 20, LV_CAVITY, np.where(radius < 30, LV_MYOCARDIUM, 0)).astype(np.uint8)
    t1 = 1200 + 60 * np.sin(x / 9) + 50 * np.cos(y / 8)
    return labels, np.where(radius < 60, t1, 0).astype(np.float32)


def study(cine_geometries, t1_geometries, displacement=(0.0, 0.0)):
    moved = displacement[0] * COLUMN + displacement[1] * ROW
    cine_side = [heart(g, 3 * ROW) for g in cine_geometries]
    t1_side = [heart(g, 3 * ROW + moved) for g in t1_geometries]
    s, shape = len(cine_geometries), cine_geometries[0].shape
    cine = Cine(np.zeros((s, 2, *shape)), cine_geometries, np.tile([0.0, 40.0], (s, 1)))
    t1 = T1Map(np.stack([t for _, t in t1_side]), t1_geometries)
    return (
        t1,
        cine,
        np.stack([m for m, _ in t1_side]),
        np.stack([m for m, _ in cine_side]),
        [t for _, t in cine_side],
    )


def test_shift_is_recovered_on_rotated_anisotropic_grids():
    row, column = turned(25)
    t1_geometries = (slice_at(1.5, row, column, (1.1, 1.6), (160, 130)),)
    t1, cine, t1_labels, labels, truth = study((slice_at(0), slice_at(10)), t1_geometries, (4.3, -6.1))
    result = align_t1(t1, cine, t1_labels, labels)
    assert list(result.matched) == [0, -1]
    assert result.shift_mm[0] == pytest.approx([-4.3, 6.1], abs=0.4)
    wall = labels[0] == LV_MYOCARDIUM
    assert np.abs(result.native_ms[0] - truth[0])[wall].max() < 12
    assert not result.native_ms[1].any()
    assert "1.5 mm away" in result.notes[0] and "moved 7.5 mm" in result.notes[0]


def test_overlap_corrects_a_centroid_that_an_incomplete_contour_has_moved():
    t1, cine, t1_labels, labels, _ = study((slice_at(0.0),), (slice_at(0.0),), (3.0, -2.0))
    cut = t1_labels.copy()
    cut[:, :, 78:][cut[:, :, 78:] == LV_MYOCARDIUM] = 0  # the lateral wall was missed on the T1 map
    rows, columns = np.nonzero(cut[0])
    assert abs(columns.mean() - np.nonzero(t1_labels[0])[1].mean()) * 1.3 > 1.5
    assert align_t1(t1, cine, cut, labels).shift_mm[0] == pytest.approx([-3.0, 2.0], abs=0.5)


def test_slices_pair_one_to_one_by_distance_with_a_sentence_for_the_rest():
    cine_geometries = tuple(slice_at(p) for p in (0.0, 8.0, 16.0, 26.0, 36.0))
    t1_geometries = tuple(slice_at(p) for p in (35.0, 7.0, 60.0))
    t1, cine, t1_labels, labels, _ = study(cine_geometries, t1_geometries)
    result = align_t1(t1, cine, t1_labels, labels)
    assert list(result.matched) == [-1, 1, -1, -1, 0]
    assert all("none was used" in result.notes[s] for s in (0, 2, 3))
    both = align_t1(*study((slice_at(0.0), slice_at(8.0)), (slice_at(3.0),))[:4])
    assert list(both.matched) == [0, -1]


def test_one_t1_slice_between_two_close_cine_slices_serves_the_nearer():
    result = align_t1(*study((slice_at(0.0), slice_at(6.0)), (slice_at(3.5),))[:4])
    assert list(result.matched) == [-1, 0] and "nearer to another" in result.notes[0]


def test_tilted_planes_are_refused():
    tilt = np.radians(14)
    row = np.cos(tilt) * ROW + np.sin(tilt) * NORMAL
    t1, cine, t1_labels, labels, _ = study((slice_at(0.0),), (slice_at(0.0, row=row),))
    result = align_t1(t1, cine, t1_labels, labels)
    assert list(result.matched) == [-1] and "within 10°" in result.notes[0]


def test_flipped_normal_is_the_same_plane():
    flipped = slice_at(0.0, row=-ROW)
    t1, cine, t1_labels, labels, truth = study((slice_at(0.0),), (flipped,), (2.0, 1.0))
    result = align_t1(t1, cine, t1_labels, labels)
    assert result.shift_mm[0] == pytest.approx([-2.0, -1.0], abs=0.3)
    assert np.abs(result.native_ms[0] - truth[0])[labels[0] > 0].max() < 12


def test_implausible_shift_uses_position_only():
    t1, cine, t1_labels, labels, _ = study((slice_at(0.0),), (slice_at(0.0),), (0.0, 19.0))
    result = align_t1(t1, cine, t1_labels, labels)
    assert not result.shift_mm.any() and "position only" in result.notes[0]
    assert np.abs(result.native_ms[0] - t1.values_ms[0]).max() < 0.01


def test_missing_lv_uses_position_only():
    t1, cine, t1_labels, labels, _ = study((slice_at(0.0),), (slice_at(0.0),), (0.0, 4.0))
    result = align_t1(t1, cine, t1_labels * 0, labels)
    assert not result.shift_mm.any() and "no LV was found on the T1 map" in result.notes[0]


def test_pixels_without_value_are_not_mixed_in():
    row, column = turned(31)
    t1, cine, t1_labels, labels, _ = study((slice_at(0.0),), (slice_at(0.0, row, column),), (1.0, 1.0))
    native = align_t1(t1, cine, t1_labels, labels).native_ms
    values = native[native > 0]
    assert values.min() > 1080 and 0 < (native == 0).mean() < 0.9
