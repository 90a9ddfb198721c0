"""From z_T to z_0: one function per sampler, all with the same signature.

    sampler(predict, z_T, schedule, steps, noise=None, callback=None, spacing="trailing") -> z_0

predict(z, t) returns (x0 estimate, ε estimate) at timestep index t (an int). `noise(i)` gives the
standard normal draw of step i = 1, 2, … and is needed by stochastic samplers only. `callback(step,
total)` follows each evaluation; whatever it raises (a cancel) passes through.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from .diffusion import NoiseSchedule

Predict = Callable[[Tensor, int], tuple[Tensor, Tensor]]
Noise = Callable[[int], Tensor]
Callback = Callable[[int, int], None]


def _transitions(schedule: NoiseSchedule, steps: int, spacing: str) -> list[tuple[int, int | None]]:
    """(t, next t) pairs, the last one to the clean end (None)."""
    subset = schedule.subset(steps, spacing)
    return list(zip(subset, [*subset[1:], None], strict=True))


def ddpm(
    predict: Predict,
    z_T: Tensor,
    schedule: NoiseSchedule,
    steps: int,
    noise: Noise | None = None,
    callback: Callback | None = None,
    spacing: str = "trailing",
) -> Tensor:
    """Ancestral sampling (Ho et al. 2020; the paper's Eqs. 3–4), with the posterior variance β̃."""
    if noise is None:
        raise ValueError("DDPM draws noise at every step; give it `noise`")
    z = z_T
    for i, (t, s) in enumerate(_transitions(schedule, steps, spacing), start=1):
        x0, _ = predict(z, t)
        a, b, variance = schedule.posterior(t, s)
        z = a * x0 + b * z
        if s is not None:
            z = z + math.sqrt(variance) * noise(i)
        if callback is not None:
            callback(i, steps)
    return z


def ddim(
    predict: Predict,
    z_T: Tensor,
    schedule: NoiseSchedule,
    steps: int,
    noise: Noise | None = None,
    callback: Callback | None = None,
    spacing: str = "trailing",
    eta: float = 0.0,
) -> Tensor:
    """DDIM (Song et al. 2020); η = 0 is deterministic, η = 1 has the variance of DDPM."""
    if eta > 0 and noise is None:
        raise ValueError("DDIM with η > 0 draws noise at every step; give it `noise`")
    z = z_T
    for i, (t, s) in enumerate(_transitions(schedule, steps, spacing), start=1):
        x0, epsilon = predict(z, t)
        alpha_s, sigma_s = schedule.alpha_sigma(s)
        spread = eta * math.sqrt(schedule.posterior(t, s)[2])
        z = alpha_s * x0 + math.sqrt(max(sigma_s**2 - spread**2, 0.0)) * epsilon
        if spread > 0:
            z = z + spread * noise(i)
        if callback is not None:
            callback(i, steps)
    return z


def dpm_solver_pp_2m(
    predict: Predict,
    z_T: Tensor,
    schedule: NoiseSchedule,
    steps: int,
    noise: Noise | None = None,
    callback: Callback | None = None,
    spacing: str = "trailing",
) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022, arXiv 2211.01095): deterministic, one evaluation a step.

    The first and the last step are of first order. At a zero terminal SNR λ_T = −∞: the first
    step then takes its limit, e^(−h) = 0, and the second, whose look-back ratio h/h_last is 0
    there, is of first order as well.
    """
    z, x0_last, h_last = z_T, None, math.inf
    for i, (t, s) in enumerate(_transitions(schedule, steps, spacing), start=1):
        x0, _ = predict(z, t)
        alpha_t, sigma_t = schedule.alpha_sigma(t)
        alpha_s, sigma_s = schedule.alpha_sigma(s)
        decay = (sigma_s * alpha_t) / (alpha_s * sigma_t)  # e^(−h), h = λ_s − λ_t
        h = -math.log(decay) if decay > 0 else math.inf
        estimate = x0
        if x0_last is not None and s is not None:
            estimate = x0 + 0.5 * (h / h_last) * (x0 - x0_last)
        z = (sigma_s / sigma_t) * z + alpha_s * (1 - decay) * estimate
        x0_last, h_last = x0, h
        if callback is not None:
            callback(i, steps)
    return z


SAMPLERS = {"ddpm": ddpm, "ddim": ddim, "dpm_solver_pp_2m": dpm_solver_pp_2m}
