"""Samplers against diffusers, against closed forms, and at a zero terminal SNR."""

import math

import pytest
import torch

from T1DiffLogic.engine.diffusion import NoiseSchedule
from T1DiffLogic.engine.samplers import SAMPLERS, ddim, ddpm, dpm_solver_pp_2m

LINEAR, COSINE = NoiseSchedule("linear"), NoiseSchedule("cosine")
ZERO = NoiseSchedule("cosine", zero_terminal_snr=True)


def start(n=64, seed=0):
    return torch.randn(1, 1, 8, n // 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(z, t):
    """Some smooth ε estimate; whether it is any good does not matter here."""
    return 0.8 * torch.tanh(z) + 0.1 * math.cos(t / 90)


def prediction_of(schedule):
    def predict(z, t):
        alpha, sigma = schedule.alpha_sigma(t)
        epsilon = network(z, t)
        return (z - sigma * epsilon) / alpha, epsilon

    return predict


def stream(seed=5):
    generator = torch.Generator().manual_seed(seed)
    return lambda i: torch.randn(1, 1, 8, 8, generator=generator, dtype=torch.float64)


def betas(schedule):
    alpha_bar = schedule.alpha_bar
    return (1 - alpha_bar / torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])).numpy()


def diffusers_scheduler(name, schedule, steps, spacing, **options):
    diffusers = pytest.importorskip(
        "diffusers", reason="diffusers is not installed: pip install t1diff[test]"
    )
    scheduler = getattr(diffusers, name)(
        num_train_timesteps=1000, trained_betas=betas(schedule), timestep_spacing=spacing, **options
    )
    scheduler.alphas_cumprod = schedule.alpha_bar.clone()  # theirs went through float32
    scheduler.set_timesteps(steps)
    assert scheduler.timesteps.tolist() == schedule.subset(steps, spacing)
    return scheduler


CASES = [
    (LINEAR, 50, "trailing"),
    (LINEAR, 20, "leading"),
    (COSINE, 8, "trailing"),
    (LINEAR, 1000, "trailing"),
]


