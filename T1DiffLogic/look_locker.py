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
GRID_POINTS = 32
_POLISH_STEPS = 4
_CHUNK = 16384
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
    χ7·T1 < χ6·0.4·T_RR, χ being the standard deviation of the residual and T_RR the heart beat. The
    article compares χ7 with χ5; the scanner's reconstruction, which this follows, with χ6.

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
    seven = short & (t1_seven > 0) & (t1 < beat) & (spread[2] * t1_seven < spread[1] * 0.4 * beat)
    return torch.where(seven, t1_seven, t1), torch.where(seven, r2_seven, r2)


def _fitted(fit, signal, times_ms):
    """T1, R² and the residual sum of squares (...), fitted in chunks of ascending inversion times."""
    if times_ms.numel() < 4:
        raise ValueError("a three-parameter fit needs at least four inversion times")
    order = torch.argsort(times_ms)
    flat, times = signal.reshape(-1, signal.shape[-1]), times_ms.to(signal)[order]
    size = _CHUNK if signal.device.type == "cpu" else 64 * _CHUNK
    # pixels run along the last axis inside: sums over a handful of images are then sums of long rows
    parts = [fit(chunk[:, order].T.contiguous(), times[:, None]) for chunk in flat.split(size)]
    return tuple(torch.cat(values).reshape(signal.shape[:-1]) for values in zip(*parts, strict=True))


def _grid(times: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(G,) ln T1* and (G, N) unit vectors: exp(−t/T1*) with its mean removed. The constant column explains
    the same part of a signal at every T1*, so the fit with the largest projection on its axis is the best.
    """
    low, high = (math.log(v) for v in T1_STAR_RANGE_MS)
    grid = torch.linspace(low, high, GRID_POINTS, device=times.device, dtype=times.dtype)
    decay = torch.exp(-times.T / grid.exp()[:, None])
    decay = decay - decay.mean(1, keepdim=True)
    return grid, decay / decay.square().sum(1, keepdim=True).sqrt().clamp_min(1e-12)


def _peak(projection: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """(M,) ln T1* of the best fit from (G, M) projections, by a parabola through the best three.

    A signal that recovers rises where the decay falls: its projection is negative.
    """
    best = projection.min(0).indices.clamp(1, GRID_POINTS - 2)
    left, middle, right = (projection.gather(0, (best + k)[None])[0].square() for k in (-1, 0, 1))
    curvature = (left - 2 * middle + right).clamp_max(-1e-20 * middle.max().clamp_min(1e-12))
    offset = (0.5 * (left - right) / curvature).clamp(-1, 1)
    return grid[best] + offset * (grid[1] - grid[0])


def _linear(signal: torch.Tensor, times: torch.Tensor, log_t1_star: torch.Tensor):
    """(M,) T1 and residual sum of squares of the best A and B at a given ln T1*, signal (N, M); T1 is 0
    where the fit is not physical, i.e. not an inversion that recovers to a positive signal."""
    t1_star = log_t1_star.exp()
    decay = torch.exp(-times / t1_star)
    mean_decay, mean_signal = decay.mean(0), signal.mean(0)
    decay, signal = decay - mean_decay, signal - mean_signal
    slope = (decay * signal).sum(0) / decay.square().sum(0).clamp_min(1e-20)
    a = mean_signal - slope * mean_decay
    t1 = t1_star * (-slope / a - 1)  # B = −slope
    residual = (signal - slope * decay).square().sum(0)
    physical = (a > 0) & (t1 > 0) & (t1 < T1_LIMIT_MS) & torch.isfinite(t1)
    return torch.where(physical, t1, torch.zeros_like(t1)), residual


def _polish(signal: torch.Tensor, times: torch.Tensor, log_t1_star: torch.Tensor, steps: int) -> torch.Tensor:
    """Gauss-Newton steps of ln T1* on the residual after A and B have been eliminated (Kaufman 1975)."""
    low, high = (math.log(v) for v in T1_STAR_RANGE_MS)
    step_limit = (high - low) / (GRID_POINTS - 1)
    signal = signal - signal.mean(0)
    for _ in range(steps):
        share = times / log_t1_star.exp()
        decay = torch.exp(-share)
        change = share * decay  # of the decay with ln T1*, below without what A and B can follow
        decay, change = decay - decay.mean(0), change - change.mean(0)
        size = decay.square().sum(0).clamp_min(1e-20)
        slope = (decay * signal).sum(0) / size
        change = slope * (change - (change * decay).sum(0) / size * decay)
        length = change.square().sum(0)
        step = (change * signal).sum(0) / length.clamp_min(1e-30)
        log_t1_star = (log_t1_star + step.clamp(-step_limit, step_limit)).clamp(low, high)
    return log_t1_star


def _finish(signal, times, log_t1_star):
    """T1, R² and residual sum of squares after polishing, where that made the fit better."""
    t1, residual = _linear(signal, times, log_t1_star)
    finer, less = _linear(signal, times, _polish(signal, times, log_t1_star, _POLISH_STEPS))
    better = (less <= residual) & (finer > 0)
    t1, residual = torch.where(better, finer, t1), torch.where(better, less, residual)
    total = (signal - signal.mean(0)).square().sum(0).clamp_min(1e-20)
    return t1, (1 - residual / total).clamp(0, 1), residual


def _fit_signed(signal, times):
    grid, axes = _grid(times)
    return _finish(signal, times, _peak(axes @ signal, grid))


def _fit_magnitude(magnitude, times):
    grid, axes = _grid(times)
    projection = axes @ magnitude
    best_error = torch.full_like(magnitude[0], torch.inf)
    best_place = torch.full_like(best_error, math.log(T1_STAR_RANGE_MS[0]))
    negatives = torch.zeros_like(best_error)
    signed = magnitude.clone()
    # up to all of them: at a fast heart rate long T1 does not cross zero within the images
    for k in range(len(magnitude) + 1):
        if k:
            signed[k - 1].neg_()
            projection.addcmul_(magnitude[k - 1 : k], axes[:, k - 1 : k], value=-2)
        # one step of polishing: hypotheses are compared by their minima, not by their grid points
        place = _polish(signed, times, _peak(projection, grid), 1)
        t1, error = _linear(signed, times, place)
        better = (t1 > 0) & (error < best_error)
        best_error = torch.where(better, error, best_error)
        best_place = torch.where(better, place, best_place)
        negatives = torch.where(better, torch.full_like(negatives, k), negatives)
    order = torch.arange(len(magnitude), device=times.device)[:, None]
    signed = torch.where(order < negatives, -magnitude, magnitude)
    t1, r2, residual = _finish(signed, times, best_place)
    fitted = torch.isfinite(best_error)
    t1, r2 = (torch.where(fitted, value, torch.zeros_like(value)) for value in (t1, r2))
    return t1, r2, residual
