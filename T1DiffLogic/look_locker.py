"""Three-parameter Look-Locker fit: inversion images -> T1 map, vectorised in torch.

Model (Messroghli et al., MRM 2004): S(t) = A − B·exp(−t/T1*),  T1 = T1*·(B/A − 1).
For a given T1* the model is linear in (A, B), so the residual is a function of T1* alone
(variable projection, Golub & Pereyra 1973): it is scanned on a logarithmic grid and refined by a
parabola through the three lowest points, which is exact to a fraction of a millisecond.
"""

from __future__ import annotations

import math

import torch

T1_STAR_RANGE_MS = (60.0, 4500.0)
GRID_POINTS = 80


def _decay_axis(times_ms: torch.Tensor, t1_star: torch.Tensor) -> torch.Tensor:
    """(G, N) unit vectors: exp(−t/T1*) with its mean removed. The constant column explains the same
    part of a signal at every T1*, so the fit with the largest projection on this axis is the best."""
    decay = torch.exp(-times_ms / t1_star[:, None])
    decay = decay - decay.mean(-1, keepdim=True)
    return decay / decay.norm(dim=-1, keepdim=True).clamp_min(1e-12)


def fit_signed(signal: torch.Tensor, times_ms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit polarity-restored inversion images.

    signal    (..., N) signed signals, any unit, float32 or float64
    times_ms  (N,) effective inversion times in ms, N ≥ 4
    Returns T1 (...) in ms (0 where no physical fit exists) and R² (...) in [0, 1].
    Raises ValueError when fewer than four inversion times are given.
    """
    if times_ms.numel() < 4:
        raise ValueError("a three-parameter fit needs at least four inversion times")
    times = times_ms.to(signal)
    low, high = (math.log(v) for v in T1_STAR_RANGE_MS)
    grid = torch.linspace(low, high, GRID_POINTS, device=signal.device, dtype=signal.dtype)
    flat = signal.reshape(-1, signal.shape[-1])
    explained = (flat @ _decay_axis(times, grid.exp()).T).square()  # (M, G)
    best = explained.argmax(dim=1).clamp(1, GRID_POINTS - 2)
    left, middle, right = (explained.gather(1, (best + k)[:, None])[:, 0] for k in (-1, 0, 1))
    curvature = (left - 2 * middle + right).clamp_max(-1e-20 * middle.max().clamp_min(1e-12))
    offset = (0.5 * (left - right) / curvature).clamp(-1, 1)
    t1_star = (grid[best] + offset * (grid[1] - grid[0])).exp()

    # the linear parameters at the refined T1*, by the normal equations of a two-column system
    decay = torch.exp(-times / t1_star[:, None])
    mean_decay, mean_signal = decay.mean(1), flat.mean(1)
    centred = decay - mean_decay[:, None]
    slope = (centred * flat).sum(1) / centred.square().sum(1).clamp_min(1e-20)
    a = mean_signal - slope * mean_decay
    t1 = t1_star * (-slope / a - 1)  # B = −slope
    residual = (flat - a[:, None] - slope[:, None] * decay).square().sum(1)
    total = (flat - mean_signal[:, None]).square().sum(1).clamp_min(1e-20)
    r2 = (1 - residual / total).clamp(0, 1)
    physical = (a > 0) & (t1 > 0) & (t1 < 5000) & torch.isfinite(t1)
    shape = signal.shape[:-1]
    return torch.where(physical, t1, torch.zeros_like(t1)).reshape(shape), r2.reshape(shape)


def fit_magnitude(magnitude: torch.Tensor, times_ms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit magnitude inversion images (..., N) after restoring the polarity per pixel.

    Every hypothesis "the first k images by inversion time are negative" is fitted and the one
    with the smallest residual kept (Nekolla et al. 1992). Returns and raises as `fit_signed`.
    """
    order = torch.argsort(times_ms)
    magnitude, times_ms = magnitude[..., order], times_ms[order]
    best_t1 = torch.zeros(magnitude.shape[:-1], dtype=magnitude.dtype, device=magnitude.device)
    best_error = torch.full_like(best_t1, torch.inf)
    best_r2 = torch.zeros_like(best_t1)
    for negatives in range(times_ms.numel()):
        sign = torch.ones_like(magnitude[..., :])
        sign[..., :negatives] = -1
        signed = magnitude * sign
        t1, r2 = fit_signed(signed, times_ms)
        spread = (signed - signed.mean(-1, keepdim=True)).square().sum(-1)
        error = torch.where(t1 > 0, (1 - r2) * spread, torch.full_like(spread, torch.inf))
        better = error < best_error
        best_error = torch.where(better, error, best_error)
        best_t1 = torch.where(better, t1, best_t1)
        best_r2 = torch.where(better, r2, best_r2)
    return best_t1, best_r2
