"""Whether the doubt that goes with a map is right: CRPS, coverage and reliability of its samples."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

LEVELS = (0.5, 0.68, 0.8, 0.9, 0.95)
"""Nominal coverage of the central intervals mean ± z · SD."""

SD_EDGES_MS = (0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 130.0, 170.0, 220.0, 300.0, np.inf)
"""Bins of the stated SD in which the true error is looked at."""


def crps_ms(samples: np.ndarray, observed: np.ndarray) -> float | None:
    """Mean continuous ranked probability score in ms of samples (K, n) against what was observed (n,).

    mean |x_k − y| − ½ mean |x_j − x_k|, over all K² pairs: the score of the K maps as they were handed
    out (Gneiting and Raftery, JASA 2007;102:359), without the correction to endless samples, which needs
    independent ones, and samples may come in antithetic pairs. One sample gives the mean absolute error.
    """
    if not observed.size:
        return None
    ordered = np.sort(np.asarray(samples, np.float64), axis=0)
    k = len(ordered)
    # Σ_jk |x_j − x_k| = 2 Σ_i (2i − k + 1) x_(i) of the sorted sample, i from 0
    rank = 2.0 * np.arange(k) - k + 1
    spread = np.tensordot(rank, ordered, axes=1) * 2 / k**2
    return float((np.abs(ordered - observed).mean(axis=0) - 0.5 * spread).mean())


def normal_crps_ms(mean: np.ndarray, sd: np.ndarray | float, observed: np.ndarray) -> float | None:
    """Mean CRPS in ms of N(mean, sd²) against what was observed (n,), in closed form (Gneiting and Raftery
    2007, section 4.2). One `sd` for all or (n,). None without pixels; an SD of 0 gives the absolute error."""
    if not observed.size:
        return None
    error = np.abs(np.asarray(observed, np.float64) - mean)
    known = np.maximum(np.asarray(sd, np.float64), 1e-9)
    z = error / known
    return float((known * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))).mean())


def coverage(mean, sd, observed, factor: float = 1.0) -> dict[str, float | None]:
    """coverage_50 … coverage_95: share of `observed` (n,) within mean ± z · factor · sd (n,) each."""
    score = np.abs(np.asarray(observed, np.float64) - mean)
    return {
        f"coverage_{100 * level:.0f}": float((score <= norm.ppf((1 + level) / 2) * factor * sd).mean())
        if score.size
        else None
        for level in LEVELS
    }


def reliability(mean, sd, observed) -> list[dict]:
    """Rows of SD_EDGES_MS that hold pixels: sd_from_ms, n, sum_sd2, sum_error2 (ms²) of (n,) each.

    Sums, so that patients can be pooled: a calibrated SD has √(sum_error2 / n) = √(sum_sd2 / n) per bin.
    """
    squared = np.square(np.asarray(observed, np.float64) - mean)
    which = np.digitize(sd, SD_EDGES_MS[1:-1])
    rows = []
    for b in np.unique(which):
        mine = which == b
        rows.append(
            {
                "sd_from_ms": SD_EDGES_MS[b],
                "n": int(mine.sum()),
                "sum_sd2": float(np.square(np.asarray(sd, np.float64)[mine]).sum()),
                "sum_error2": float(squared[mine].sum()),
            }
        )
    return rows


def sd_factor(rows: list[dict]) -> float | None:
    """The factor that makes the SD's mean square the error's, from `reliability` rows; None without any."""
    error, spread = (sum(float(r[name]) for r in rows) for name in ("sum_error2", "sum_sd2"))
    return float(np.sqrt(error / spread)) if spread > 0 else None
