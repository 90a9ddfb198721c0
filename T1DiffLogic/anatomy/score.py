"""How likely the contours of a slice are right, from what is known without the truth.

The network's own probabilities tell most: the Dice that they let expect, as a soft mask agrees with the
labels made from it. They are the mean over an image and its mirror images, so views that disagree lower
them. The wall all around, a shape near an ellipse and a neighbour that looks alike tell of slices of
which the network is sure and wrong. The weights were fitted by logistic regression to slices whose Dice is
known (evaluation/anatomy_validation.py): digital hearts made harder and real people's cavities.
"""

from __future__ import annotations

import numpy as np

from ..study import BACKGROUND, LV_CAVITY, LV_MYOCARDIUM, LVSegmentation
from .frame import short_axis_frame, slice_positions
from .levels import ring_closure

FEATURES = ("cavity", "wall", "sure", "ring", "shape", "neighbour", "contrast")
"""What `features` measures, in this order, each 0 to 1 and 1 at its best:

cavity     Dice of the LV cavity that the probabilities let expect
wall       the same of the LV myocardium
sure       mean difference between the two likeliest labels in the band around the LV's borders
ring       share of the circumference with wall, `levels.ring_closure`
shape      overlap of the LV with the ellipse of its own area and moments
neighbour  overlap (Dice) of the LV with that of the next slice that fits better
contrast   `clarity` of blood against wall
"""

WEIGHTS = (4.0, 4.0, 4.0, 2.0, 4.0, 1.0, 1.0)
INTERCEPT = -12.0

MIN_SCORE = 0.5

BAND_PIXELS = 2
NEAR_MM = 16.0
"""A slice farther away (one was left out) shows too different a cross-section to be compared with."""


def features(soft, images, geometries) -> np.ndarray:
    """(S, len(FEATURES)) of one phase; NaN rows where a slice has no LV cavity.

    soft    (S, 4, R, C) probabilities;  images  (S, R, C), any units
    """
    soft = np.asarray(soft, dtype=np.float32)
    labels = soft.argmax(axis=1)
    frame = short_axis_frame(geometries)
    lv = (labels == LV_MYOCARDIUM) | (labels == LV_CAVITY)
    beside = _beside(lv, geometries)
    result = np.full((len(soft), len(FEATURES)), np.nan)
    for s, geometry in enumerate(geometries):
        if not (labels[s] == LV_CAVITY).any():
            continue
        result[s] = (
            _expected_dice(soft[s], labels[s], LV_CAVITY),
            _expected_dice(soft[s], labels[s], LV_MYOCARDIUM),
            _margin(soft[s], labels[s]),
            ring_closure(labels[s], geometry, frame),
            _ellipticity(lv[s]),
            beside[s],
            clarity(images[s][labels[s] == LV_CAVITY], images[s][labels[s] == LV_MYOCARDIUM]),
        )
    return result


def score_of(measured: np.ndarray) -> np.ndarray:
    """(..., len(FEATURES)) of `features` -> (...) 0 to 1, NaN where they are NaN."""
    return 1 / (1 + np.exp(-(INTERCEPT + np.asarray(measured) @ np.array(WEIGHTS))))


def slice_scores(segmentation: LVSegmentation, images_ed, images_es, geometries) -> tuple[float | None, ...]:
    """S scores from 0 to 1, the lower one of ED and ES; None where neither shows an LV cavity.

    images_ed, images_es  (S, R, C) the cine at the two phases

    A cavity that one phase alone shows counts by that phase: the base leaves its slice in systole
    and the apex closes.
    """
    both = [
        score_of(features(soft, images, geometries))
        for soft, images in ((segmentation.ed, images_ed), (segmentation.es, images_es))
    ]
    return tuple(float(v) if np.isfinite(v) else None for v in np.fmin(*both))


def _expected_dice(soft: np.ndarray, labels: np.ndarray, label: int) -> float:
    mask = labels == label
    total = soft[label].sum(dtype=np.float64) + mask.sum()
    return float(2 * soft[label][mask].sum(dtype=np.float64) / total) if mask.any() else 0.0


def _margin(soft: np.ndarray, labels: np.ndarray) -> float:
    """Mean margin where, within BAND_PIXELS, the wall meets cavity or background."""
    band = np.zeros(labels.shape, dtype=bool)
    for value in (LV_CAVITY, BACKGROUND):
        near = _grown(labels == value, BAND_PIXELS) & _grown(labels == LV_MYOCARDIUM, BAND_PIXELS)
        band |= near
    if not band.any():
        return 0.0
    likeliest = np.sort(soft[:, band], axis=0)
    return float((likeliest[-1] - likeliest[-2]).mean())


def _grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    """`mask` widened by a diamond of `pixels`."""
    grown = mask
    for _ in range(pixels):
        wide = np.pad(grown, 1)
        grown = wide[1:-1, 1:-1] | wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
    return grown


def _ellipticity(mask: np.ndarray) -> float:
    """Dice of a mask, its holes included, with the ellipse of its area and second moments."""
    points = np.argwhere(mask).astype(np.float64)
    if len(points) < 8:
        return 0.0
    middle = points.mean(axis=0)
    spread = np.cov((points - middle).T) + 1e-6 * np.eye(2)
    # an ellipse has variances a²/4 and b²/4
    grid = np.stack(np.indices(mask.shape), axis=-1) - middle
    inside = np.einsum("rci,ij,rcj->rc", grid, np.linalg.inv(4 * spread), grid) <= 1
    return float(2 * (mask & inside).sum() / (mask.sum() + inside.sum()))


def _beside(lv: np.ndarray, geometries) -> np.ndarray:
    """(S,) Dice of each slice's LV with the better fitting of its two neighbours; 0.5 without any."""
    position = slice_positions(geometries)
    order = np.argsort(position)
    best = np.full(len(lv), np.nan)
    for a, b in zip(order[:-1], order[1:]):
        if position[b] - position[a] > NEAR_MM or not (lv[a].any() and lv[b].any()):
            continue
        shift = geometries[a].to_pixel(geometries[b].to_patient(np.zeros(2)))
        moved = np.roll(lv[b], np.rint(shift).astype(int), axis=(0, 1))
        overlap = 2 * (lv[a] & moved).sum() / (lv[a].sum() + lv[b].sum())
        for s in (a, b):
            best[s] = np.nanmax([best[s], overlap])
    return np.where(np.isfinite(best), best, 0.5)


def clarity(blood: np.ndarray, wall: np.ndarray) -> float:
    """Pixel values of both -> difference of their medians by itself and both noises, 0 to 1."""
    if not (blood.size and wall.size):
        return 0.0
    difference = max(float(np.median(blood) - np.median(wall)), 0.0)
    noise = sum(1.4826 * float(np.median(np.abs(v - np.median(v)))) for v in (blood, wall))
    return difference / max(difference + noise, 1e-6)
