"""Between study and engine: what goes in, and how maps come back onto the cine's pixels."""

import numpy as np
import pytest
import torch

from T1DiffLogic.anatomy.roi import Roi
from T1DiffLogic.sampling import engine_inputs, inner_wall_map, restored
from T1DiffLogic.study import LV_MYOCARDIUM


@pytest.fixture(scope="module")
def roi(synthesis) -> Roi:
    return Roi.around(synthesis.segmentation.labels_ed, synthesis.cine.geometries)


def test_engine_sees_ed_first_and_es_before_the_last(synthesis, roi):
    cine, phases = synthesis.cine, synthesis.phases
    inputs = engine_inputs(cine, phases, synthesis.segmentation, roi, 5)
    assert inputs.cine.shape == (cine.n_slices, 5, 128, 128)
    for position, phase in ((0, phases.ed), (3, phases.es)):
        seen = inputs.cine[4, position].numpy().ravel()
        source = roi.extract(cine.images[:, phase])[4].ravel()
        assert np.corrcoef(seen, source)[0, 1] > 0.999


def test_masks_are_probabilities_even_beyond_the_image(synthesis, roi):
    inputs = engine_inputs(synthesis.cine, synthesis.phases, synthesis.segmentation, roi, 1)
    for masks in (inputs.soft_ed, inputs.soft_es):
        assert masks.sum(dim=1).allclose(masks.new_ones(()), atol=1e-5)
        assert masks.min() >= 0
    outside = ~roi.inside
    assert outside.any(), "this fixture's image should be smaller than the region of interest"
    assert (inputs.soft_ed[:, 0].numpy()[outside] == 1).all()


def test_blood_is_near_one(synthesis, roi):
    inputs = engine_inputs(synthesis.cine, synthesis.phases, synthesis.segmentation, roi, 1)
    cavity = inputs.soft_ed[4, 3] > 0.95
    assert inputs.cine[4, 0][cavity].mean() == pytest.approx(1.0, abs=0.05)


def test_maps_come_back_in_millimetres(synthesis, roi):
    """A map that is a linear function of patient position must be that function on the cine's pixels."""
    gradient = np.array([1.7, -0.9, 2.3])
    slices = np.array([1, 2, 5])
    pixels = np.stack(np.indices((roi.size, roi.size)), axis=-1)
    maps = np.stack([roi.roi_geometries[s].to_patient(pixels) @ gradient + 1200 for s in slices])
    masks = synthesis.segmentation
    inputs = engine_inputs(synthesis.cine, synthesis.phases, masks, roi, 1)
    both = np.stack([maps, maps + 50], axis=1).astype(np.float32)
    samples, valid = restored(both, slices, roi, inputs, masks)
    assert samples.shape == (2, *valid.shape)
    for s, geometry in enumerate(synthesis.cine.geometries):
        if s not in slices:
            assert not valid[s].any() and not samples[:, s].any()
            continue
        inside = valid[s].astype(bool)
        grid = np.stack(np.indices(geometry.shape), axis=-1)
        expected = geometry.to_patient(grid) @ gradient + 1200
        assert inside.mean() > 0.5
        wall = masks.labels_ed[s] == LV_MYOCARDIUM
        plain = inside & ~wall
        assert np.abs(samples[0, s][plain] - expected[plain]).max() < 0.05
        assert np.abs(samples[1, s][plain] - expected[plain] - 50).max() < 0.05
        # wall pixels look a pixel or two inward, never elsewhere
        assert np.abs(samples[0, s][inside & wall] - expected[inside & wall]).max() < 3 * 1.4 * 3.1
        assert not samples[:, s][:, ~inside].any()


def test_no_slice_judged_gives_an_empty_map(synthesis, roi):
    masks = synthesis.segmentation
    inputs = engine_inputs(synthesis.cine, synthesis.phases, masks, roi, 1)
    nothing = np.empty((0, 4, 128, 128), np.float32), np.array([], dtype=int)
    samples, valid = restored(*nothing, roi, inputs, masks)
    assert samples.shape == (4, *valid.shape) and not samples.any() and not valid.any()


def test_wall_values_come_from_inside_the_wall():
    """Blood, lung and the blurred border beside a ring of constant T1 leave no trace on it."""
    y, x = np.indices((64, 64)) - 31.5
    radius = np.hypot(y, x)
    true_wall = (radius > 12) & (radius < 18)
    clean = np.where(radius <= 12, 1850.0, np.where(true_wall, 1200.0, 900.0)).astype(np.float32)
    blurred = torch.nn.functional.avg_pool2d(torch.from_numpy(clean)[None, None], 3, 1, 1)
    wall = torch.from_numpy(true_wall.astype(np.float32))[None]
    result = inner_wall_map(blurred, wall)[0, 0].numpy()
    before = np.abs(blurred[0, 0].numpy()[true_wall] - 1200)
    after = np.abs(result[true_wall] - 1200)
    assert before.max() > 150 and after.max() < 15
    # away from the wall nothing changes
    far = (radius < 4) | (radius > 28)
    np.testing.assert_allclose(result[far], blurred[0, 0].numpy()[far], atol=1e-3)