@pytest.mark.parametrize(("schedule", "steps", "spacing"), CASES)
def test_ddpm_equals_diffusers(schedule, steps, spacing):
    scheduler = diffusers_scheduler("DDPMScheduler", schedule, steps, spacing, clip_sample=False)
    generator = torch.Generator().manual_seed(5)
    z = start()
    for t in scheduler.timesteps:
        z = scheduler.step(network(z, int(t)), t, z, generator=generator).prev_sample
    ours = ddpm(prediction_of(schedule), start(), schedule, steps, noise=stream(), spacing=spacing)
    torch.testing.assert_close(ours, z, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("eta", [0.0, 0.6])
@pytest.mark.parametrize(("schedule", "steps", "spacing"), CASES)
def test_ddim_equals_diffusers(schedule, steps, spacing, eta):
    scheduler = diffusers_scheduler("DDIMScheduler", schedule, steps, spacing, clip_sample=False)
    scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    generator = torch.Generator().manual_seed(5)
    z = start()
    for t in scheduler.timesteps:
        z = scheduler.step(network(z, int(t)), int(t), z, eta=eta, generator=generator).prev_sample
    noise = stream() if eta else None
    ours = ddim(prediction_of(schedule), start(), schedule, steps, noise, spacing=spacing, eta=eta)
    torch.testing.assert_close(ours, z, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("schedule", "steps"), [(LINEAR, 50), (COSINE, 8), (COSINE, 25)])
def test_dpm_solver_equals_diffusers(schedule, steps):
    scheduler = diffusers_scheduler("DPMSolverMultistepScheduler", schedule, steps, "trailing")
    z = start()
    for t in scheduler.timesteps:
        z = scheduler.step(network(z, int(t)), t, z).prev_sample
    ours = dpm_solver_pp_2m(prediction_of(schedule), start(), schedule, steps)
    torch.testing.assert_close(ours, z, rtol=1e-4, atol=1e-4)  # theirs keeps σ in float32


MEAN, SD = 0.4, 0.3


def optimal(schedule):
    """The exact conditional mean for data N(MEAN, SD²)."""

    def predict(z, t):
        alpha, sigma = schedule.alpha_sigma(t)
        x0 = MEAN + alpha * SD**2 / (alpha**2 * SD**2 + sigma**2) * (z - alpha * MEAN)
        return x0, (z - alpha * x0) / sigma

    return predict


def flow(schedule, z_T):
    """The probability flow of Gaussian data keeps the number of standard deviations."""
    alpha, sigma = schedule.alpha_sigma(schedule.timesteps - 1)
    return MEAN + SD * (z_T - alpha * MEAN) / math.sqrt(alpha**2 * SD**2 + sigma**2)


@pytest.mark.parametrize("schedule", [LINEAR, COSINE, ZERO])
def test_ddpm_draws_the_data_distribution(schedule):
    generator = torch.Generator().manual_seed(3)
    z_T = torch.randn(20000, generator=generator, dtype=torch.float64)
    draws = ddpm(
        optimal(schedule),
        z_T,
        schedule,
        1000,
        noise=lambda i: torch.randn(20000, generator=generator, dtype=torch.float64),
    )
    assert draws.mean().item() == pytest.approx(MEAN, abs=4 * SD / math.sqrt(20000))
    assert draws.std().item() == pytest.approx(SD, rel=0.03)
    assert abs(torch.corrcoef(torch.stack([z_T, draws]))[0, 1]) < 0.1  # the start is forgotten


@pytest.mark.parametrize("schedule", [LINEAR, COSINE, ZERO])
@pytest.mark.parametrize(
    ("sampler", "steps", "tolerance"), [(ddim, 1000, 5e-3), (dpm_solver_pp_2m, 100, 3e-3)]
)
def test_deterministic_samplers_follow_the_probability_flow(schedule, sampler, steps, tolerance):
    z_T = torch.linspace(-2.5, 2.5, 11, dtype=torch.float64)
    ours = sampler(optimal(schedule), z_T, schedule, steps)
    torch.testing.assert_close(ours, flow(schedule, z_T), rtol=0, atol=5e-3)


def test_the_second_order_pays():
    z_T = torch.linspace(-2.5, 2.5, 11, dtype=torch.float64)

    def error(sampler, steps):
        return (sampler(optimal(ZERO), z_T, ZERO, steps) - flow(ZERO, z_T)).abs().max().item()

    assert error(dpm_solver_pp_2m, 20) < 0.3 * error(ddim, 20)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 3, 8])
def test_zero_terminal_snr_is_finite_and_one_step_gives_the_mean(name, steps):
    z = SAMPLERS[name](optimal(ZERO), start(), ZERO, steps, noise=stream())
    assert z.isfinite().all()
    if steps == 1:
        torch.testing.assert_close(z, torch.full_like(z, MEAN), rtol=0, atol=1e-12)


def test_zero_terminal_snr_is_the_limit_of_a_vanishing_one():
    """Against the general formula on a schedule whose last α is tiny but not zero."""
    nearly = NoiseSchedule("cosine", zero_terminal_snr=True)
    nearly.alpha_bar[-1] = 1e-18
    z_T = start()
    for steps in (2, 5, 8):
        exact = dpm_solver_pp_2m(optimal(ZERO), z_T, ZERO, steps)
        limit = dpm_solver_pp_2m(optimal(nearly), z_T, nearly, steps)
        torch.testing.assert_close(exact, limit, rtol=0, atol=2e-2)


@pytest.mark.parametrize("name", SAMPLERS)
def test_progress_is_told_and_a_cancel_passes_through(name):
    class Stop(Exception):
        pass

    told = []

    def callback(step, total):
        told.append((step, total))
        if step == 3:
            raise Stop

    with pytest.raises(Stop):
        SAMPLERS[name](optimal(LINEAR), start(), LINEAR, 5, noise=stream(), callback=callback)
    assert told == [(1, 5), (2, 5), (3, 5)]


def test_stochastic_samplers_ask_for_noise():
    with pytest.raises(ValueError, match="noise"):
        ddpm(optimal(LINEAR), start(), LINEAR, 5)
    with pytest.raises(ValueError, match="noise"):
        ddim(optimal(LINEAR), start(), LINEAR, 5, eta=1.0)
