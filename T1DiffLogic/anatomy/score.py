"""How likely the contours of a slice are right, from what is known without the truth.

The network's own probabilities tell most: the Dice that they let expect, as a soft mask agrees with the
labels made from it. They are the mean over an image and its mirror images, so views that disagree lower
them. A neighbour that looks alike tells of slices of which the network is sure and wrong. The weights were
fitted by logistic regression to slices whose Dice is known (evaluation/score_fit.py).

The closure of the ring, the LV's likeness to an ellipse, the margin of probabilities at its borders
and the contrast were tried beside these and did not help on studies that the fit had not seen; ring and
contrast have flags of their own (`quality`).
"""

from __future__ import annotations

import numpy as np

from ..study import LV_CAVITY, LV_MYOCARDIUM, LVSegmentation
from .frame import slice_positions

FEATURES = ("cavity", "wall", "neighbour")
"""What `features` measures, in this order, each 0 to 1 and 1 at its best:

cavity     Dice of the LV cavity that the probabilities let expect
wall       the same of the LV myocardium
neighbour  overlap (Dice) of the LV with that of the next slice that fits better
"""

WEIGHTS = (1.023, 0.520, 0.496)
INTERCEPT = -3.961

MIN_SCORE = 0.5
"""Below, a slice is flagged. In the fit failures and successes weigh the same, so that a slice is as like
to be one as the other here; among studies as they come, most slices with a score of 0.5 are right."""

LIMITS = (0.02, 0.995)
"""Features enter by their log-odds, within these."""

NEAR_MM = 16.0
"""A slice farther away (one was left out) shows too different a cross-section to be compared with."""

NO_NEIGHBOUR = 0.85
"""What a slice without any is taken to overlap by: a usual neighbour's share, no evidence either way."""


def features(soft, geometries) -> np.ndarray:
    """(S, 4, R, C) probabilities of one phase -> (S, len(FEATURES)); NaN rows without an LV cavity."""
    soft = np.asarray(soft, dtype=np.float32)
    labels = soft.argmax(axis=1)
    beside = _beside(np.isin(labels, (LV_MYOCARDIUM, LV_CAVITY)), geometries)
    result = np.full((len(soft), len(FEATURES)), np.nan)
    for s in range(len(soft)):
        if (labels[s] == LV_CAVITY).any():
            expected = [_expected_dice(soft[s], labels[s], v) for v in (LV_CAVITY, LV_MYOCARDIUM)]
            result[s] = (*expected, beside[s])
    return result


def log_odds(measured) -> np.ndarray:
    """Of `features`, as they are weighed."""
    shares = np.clip(measured, *LIMITS)
    return np.log(shares / (1 - shares))


def score_of(measured) -> np.ndarray:
    """(..., len(FEATURES)) of `features` -> (...) 0 to 1, NaN where they are NaN."""
    return 1 / (1 + np.exp(-(INTERCEPT + log_odds(measured) @ np.array(WEIGHTS))))


def slice_scores(segmentation: LVSegmentation, geometries) -> tuple[float | None, ...]:
    """S scores from 0 to 1, the lower one of ED and ES; None where neither shows an LV cavity.

    A cavity that one phase alone shows counts by that phase: the base leaves its slice in systole
    and the apex closes.
    """
    both = [score_of(features(soft, geometries)) for soft in (segmentation.ed, segmentation.es)]
    return tuple(float(v) if np.isfinite(v) else None for v in np.fmin(*both))


def _expected_dice(soft: np.ndarray, labels: np.ndarray, label: int) -> float:
    mask = labels == label
    total = soft[label].sum(dtype=np.float64) + mask.sum()
    return float(2 * soft[label][mask].sum(dtype=np.float64) / total) if mask.any() else 0.0


def _beside(lv: np.ndarray, geometries) -> np.ndarray:
    """(S, R, C) masks -> (S,) Dice of each slice with the better fitting of its two neighbours."""
    position = slice_positions(geometries)
    order = np.argsort(position)
    best = np.full(len(lv), np.nan)
    for a, b in zip(order[:-1], order[1:]):
        if position[b] - position[a] > NEAR_MM or not (lv[a].any() and lv[b].any()):
            continue
        shift = geometries[a].to_pixel(geometries[b].to_patient(np.zeros(2)))
        moved = np.roll(lv[b], np.rint(shift).astype(int), axis=(0, 1))
        overlap = 2 * (lv[a] & moved).sum() / (lv[a].sum() + lv[b].sum())
        best[[a, b]] = np.fmax(best[[a, b]], overlap)
    return np.where(np.isfinite(best), best, NO_NEIGHBOUR)
