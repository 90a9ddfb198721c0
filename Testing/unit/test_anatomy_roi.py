"""The LV-centred ROI: exact in millimetres both ways, faithful to the image, fast."""

import time

import numpy as np
import pytest
from scipy import ndimage

from T1DiffLogic.anatomy.roi import Roi, lv_centre_line
from T1DiffLogic.errors import StudyError
from T1DiffLogic.study import LV_CAVITY, LV_MYOCARDIUM, SliceGeometry


def oblique_stack(rng, positions, spacing=(1.3, 1.7), shape=(150, 170), lean=0.3):
    """Oblique parallel slices whose origins wander, as in a re-planned stack, and an LV line through them."""
    row, column = np.linalg.qr(rng.normal(size=(3, 2)))[0].T
    normal = np.cross(row, column)
    line = normal + lean * row
    geometries, points = [], []
    for position in positions:
        point = np.array([10.0, -20.0, 30.0]) + position * line
        corner = point - rng.uniform(0.4, 0.6) * shape[0] * spacing[0] * column
        corner = corner - rng.uniform(0.4, 0.6) * shape[1] * spacing[1] * row
        geometries.append(SliceGeometry(corner, row, column, spacing, shape))
        points.append(point)
    return geometries, np.array(points)


def disc_labels(geometries, points, radius_mm=28):
    result = []
    for g, p in zip(geometries, points):
        distance = np.linalg.norm(g.to_patient(np.stack(np.indices(g.shape), -1)) - p, axis=-1)
        result.append(
            np.where(distance < radius_mm - 8, LV_CAVITY, np.where(distance < radius_mm, LV_MYOCARDIUM, 0))
        )
    return np.array(result, dtype=np.uint8)


def smooth_field(points):
    """A band-limited field in patient space (shortest wavelength 18 mm)."""
    return 500 + 100 * np.sin(points @ [0.2, 0.11, -0.15]) + 80 * np.cos(points @ [-0.13, 0.21, 0.24])


def pixel_centres(geometry):
    return geometry.to_patient(np.stack(np.indices(geometry.shape), axis=-1))


def test_positions_round_trip_in_mm():
    geometries, points = oblique_stack(np.random.default_rng(0), [0, 7, 17, 25])
    roi = Roi.around(disc_labels(geometries, points), geometries)
    for s, (source, region) in enumerate(zip(geometries, roi.roi_geometries)):
        world = pixel_centres(region)
        assert np.abs(source.distance(world)).max() < 1e-6
        assert np.abs(source.to_patient(source.to_pixel(world)) - world).max() < 1e-6
        assert np.abs(region.to_pixel(world) - np.stack(np.indices((128, 128)), -1)).max() < 1e-6
        middle = region.to_patient(np.array([63.5, 63.5]))
        assert np.linalg.norm(middle - source.to_patient(roi.centres[s])) < 1e-6
        assert np.linalg.norm(middle - points[s]) < 1.0


@pytest.mark.parametrize("spacing", [(1.3, 1.7), (0.8, 0.8), (2.1, 1.0)])
def test_extract_shows_the_field_where_the_roi_geometry_says(spacing):
    geometries, points = oblique_stack(np.random.default_rng(1), [0, 8], spacing, (260, 280))
    roi = Roi(np.array([g.to_pixel(p) for g, p in zip(geometries, points)]) + 0.37, tuple(geometries))
    image = np.stack([smooth_field(pixel_centres(g)) for g in geometries])
    crop = roi.extract(image)
    assert crop.shape == (2, 128, 128) and crop.dtype == np.float32
    truth = np.stack([smooth_field(pixel_centres(g)) for g in roi.roi_geometries])
    inside = np.stack([ndimage.binary_erosion(m, iterations=3) for m in roi.inside])
    error = np.abs(crop - truth)[inside]
    assert error.max() < 14 and np.sqrt((error**2).mean()) < 5  # of ±180


def test_restore_inverts_extract():
    geometries, points = oblique_stack(np.random.default_rng(2), [0, 8, 20])
    roi = Roi.around(disc_labels(geometries, points), geometries)
    image = np.stack([smooth_field(pixel_centres(g)) for g in geometries])
    back = roi.restore(roi.extract(image))
    assert back.shape == image.shape
    inside = roi.restore(roi.inside.astype(np.float32), order=0) > 0
    inside = np.stack([ndimage.binary_erosion(m, iterations=2) for m in inside])
    assert inside.mean() > 0.3
    assert np.abs(back - image)[inside].max() < 15 and np.abs(back - image)[inside].mean() < 3.5
    outside = ~np.stack([ndimage.binary_dilation(m, iterations=2) for m in inside | (back != 0)])
    assert not back[outside].any()


