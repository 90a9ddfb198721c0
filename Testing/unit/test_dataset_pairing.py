"""Cine and map on one grid: every value lies where the patient's coordinates say."""

from types import SimpleNamespace

import numpy as np
import pytest

from T1DiffLogic.anatomy.alignment import align_t1
from T1DiffLogic.anatomy.roi import Roi
from T1DiffLogic.dataset.contours import without_fat
from T1DiffLogic.dataset.pairing import Crop, PairingOptions, halved, moved_alike, unmatched
from T1DiffLogic.errors import StudyError
from T1DiffLogic.study import Cine, SliceGeometry, T1Map

AXIS = np.array([0.31, -0.47, 0.62])


def place(points) -> np.ndarray:
    """(..., 3) LPS mm -> a number that tells where in the patient one is."""
    return 1200.0 + points @ AXIS


def grid_of(geometry: SliceGeometry) -> np.ndarray:
    return geometry.to_patient(np.stack(np.indices(geometry.shape), axis=-1))


def seen_from(geometries, turn_degrees=25.0, spacing=1.9, size=110, aside_mm=(4.0, -3.0)):
    """Slices in the same planes, turned in plane, of another pixel size and another field of view."""
    angle, result = np.radians(turn_degrees), []
    for g in geometries:
        row = np.cos(angle) * g.row_direction + np.sin(angle) * g.column_direction
        column = np.cross(g.normal, row)
        middle = g.centre + aside_mm[0] * row + aside_mm[1] * column
        origin = middle - (size - 1) / 2 * spacing * (row + column)
        result.append(SliceGeometry(origin, row, column, (spacing, spacing), (size, size), 8.0))
    return tuple(result)


@pytest.fixture(scope="module")
def crop(non_uniform_synthesis):
    """The annulus on an unevenly spaced oblique stack; its cine tells the place, 1 + phase times."""
    synthesis = non_uniform_synthesis
    where = np.stack([place(grid_of(g)) for g in synthesis.cine.geometries])
    images = where[:, None] * (1 + np.arange(12))[None, :, None, None]
    cine = Cine(images, synthesis.cine.geometries, synthesis.cine.trigger_ms)
    anatomy = SimpleNamespace(
        segmentation=synthesis.segmentation,
        phases=synthesis.phases,
        levels=tuple(s.level for s in synthesis.slices),
    )
    roi = Roi.around(synthesis.segmentation.labels_ed, cine.geometries)
    return Crop.of(cine, anatomy, roi), roi, anatomy, cine


def test_cine_and_map_of_a_record_lie_where_its_geometry_says(crop):
    crop, roi, anatomy, cine = crop
    geometries = seen_from(cine.geometries)
    inner = {4, 2, 6}
    maps = T1Map(
        [place(grid_of(geometries[s])) for s in sorted(inner)], [geometries[s] for s in sorted(inner)]
    )
    nothing = np.zeros(maps.values_ms.shape, np.uint8)  # no LV on the map: placed by position alone
    aligned = align_t1(maps, crop.cine, nothing, crop.labels_ed)
    assert set(np.flatnonzero(aligned.matched >= 0)) == inner
    kept = [6, 4, 2]
    record = crop.record(kept, anatomy, aligned, PairingOptions())
    for k, s in enumerate(kept):
        axis = np.arange(128)
        points = (
            record["origin_mm"][k]
            + axis[:, None, None] * record["pixel_mm"] * record["column"][k]
            + axis[None, :, None] * record["pixel_mm"] * record["row"][k]
        )
        truth = place(points)
        # the planes are those of the source
        assert np.abs((points - cine.geometries[s].origin) @ cine.geometries[s].normal).max() < 1e-6
        inside = np.zeros((128, 128), bool)
        inside[4:-4, 4:-4] = True
        pixels = geometries[s].to_pixel(points)
        map_there = inside & ((pixels > 0) & (pixels < 109)).all(axis=-1)
        assert map_there.mean() > 0.5
        # 0.62 per mm: 0.05 is a tenth of a millimetre
        assert np.abs(record["t1_ms"][k] - truth)[map_there].max() < 0.05
        cine_there = inside & roi.inside[s]
        first = record["cine"][k, 0].astype(np.float64)
        assert np.abs(first - truth)[cine_there].max() < 1.0  # half precision at 1200
        es = record["cine"][k, 3].astype(np.float64) / (1 + anatomy.phases.es)
        assert np.abs(es - truth)[cine_there].max() < 2.0
    assert record["phases"][0] == anatomy.phases.ed and record["phases"][3] == anatomy.phases.es


