"""Three-parameter Look-Locker fit: inversion images -> T1 map, vectorised in torch.

Model (Messroghli et al., MRM 2004): S(t) = A − B·exp(−t/T1*),  T1 = T1*·(B/A − 1).
For a given T1* the model is linear in (A, B), so the residual is a function of T1* alone
(variable projection, Golub & Pereyra 1973): it is scanned on a logarithmic grid, refined by a parabola
through the three lowest points and polished by Gauss-Newton steps (Kaufman 1975), which ends in the
least-squares minimum that a Levenberg-Marquardt fit of the three parameters finds.
"""

from __future__ import annotations

import math

import torch

T1_STAR_RANGE_MS = (60.0, 4500.0)
T1_LIMIT_MS = 5000.0
GRID_POINTS = 80
_POLISH_STEPS = 3
_CHUNK = 8192
"""Pixels fitted at a time: the scan of one chunk stays in the processor's cache, whatever the image."""


def fit_signed(signal: torch.Tensor, times_ms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit polarity-restored inversion images.

    signal    (..., N) signed signals, any unit, float32 or float64
    times_ms  (N,) effective inversion times in ms, N ≥ 4
    Returns T1 (...) in ms (0 where no physical fit exists) and R² (...) in [0, 1], the share of the
    variance over the inversion times that the fit explains.
    Raises ValueError when fewer than four inversion times are given.
    """
    return _fitted(_fit_signed, signal, times_ms)[:2]


def fit_magnitude(magnitude: torch.Tensor, times_ms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit magnitude inversion images (..., N) after restoring the polarity per pixel.

    Every hypothesis "the first k images by inversion time are negative" is fitted and the one
    with the smallest residual kept (Nekolla et al. 1992). R² is that of the restored signal.
    Returns and raises as `fit_signed`.
    """
    return _fitted(_fit_magnitude, magnitude, times_ms)[:2]


def fit_shmolli(magnitude: torch.Tensor, times_ms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit ShMOLLI 5(1)1(1)1 magnitude images (..., 7) with its conditional use of the later inversions.

    One heart beat of rest is too short for tissue of long T1 to recover, so the images of the second and
    the third inversion count only where the fit says that T1 is short and the images fit as well
    (Piechnik et al., JCMR 2010, 12:69): five images, six where χ6·T1 < χ5·T_RR, seven where
    χ7·T1 < χ5·0.4·T_RR, χ being the standard deviation of the residual and T_RR the heart beat.

    times_ms (7,) in the order of acquisition: five of the first inversion, one, one.
    Returns T1 and R² of the fit that was kept; raises as `fit_signed`.
    """
    beat = (times_ms[4] - times_ms[0]) / 4
    t1, r2, _ = fits = _fitted(_fit_magnitude, magnitude[..., :5], times_ms[:5])
    spread = [(fits[2] / 4).sqrt()]
    longer = []
    for count in (6, 7):
        longer.append(_fitted(_fit_magnitude, magnitude[..., :count], times_ms[:count]))
        spread.append((longer[-1][2] / (count - 1)).sqrt())
    (t1_six, r2_six, _), (t1_seven, r2_seven, _) = longer
    short = (t1 <= beat) | (t1_six <= 0.4 * beat)
    six = short & (t1_six > 0) & ((spread[1] * t1_six < spread[0] * beat) | (t1 == 0))
    t1, r2 = torch.where(six, t1_six, t1), torch.where(six, r2_six, r2)
    seven = short & (t1_seven > 0) & (t1 < beat) & (spread[2] * t1_seven < spread[0] * 0.4 * beat)
    return torch.where(seven, t1_seven, t1), torch.where(seven, r2_seven, r2)


def _fitted(fit, signal, times_ms):
    """T1, R² and the residual sum of squares (...), fitted in chunks of ascending inversion times."""
    if times_ms.numel() < 4:
        raise ValueError("a three-parameter fit needs at least four inversion times")
    order = torch.argsort(times_ms)
    flat, times = signal.reshape(-1, signal.shape[-1]), times_ms.to(signal)[order]
    size = _CHUNK if signal.device.type == "cpu" else 64 * _CHUNK
    parts = [fit(chunk[:, order], times) for chunk in flat.split(size)]
    return tuple(torch.cat(values).reshape(signal.shape[:-1]) for values in zip(*parts, strict=True))


def _grid(times: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(G,) ln T1* and (N, G) unit vectors: exp(−t/T1*) with its mean removed. The constant column explains
    the same part of a signal at every T1*, so the fit with the largest projection on its axis is the best.
    """
    low, high = (math.log(v) for v in T1_STAR_RANGE_MS)
    grid = torch.linspace(low, high, GRID_POINTS, device=times.device, dtype=times.dtype)
    decay = torch.exp(-times[:, None] / grid.exp())
    decay = decay - decay.mean(0)
    return grid, decay / decay.norm(dim=0).clamp_min(1e-12)


def _peak(projection: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """(M,) ln T1* at which the (M, G) projections are largest, by a parabola through the best three."""
    explained = projection.square()
    best = explained.argmax(dim=1).clamp(1, GRID_POINTS - 2)
    left, middle, right = (explained.gather(1, (best + k)[:, None])[:, 0] for k in (-1, 0, 1))
    curvature = (left - 2 * middle + right).clamp_max(-1e-20 * middle.max().clamp_min(1e-12))
    offset = (0.5 * (left - right) / curvature).clamp(-1, 1)
    return grid[best] + offset * (grid[1] - grid[0])


def _linear(signal: torch.Tensor, times: torch.Tensor, log_t1_star: torch.Tensor):
    """(M,) T1 and residual sum of squares of the best A and B at a given ln T1*; T1 is 0 where the fit is
    not physical, i.e. not an inversion that recovers to a positive signal."""
    t1_star = log_t1_star.exp()
    decay = torch.exp(-times / t1_star[:, None])
    mean_decay, mean_signal = decay.mean(1), signal.mean(1)
    centred = decay - mean_decay[:, None]
    slope = (centred * signal).sum(1) / centred.square().sum(1).clamp_min(1e-20)
    a = mean_signal - slope * mean_decay
    t1 = t1_star * (-slope / a - 1)  # B = −slope
    residual = (signal - a[:, None] - slope[:, None] * decay).square().sum(1)
    physical = (a > 0) & (t1 > 0) & (t1 < T1_LIMIT_MS) & torch.isfinite(t1)
    return torch.where(physical, t1, torch.zeros_like(t1)), residual


def _polish(signal: torch.Tensor, times: torch.Tensor, log_t1_star: torch.Tensor) -> torch.Tensor:
    """Gauss-Newton steps of ln T1* on the residual after A and B have been eliminated (Kaufman 1975)."""
    step_limit = math.log(T1_STAR_RANGE_MS[1] / T1_STAR_RANGE_MS[0]) / (GRID_POINTS - 1)
    low, high = (math.log(v) for v in T1_STAR_RANGE_MS)
    for _ in range(_POLISH_STEPS):
        share = times / log_t1_star.exp()[:, None]
        decay = torch.exp(-share)
        axis = decay - decay.mean(1, keepdim=True)
        axis = axis / axis.norm(dim=1, keepdim=True).clamp_min(1e-12)
        height = (axis * signal).sum(1, keepdim=True)  # slope × |centred decay|
        # how the fitted curve moves with ln T1*, without what A and B can follow
        change = share * decay
        change = change - change.mean(1, keepdim=True)
        change = change - (change * axis).sum(1, keepdim=True) * axis
        slope = height / (decay - decay.mean(1, keepdim=True)).norm(dim=1, keepdim=True).clamp_min(1e-12)
        change = change * slope
        size = change.square().sum(1)
        step = (change * signal).sum(1) / size.clamp_min(1e-30)
        step = torch.where(size > 0, step, torch.zeros_like(step)).clamp(-step_limit, step_limit)
        log_t1_star = (log_t1_star + step).clamp(low, high)
    return log_t1_star


def _finish(signal, times, log_t1_star):
    """T1, R² and residual sum of squares after polishing, where that made the fit better."""
    t1, residual = _linear(signal, times, log_t1_star)
    finer, less = _linear(signal, times, _polish(signal, times, log_t1_star))
    better = (less <= residual) & (finer > 0)
    t1, residual = torch.where(better, finer, t1), torch.where(better, less, residual)
    total = (signal - signal.mean(1, keepdim=True)).square().sum(1).clamp_min(1e-20)
    return t1, (1 - residual / total).clamp(0, 1), residual


def _fit_signed(signal, times):
    grid, axes = _grid(times)
    return _finish(signal, times, _peak(signal @ axes, grid))


def _fit_magnitude(magnitude, times):
    grid, axes = _grid(times)
    projection = magnitude @ axes
    best_error = torch.full_like(magnitude[:, 0], torch.inf)
    best_place = torch.full_like(best_error, math.log(T1_STAR_RANGE_MS[0]))
    negatives = torch.zeros_like(best_error)
    signed = magnitude.clone()
    for k in range(times.numel()):
        if k:
            signed[:, k - 1].neg_()
            projection.addcmul_(magnitude[:, k - 1 : k], axes[k - 1], value=-2)
        place = _peak(projection, grid)
        t1, error = _linear(signed, times, place)
        better = (t1 > 0) & (error < best_error)
        best_error = torch.where(better, error, best_error)
        best_place = torch.where(better, place, best_place)
        negatives = torch.where(better, torch.full_like(negatives, k), negatives)
    sign = torch.where(torch.arange(times.numel(), device=times.device) < negatives[:, None], -1.0, 1.0)
    t1, r2, residual = _finish(magnitude * sign.to(magnitude), times, best_place)
    fitted = torch.isfinite(best_error)
    t1, r2 = (torch.where(fitted, value, torch.zeros_like(value)) for value in (t1, r2))
    return t1, r2, residual