def test_labels_round_trip_by_nearest_neighbour():
    geometries, points = oblique_stack(np.random.default_rng(3), [0, 8], (1.4, 1.4))
    labels = disc_labels(geometries, points)
    roi = Roi.around(labels, geometries)
    there = roi.extract(labels, order=0)
    assert set(np.unique(there)) == {0, LV_MYOCARDIUM, LV_CAVITY}
    assert (roi.restore(there, order=0) != labels).mean() < 2e-4  # ties at exactly half a pixel


def test_bilinear_agrees_with_scipy_at_the_native_pixel_size():
    rng = np.random.default_rng(4)
    geometries, _ = oblique_stack(rng, [0], (1.4, 1.4), (150, 160))
    roi = Roi(np.array([[70.3, 81.8]]), tuple(geometries))
    image = rng.normal(size=(1, 150, 160))
    grid = np.stack(np.meshgrid(70.3 + np.arange(128) - 63.5, 81.8 + np.arange(128) - 63.5, indexing="ij"))
    assert np.abs(roi.extract(image)[0] - ndimage.map_coordinates(image[0], grid, order=1)).max() < 1e-5


def test_prefilter_suppresses_what_the_roi_cannot_hold():
    geometry = SliceGeometry([0, 0, 0], [1, 0, 0], [0, 1, 0], (0.5, 0.5), (400, 400))
    stripes = np.cos(2 * np.pi * 0.5 * np.arange(400) / 1.5)[None, :].repeat(400, axis=0)  # 1.5 mm period
    roi = Roi(np.array([[199.5, 199.5]]), (geometry,))
    assert roi.extract(stripes[None])[0].std() < 0.25 * stripes.std()
    assert roi.extract(np.ones((1, 400, 400)))[roi.inside] == pytest.approx(1, abs=1e-5)


def test_near_the_border_the_outside_is_zero_and_marked():
    geometry = SliceGeometry([0, 0, 0], [1, 0, 0], [0, 1, 0], (1.4, 1.4), (100, 140))
    roi = Roi(np.array([[10.2, 135.2]]), (geometry,))
    crop = roi.extract(np.full((1, 100, 140), 7.0))
    assert not crop[~roi.inside].any() and (crop[roi.inside] > 6.99).all()
    rows, columns = np.nonzero(roi.inside[0])
    assert (rows.min(), columns.max()) == (53, 67)  # source row r lies at ROI row r - 10.2 + 63.5
    assert roi.inside[0].sum() == (128 - 53) * 68


def test_centre_line_follows_the_tilt_and_ignores_a_failed_slice():
    geometries, points = oblique_stack(np.random.default_rng(5), [0, 8, 16, 24, 36, 44, 52])
    labels = disc_labels(geometries, points)
    labels[3] = 0  # the network saw nothing here, and something far away on the next
    labels[4] = np.roll(labels[4], 25, axis=1)
    centres = lv_centre_line(labels > 0, geometries)
    for geometry, centre, point in zip(geometries, centres, points):
        assert np.linalg.norm(geometry.to_patient(centre) - point) < 5


def test_probabilities_centre_like_their_labels():
    geometries, points = oblique_stack(np.random.default_rng(8), [0, 8])
    labels = disc_labels(geometries, points)
    soft = np.stack([labels == k for k in range(4)], axis=1).astype(np.float32)
    assert Roi.around(soft, geometries).centres == pytest.approx(Roi.around(labels, geometries).centres)


def test_no_lv_is_an_error():
    geometries, _ = oblique_stack(np.random.default_rng(6), [0, 8])
    with pytest.raises(StudyError, match="no left ventricle"):
        Roi.around(np.zeros((2, 150, 170), np.uint8), geometries)
    with pytest.raises(StudyError, match="does not fit"):
        Roi(np.zeros((2, 2)), tuple(geometries)).extract(np.zeros((2, 4, 128, 128)))


def test_250_frames_of_256_squared_take_under_two_seconds():
    geometries, _ = oblique_stack(np.random.default_rng(7), np.arange(10) * 8.0, (1.2, 1.2), (256, 256))
    roi = Roi(np.full((10, 2), 127.5), tuple(geometries))
    images = np.ones((10, 25, 256, 256), dtype=np.float32)
    start = time.process_time()
    crops = roi.extract(images)
    assert crops.shape == (10, 25, 128, 128) and time.process_time() - start < 2