def test_insertion_points_stay_in_the_patient(crop):
    crop, _, anatomy, cine = crop
    for own, source, new, old in zip(
        crop.cine.geometries, cine.geometries, crop.insertions, anatomy.segmentation.rv_insertions
    ):
        seen = np.isfinite(old).all(axis=1)
        np.testing.assert_allclose(own.to_patient(new[seen]), source.to_patient(old[seen]), atol=1e-6)


def test_truth_moves_with_the_map_that_it_belongs_to(crop):
    """A map displaced by a breath comes back onto the LV, and its scar with it."""
    crop, _, _, cine = crop
    s = 4
    geometry = crop.cine.geometries[s]
    lv = crop.labels_ed[s]
    moved = SliceGeometry(  # the same picture, said to lie 5.6 mm and 2.8 mm elsewhere
        geometry.origin + 5.6 * geometry.row_direction - 2.8 * geometry.column_direction,
        geometry.row_direction, geometry.column_direction, geometry.spacing, geometry.shape,
    )  # fmt: skip
    scar = np.zeros(lv.shape)
    scar[60:70, 50:60] = 0.75
    values = np.where(lv > 0, 1200.0, 800.0)
    t1 = T1Map([values], [moved])
    back = moved_alike(scar[None], t1, crop, lv[None], 1000.0)[s]
    assert np.abs(back - scar)[62:68, 52:58].max() < 1e-3
    assert abs(np.abs(back - scar).mean()) < 2e-4  # subpixel remainder of the search at the rim alone


def test_every_t1_slice_without_a_pair_is_told(crop):
    crop, _, _, _ = crop
    geometries = crop.cine.geometries
    far = SliceGeometry(
        geometries[0].origin - 31.0 * geometries[0].normal,
        geometries[0].row_direction, geometries[0].column_direction, (1.4, 1.4), (128, 128),
    )  # fmt: skip
    tilted = SliceGeometry(
        geometries[3].origin, geometries[3].row_direction, geometries[3].normal, (1.4, 1.4), (128, 128)
    )
    t1 = T1Map(np.full((4, 128, 128), 1200.0), (geometries[4], geometries[4], far, tilted))
    aligned = align_t1(t1, crop.cine, np.zeros(t1.values_ms.shape, np.uint8), crop.labels_ed)
    told = dict(unmatched(t1, crop, aligned))
    assert set(told) == {"T1 1", "T1 2", "T1 3"}
    assert "nearer to another" in told["T1 1"]
    assert "31.0 mm away" in told["T1 2"]
    assert "within 10°" in told["T1 3"]
    assert all(sentence.startswith("Inconsistent slice position: ") for sentence in told.values())


def test_scanner_units_beyond_half_precision_keep_their_ratios():
    images = np.array([[[0.0, 70000.0], [140000.0, 35000.0]]], np.float32)
    stored = halved(images).astype(np.float16)
    assert np.isfinite(stored).all()
    np.testing.assert_allclose(stored / stored.max(), images / images.max(), rtol=1e-3)
    small = np.array([[[0.0, 4095.0]]], np.float32)
    np.testing.assert_array_equal(halved(small), small)


def test_too_few_phases_are_refused():
    with pytest.raises(StudyError, match="too few"):
        PairingOptions(cine_phases=2)


def test_fat_leaves_the_wall_and_a_failed_fit_inside_stays():
    y, x = np.mgrid[:60, :60]
    radius = np.hypot(y - 30, x - 30)
    labels = np.select([radius < 12, radius < 20], [3, 2], 0).astype(np.uint8)
    t1 = np.select([radius < 12, radius < 18], [1800.0, 1200.0], 380.0)
    t1[30, 45] = 0.0  # a pixel within the wall
    found = without_fat(labels, t1)
    assert (found[(radius >= 18) & (radius < 20)] == 0).all()
    assert (found[radius < 18] == labels[radius < 18]).all()
    # T1 of the whole ring of fat is no reason to take a wall away that was never beside the outside
    assert (
        without_fat(labels, np.where(radius < 19, 380.0, 1200.0))[radius < 16] == labels[radius < 16]
    ).all()
