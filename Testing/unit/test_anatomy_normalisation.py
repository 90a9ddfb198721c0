"""Crops are scaled by their own blood: gain does not matter, contrast of the wall does."""

import pytest
import torch

from T1DiffLogic.anatomy.normalisation import (
    CEILING,
    FEATURES,
    intensity_distance,
    intensity_features,
    normalise_cine,
)


def slice_with(blood=300.0, wall=120.0, radius=18, size=64, phases=3):
    """(1, P, H, W) crop and (1, 4, H, W) masks of a round LV on a background of 60."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    r = ((y - size / 2) ** 2 + (x - size / 2) ** 2).sqrt()
    cavity, muscle = r < radius, (r >= radius) & (r < radius + 6)
    image = torch.full((size, size), 60.0)
    image[muscle], image[cavity] = wall, blood
    masks = torch.stack([~(cavity | muscle), torch.zeros_like(cavity), muscle, cavity]).float()
    return image.expand(1, phases, size, size).clone(), masks[None]


def test_blood_becomes_one_and_the_wall_its_ratio():
    crops, masks = slice_with(blood=300, wall=120)
    result = normalise_cine(crops, masks)
    assert result[0, 0, 32, 32] == pytest.approx(1.0)
    assert result[0, 0, 32, 32 + 20] == pytest.approx(0.4)


def test_gain_of_the_receiver_does_not_matter():
    crops, masks = slice_with()
    crops = crops + torch.rand(crops.shape, generator=torch.Generator().manual_seed(0)) * 30
    assert torch.allclose(normalise_cine(crops, masks), normalise_cine(crops * 7.3, masks), atol=1e-5)


def test_each_slice_and_only_the_ed_phase_sets_the_scale():
    crops, masks = slice_with()
    crops[:, 1:] *= 2
    brighter = torch.cat([crops, crops * 3])
    result = normalise_cine(brighter, masks.repeat(2, 1, 1, 1))
    assert torch.allclose(result[0], result[1], atol=1e-6)
    assert result[0, 1, 32, 32] == pytest.approx(2.0)


def test_papillary_muscles_in_the_cavity_do_not_darken_the_blood():
    crops, masks = slice_with(blood=300, wall=120)
    crops[:, :, 28:38, 26:32] = 120.0
    assert normalise_cine(crops, masks)[0, 0, 40, 32] == pytest.approx(1.0)


def test_soft_masks_and_their_labels_scale_alike():
    crops, masks = slice_with()
    jitter = torch.randn(masks.shape, generator=torch.Generator().manual_seed(1)) * 0.3
    soft = torch.softmax(masks * 3 + jitter, 1)
    assert torch.allclose(normalise_cine(crops, masks), normalise_cine(crops, soft), atol=1e-3)


def test_without_a_cavity_the_bright_part_of_the_centre_is_the_ruler():
    crops, masks = slice_with(blood=300)
    none = torch.zeros_like(masks)
    none[:, 0] = 1
    assert normalise_cine(crops, none)[0, 0, 32, 32] == pytest.approx(1.0, abs=0.01)


def test_empty_slice_is_zero_and_bright_fat_is_cut():
    crops, masks = slice_with()
    assert not normalise_cine(torch.zeros_like(crops), masks).any()
    crops[:, :, :4] = 1e5
    assert normalise_cine(crops, masks).max() == CEILING


def test_features_tell_unusual_contrast_and_noise_from_usual():
    def features(noise=6.0, **kwargs):
        crops, masks = slice_with(**kwargs)
        crops = crops + torch.randn(crops.shape, generator=torch.Generator().manual_seed(5)) * noise
        return intensity_features(normalise_cine(crops, masks), masks)

    usual = torch.cat([features(wall=w) for w in (105, 110, 115, 120, 125, 130, 135)])
    mean, sd = usual.mean(0), usual.std(0) + 0.01
    assert usual.shape[1] == len(FEATURES)
    assert intensity_distance(usual, mean, sd).max() < 2.5
    assert intensity_distance(features(wall=260), mean, sd) > 4
    assert intensity_distance(features(noise=60.0), mean, sd) > 4
