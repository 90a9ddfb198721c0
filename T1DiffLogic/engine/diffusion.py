"""The diffusion process: schedules, forward process, conversions, posterior, loss weights.

Timesteps are indices 0 … T−1; index t is step t + 1 of the paper, which counts from 1.
α_t here is √ᾱ_t of the paper and σ_t is √(1 − ᾱ_t), so that z_t = α_t·z_0 + σ_t·ε (Eq. 2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

PREDICTIONS = ("epsilon", "x0", "v")
SPACINGS = ("trailing", "leading", "log_snr")

LOG_SNR = (-9.0, 3.0)
"""Of one pixel. What some thousand pixels have in common, as a myocardium its T1, shows through the
noise from a log SNR of −ln(thousands) on; at 3 the noise is a fifth of the unit of z_0."""


def _linear_alpha_bar(timesteps: int) -> Tensor:
    """β from 1e-4 to 0.02 (Ho et al. 2020); ᾱ_t = ∏ over s = 1 … t of (1 − β_s)."""
    return torch.cumprod(1 - torch.linspace(1e-4, 0.02, timesteps, dtype=torch.float64), dim=0)


def _cosine_alpha_bar(timesteps: int) -> Tensor:
    """Nichol and Dhariwal 2021: s = 0.008, β ≤ 0.999."""
    edges = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    curve = torch.cos((edges + 0.008) / 1.008 * math.pi / 2) ** 2
    beta = (1 - curve[1:] / curve[:-1]).clamp(max=0.999)
    return torch.cumprod(1 - beta, dim=0)


@dataclass(frozen=True)
class NoiseSchedule:
    """ᾱ_t over T timesteps in float64.

    kind                'linear' or 'cosine'
    timesteps           T
    zero_terminal_snr   shift and stretch √ᾱ so that the last step is pure noise
                        (Lin et al. 2023, arXiv 2305.08891, algorithm 1)
    """

    kind: str = "linear"
    timesteps: int = 1000
    zero_terminal_snr: bool = False
    alpha_bar: Tensor = field(init=False, repr=False, compare=False)
    _tables: dict = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self):
        if self.kind not in ("linear", "cosine"):
            raise ValueError(f"schedule '{self.kind}' is not known; use 'linear' or 'cosine'")
        if self.timesteps < 2:
            raise ValueError(f"a schedule needs at least 2 timesteps, got {self.timesteps}")
        alpha_bar = (_linear_alpha_bar if self.kind == "linear" else _cosine_alpha_bar)(self.timesteps)
        if self.zero_terminal_snr:
            root = alpha_bar.sqrt()
            alpha_bar = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
        object.__setattr__(self, "alpha_bar", alpha_bar)

    def coefficients(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) timestep indices -> α_t and σ_t as (B,1,1,1), in the dtype and device of `like`."""
        key = (like.device, like.dtype)
        if key not in self._tables:
            table = torch.stack([self.alpha_bar.sqrt(), (1 - self.alpha_bar).sqrt()])
            self._tables[key] = table.to(dtype=like.dtype, device=like.device)
        alpha, sigma = self._tables[key][:, t.to(like.device)]
        shape = (-1,) + (1,) * (like.ndim - 1)
        return alpha.view(shape), sigma.view(shape)

    def alpha_sigma(self, t: int | None) -> tuple[float, float]:
        """α_t and σ_t of one timestep; None is the clean end, (1, 0)."""
        if t is None:
            return 1.0, 0.0
        alpha_bar = float(self.alpha_bar[t])
        return math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar)

    @property
    def snr(self) -> Tensor:
        """(T,) float64 signal-to-noise ratio ᾱ / (1 − ᾱ)."""
        return self.alpha_bar / (1 - self.alpha_bar)

    @property
    def log_snr(self) -> Tensor:
        """(T,) float64; −∞ at a zero terminal SNR."""
        return self.snr.log()

    def add_noise(self, z_0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Eq. 2: a draw of q(z_t | z_0)."""
        alpha, sigma = self.coefficients(t, z_0)
        return alpha * z_0 + sigma * noise

    def training_target(self, prediction: str, z_0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the network learns: ε (Eq. 6), x0, or v = α·ε − σ·x0 (Salimans and Ho 2022)."""
        if prediction == "epsilon":
            return noise
        if prediction == "x0":
            return z_0
        if prediction == "v":
            alpha, sigma = self.coefficients(t, z_0)
            return alpha * noise - sigma * z_0
        raise ValueError(f"prediction '{prediction}' is not one of {PREDICTIONS}")

    def x0_and_epsilon(
        self, prediction: str, output: Tensor, z_t: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Network output -> (x0 estimate, ε estimate).

        Finite for x0 and v at a zero terminal SNR; ε says nothing about x0 there, which
        `T1DiffConfig` refuses.
        """
        alpha, sigma = self.coefficients(t, z_t)
        if prediction == "epsilon":
            return (z_t - sigma * output) / alpha, output
        if prediction == "x0":
            return output, (z_t - alpha * output) / sigma
        if prediction == "v":
            return alpha * z_t - sigma * output, sigma * z_t + alpha * output
        raise ValueError(f"prediction '{prediction}' is not one of {PREDICTIONS}")

    def posterior(self, t: int, previous: int | None) -> tuple[float, float, float]:
        """q(z_s | z_t, z_0) for s = `previous` < t: its mean is a·z_0 + b·z_t; returns (a, b, variance).

        Eqs. 3 and 4 leave Σ_θ open; this is the posterior variance β̃_t of Ho et al. 2020, written
        for any pair s < t so that shortened chains use it too.
        """
        alpha_t, sigma_t = self.alpha_sigma(t)
        alpha_s, sigma_s = self.alpha_sigma(previous)
        ratio = alpha_t / alpha_s
        beta = 1 - ratio**2
        return alpha_s * beta / sigma_t**2, ratio * sigma_s**2 / sigma_t**2, beta * sigma_s**2 / sigma_t**2

    def min_snr_weight(self, prediction: str, gamma: float = 5.0) -> Tensor:
        """(T,) float64 min-SNR-γ weights (Hang et al. 2023) for a loss on the given prediction.

        The SNR is floored at 1 for x0 and v: unfloored, the pure-noise step of a zero-terminal-SNR
        schedule, the first one sampled, would have weight zero and never be learned.
        """
        snr = self.snr
        if prediction == "epsilon":
            return torch.where(snr > gamma, gamma / snr, torch.ones_like(snr))
        clipped = snr.clamp(1.0, gamma)
        if prediction == "x0":
            return clipped
        if prediction == "v":
            return clipped / (snr + 1)
        raise ValueError(f"prediction '{prediction}' is not one of {PREDICTIONS}")

    def subset(self, steps: int, spacing: str = "trailing") -> list[int]:
        """`steps` timestep indices, descending.

        'trailing' ends at T − 1, as a zero terminal SNR needs; 'leading' starts at 0. 'log_snr' ends at
        T − 1, too, and takes the others evenly in log SNR from the middles of LOG_SNR, where even steps
        in time leap over the noise at which an image's coarsest parts are decided.
        """
        total = self.timesteps
        if not 1 <= steps <= total:
            raise ValueError(f"{steps} steps asked of a schedule with {total}")
        if spacing == "trailing":
            return [round(total - i * total / steps) - 1 for i in range(steps)]
        if spacing == "leading":
            return [i * (total // steps) for i in reversed(range(steps))]
        if spacing == "log_snr":
            return self._even_in_log_snr(steps)
        raise ValueError(f"spacing '{spacing}' is not one of {', '.join(SPACINGS)}")

    def _even_in_log_snr(self, steps: int) -> list[int]:
        low, high = LOG_SNR
        subset = [self.timesteps - 1]
        for i in range(1, steps):
            wanted = low + (high - low) * (i - 0.5) / (steps - 1)
            nearest = int((self.log_snr - wanted).abs().argmin())
            # many steps crowd where time runs fast: each is one timestep at least, and room is left
            subset.append(max(min(nearest, subset[-1] - 1), steps - 1 - i))
        return subset
