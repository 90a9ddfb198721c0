"""Schedules, forward process, posterior, conversions, loss weights and keyed noise."""

import math

import numpy as np
import pytest
import torch

from T1DiffLogic.engine.diffusion import PREDICTIONS, NoiseSchedule

SCHEDULES = [
    NoiseSchedule("linear"),
    NoiseSchedule("cosine"),
    NoiseSchedule("linear", zero_terminal_snr=True),
    NoiseSchedule("cosine", zero_terminal_snr=True),
]


def test_linear_schedule_is_the_product_of_its_betas():
    beta = np.linspace(1e-4, 0.02, 1000)
    expected = np.exp(np.cumsum(np.log1p(-beta)))
    np.testing.assert_allclose(NoiseSchedule("linear").alpha_bar.numpy(), expected, rtol=1e-10)
    assert NoiseSchedule("linear").alpha_bar[-1] == pytest.approx(4.036e-5, rel=1e-3)


def test_cosine_schedule_follows_its_closed_form_until_beta_is_capped():
    schedule = NoiseSchedule("cosine")
    t = np.arange(1, 1001) / 1000
    closed = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2 / np.cos(0.008 / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(schedule.alpha_bar.numpy()[:-1], closed[:-1], rtol=1e-9)
    assert schedule.alpha_bar[-1] / schedule.alpha_bar[-2] == pytest.approx(1e-3)


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_zero_terminal_snr_ends_in_pure_noise_and_keeps_the_first_step(kind):
    plain, rescaled = NoiseSchedule(kind), NoiseSchedule(kind, zero_terminal_snr=True)
    assert rescaled.alpha_bar[-1] == 0.0
    assert float(rescaled.alpha_bar[0]) == pytest.approx(float(plain.alpha_bar[0]), rel=1e-12)
    assert (rescaled.alpha_bar.diff() < 0).all()
    assert rescaled.log_snr[-1] == -math.inf


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_one_jump_equals_the_chain_of_single_steps(schedule):
    """Eq. 2 against Eq. 1 iterated: mean factor and variance by recursion."""
    mean, variance, previous = 1.0, 0.0, 1.0
    for t in range(300):
        beta = 1 - float(schedule.alpha_bar[t]) / previous
        previous = float(schedule.alpha_bar[t])
        mean, variance = math.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
    z = torch.tensor([[[[2.0]]]], dtype=torch.float64)
    t = torch.tensor([299])
    assert schedule.add_noise(z, torch.zeros_like(z), t).item() == pytest.approx(2 * mean, rel=1e-9)
    assert schedule.add_noise(0 * z, torch.ones_like(z), t).item() ** 2 == pytest.approx(variance, rel=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("t", "s"), [(999, 998), (999, 874), (500, 300), (1, 0)])
def test_posterior_equals_bayes_rule(schedule, t, s):
    """q(z_s | z_t, z_0) from the product of the Gaussians q(z_s | z_0) and q(z_t | z_s)."""
    ab_t, ab_s = float(schedule.alpha_bar[t]), float(schedule.alpha_bar[s])
    ratio = math.sqrt(ab_t / ab_s)
    precision = 1 / (1 - ab_s) + ratio**2 / (1 - ratio**2)
    a, b, variance = schedule.posterior(t, s)
    assert variance == pytest.approx(1 / precision, rel=1e-9)
    assert a == pytest.approx(math.sqrt(ab_s) / (1 - ab_s) / precision, rel=1e-9)
    assert b == pytest.approx(ratio / (1 - ratio**2) / precision, rel=1e-9, abs=1e-12)


def test_posterior_of_the_last_step_is_the_estimate_itself():
    assert SCHEDULES[0].posterior(0, None) == pytest.approx((1.0, 0.0, 0.0))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_conversions_invert_the_training_target(schedule, prediction):
    if prediction == "epsilon" and schedule.zero_terminal_snr:
        t = torch.tensor([0, 10, 500, 900])  # at T − 1 ε holds nothing of x0
    else:
        t = torch.tensor([0, 10, 500, 999])
    generator = torch.Generator().manual_seed(1)
    z_0, noise = torch.randn(2, 4, 1, 3, 3, generator=generator, dtype=torch.float64)
    z_t = schedule.add_noise(z_0, noise, t)
    target = schedule.training_target(prediction, z_0, noise, t)
    x0, epsilon = schedule.x0_and_epsilon(prediction, target, z_t, t)
    torch.testing.assert_close(x0, z_0, rtol=0, atol=1e-8)
    torch.testing.assert_close(epsilon, noise, rtol=0, atol=1e-8)


def test_coefficients_follow_the_batch_and_not_the_pixels():
    schedule = SCHEDULES[0]
    z = torch.ones(3, 1, 2, 2)
    noised = schedule.add_noise(z, torch.zeros_like(z), torch.tensor([0, 500, 999]))
    expected = schedule.alpha_bar[[0, 500, 999]].sqrt().float()
    torch.testing.assert_close(noised, expected[:, None, None, None].expand(3, 1, 2, 2))


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_min_snr_weights_weigh_the_same_error_alike(kind):
    """An error in x0 costs SNR times as much as ε and (SNR + 1) as v: one weight in three forms."""
    schedule = NoiseSchedule(kind)
    snr = schedule.snr
    epsilon, x0, v = (schedule.min_snr_weight(p) for p in ("epsilon", "x0", "v"))
    torch.testing.assert_close(epsilon, snr.clamp(max=5) / snr)
    loud = snr >= 1
    torch.testing.assert_close((epsilon * snr)[loud], x0[loud])
    torch.testing.assert_close(x0, v * (snr + 1))
    assert x0.max() == 5.0


@pytest.mark.parametrize("prediction", ["x0", "v"])
def test_the_pure_noise_step_keeps_its_weight(prediction):
    weight = NoiseSchedule("cosine", zero_terminal_snr=True).min_snr_weight(prediction)
    assert weight.isfinite().all()
    assert weight[-1] == 1.0


def test_timestep_subsets():
    schedule = NoiseSchedule("linear")
    assert schedule.subset(8) == [999, 874, 749, 624, 499, 374, 249, 124]
    assert schedule.subset(4, "leading") == [750, 500, 250, 0]
    assert schedule.subset(1) == [999]
    assert schedule.subset(1000) == schedule.subset(1000, "leading") == list(range(999, -1, -1))
    for steps in (3, 7, 30, 700):
        subset = schedule.subset(steps)
        assert len(set(subset)) == steps and subset[0] == 999 and subset[-1] >= 0
    for steps in (0, 1001):
        with pytest.raises(ValueError, match="steps"):
            schedule.subset(steps)


def test_unknown_names_are_refused():
    z, t = torch.zeros(1, 1, 2, 2), torch.tensor([3])
    with pytest.raises(ValueError, match="schedule"):
        NoiseSchedule("sigmoid")
    with pytest.raises(ValueError, match="prediction"):
        SCHEDULES[0].training_target("score", z, z, t)


def test_even_steps_in_log_snr_miss_no_octave_of_the_noise():
    """What 1200 pixels share, half a unit, is decided while σ/α falls through √1200/2: steps of even time
    leap over it, between steps of even log SNR σ/α never falls by more than a factor of 2.4."""
    schedule = NoiseSchedule("cosine", 1000, zero_terminal_snr=True)

    def largest_leap(spacing, steps=8):
        chosen = schedule.subset(steps, spacing)
        assert chosen[0] == 999 and all(a > b for a, b in zip(chosen, chosen[1:]))
        ratio = ((1 - schedule.alpha_bar) / schedule.alpha_bar).sqrt()[chosen[1:]]
        return float((ratio[:-1] / ratio[1:]).max()), float(ratio[0])

    leap, first = largest_leap("log_snr")
    assert leap < 2.4 and first > 50
    leap, first = largest_leap("trailing")
    assert first < 6
    assert schedule.subset(1, "log_snr") == [999]
    middle = schedule.subset(2, "log_snr")[1]
    assert float(schedule.log_snr[middle]) == pytest.approx(-3, abs=0.05)


@pytest.mark.parametrize("steps", [50, 200, 999, 1000])
def test_many_steps_in_log_snr_are_still_that_many_timesteps(steps):
    chosen = NoiseSchedule("cosine", 1000, zero_terminal_snr=True).subset(steps, "log_snr")
    assert len(set(chosen)) == steps and chosen == sorted(chosen, reverse=True)
    assert chosen[0] == 999 and chosen[-1] >= 0
