"""Noise with a key: the same whatever the batch, antithetic pairs, levels spread evenly."""

import pytest
import torch

from T1DiffLogic.engine.noise import SampleNoise, keyed_noise


def test_keyed_noise_depends_on_its_key_alone():
    first = keyed_noise((1, 8, 8), 7, 2, 3)
    torch.manual_seed(99)  # the global generator has no part in it
    torch.testing.assert_close(keyed_noise((1, 8, 8), 7, 2, 3), first, rtol=0, atol=0)
    keys = [(7, 2, 3, 0), (8, 2, 3, 0), (7, 3, 2, 0), (7, 2, 4, 0), (7, 2, 3, 1), (72, 3, 3, 0)]
    draws = torch.stack([keyed_noise((1, 64, 64), *key).flatten() for key in keys])
    assert (torch.corrcoef(draws) - torch.eye(len(keys))).abs().max() < 0.1
    assert draws.mean().abs() < 0.02
    assert draws.std().item() == pytest.approx(1, abs=0.02)


def test_a_seed_keeps_its_meaning():
    """Published maps can only be repeated while these values stand."""
    expected = torch.tensor([-0.1383926, 0.1912181, 2.4597263, 1.2999492])
    torch.testing.assert_close(keyed_noise((4,), 2024, 5, 1), expected, rtol=0, atol=1e-6)


def noise(seed=1, slices=(4, 9), samples=3):
    return SampleNoise(seed, slices, samples, 32)


def test_seed_slice_and_sample_each_have_their_noise():
    grid = noise().at()
    assert grid.shape == (2, 3, 1, 32, 32)
    torch.testing.assert_close(noise(slices=[9]).at()[0, 2], grid[1, 2], rtol=0, atol=0)
    flat = grid.flatten(0, 1).flatten(1)
    assert len({tuple(row[:4].tolist()) for row in flat}) == 6
    assert not torch.equal(noise(2).at()[1, 2], grid[1, 2])
    # antithetic pairs: 0 and 1 cancel, 1 and 2 have nothing in common
    assert torch.equal(grid[:, 1], -grid[:, 0])
    assert abs(torch.corrcoef(torch.stack([grid[0, 1].flatten(), grid[0, 2].flatten()]))[0, 1]) < 0.15
    assert not torch.equal(noise().at(1)[1, 2], grid[1, 2])


def test_levels_are_standard_normal_over_the_seeds():
    levels = torch.stack([noise(seed, samples=6).levels() for seed in range(4000)]).double()
    even = (torch.arange(4000) + 0.5) / 4000
    for sample in range(6):
        drawn = torch.special.ndtr(levels[:, sample].sort().values)
        assert (drawn - even).abs().max() < 0.03  # Kolmogorov's distance; 0.027 is p = 0.006
    assert torch.equal(levels[:, 1], -levels[:, 0])
    between = torch.corrcoef(levels[:, ::2].T) - torch.eye(3)
    assert between.abs().max() < 0.05


def test_few_levels_have_their_sd_more_nearly_than_independent_pairs():
    def sds(samples):
        return torch.stack([noise(seed, samples=samples).levels().std() for seed in range(1000)])

    generator = torch.Generator().manual_seed(0)
    for samples in (8, 16):
        pairs = torch.randn((4000, samples // 2), generator=generator)
        independent = torch.cat([pairs, -pairs], dim=1).std(1)
        assert sds(samples).std() < 0.75 * independent.std()
    assert float(noise(0, samples=8).levels().std()) == pytest.approx(1, abs=0.02)
    assert float(noise(0, samples=64).levels().std()) == pytest.approx(1, abs=0.06)


def test_a_level_is_its_samples_whatever_the_slices_and_the_number_of_samples():
    assert torch.equal(noise(slices=[7]).levels(), noise(slices=[0, 1]).levels())
    assert torch.equal(noise(5, samples=6).levels(), noise(5, samples=8).levels()[:6])
    assert noise(2**62 + 12345, samples=12).levels().isfinite().all()


def test_a_sample_without_its_partner_has_no_level():
    """With one sample at one seed, every patient's map would else be off to the same side."""
    assert noise(samples=1).levels().tolist() == [0.0]
    levels = noise(samples=3).levels()
    assert levels[2] == 0 and levels[0] == -levels[1] != 0
