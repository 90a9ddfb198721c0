"""Signs of mis-gating and arrhythmia: trigger times that do not go with each other, areas that no beat has.

Every slice is acquired in a breath-hold of its own, so one may fail among good ones.
"""

from __future__ import annotations

import numpy as np

from .phases import MIN_SLICE_AREA_MM2, smooth_cycle

UNEVEN_SHARE = 0.35
"""Retrospective gating spaces phases evenly, and rounding to whole ms moves a step of 20 ms by 5 %."""

RATE_SHARE = 0.2
"""Heart rates of breath-holds of one study scatter by about 5 %; beyond 20 % systole is at another place."""

MIN_STROKE = 0.12
"""Below this fractional area change a curve is too flat, and its noise too near, to be judged."""

NOISE_SHARE = 0.12
"""Nor is it where the smoothed curve's standard error is more than this share of the stroke."""

JUMP_SHARE = 0.3
FASTEST_FILLING = 0.2
"""A phase may lie off the mean of its two neighbours by 30 % of the stroke. With few phases the ends of
early filling, which takes at least a fifth of the cycle, come near that, and twice theirs is the limit."""

SECOND_SHARE = 0.4
"""A second contraction of 40 % of the first is another beat (bigeminy, a missed trigger); what diastasis
and the atrial kick leave in the curve is a rise, and its noise is below a tenth."""

STEP_SHARE = 0.14
"""Regional mechanical delay in disease stays below a tenth of the cycle."""

UNEVEN_TIMES = "trigger times are uneven (irregular heart beat or damaged headers)"
OTHER_RATE = "the heart rate differs by more than 20 % from that of the other slices"
JUMPS = "the cavity area jumps between phases (arrhythmia, mis-gating or failed contours)"
TWO_BEATS = "the cavity contracts twice in one cycle (mis-gating or arrhythmia)"
OUT_OF_STEP = "the slice contracts out of step with the others (mis-gating)"


def gating_flags(cavity_mm2, trigger_ms, usable) -> tuple[tuple[str, ...], ...]:
    """S tuples of sentences.

    cavity_mm2  (S, P) LV cavity area;  trigger_ms  (S, P) ms after the R wave
    usable      (S,) bool, where the LV is in the slice over the whole cycle: a base that leaves the
                slice in systole is no fault. The times are judged everywhere
    """
    cavity, times = (np.asarray(a, dtype=np.float64) for a in (cavity_mm2, trigger_ms))
    count = cavity.shape[1]
    fits, clear = np.zeros_like(cavity), np.zeros(len(cavity), dtype=bool)
    for s in np.flatnonzero(usable):
        if cavity[s].max() >= MIN_SLICE_AREA_MM2:
            fits[s], error = smooth_cycle(cavity[s])
            stroke = np.ptp(fits[s])
            # a jumping curve has a large error of its own: the areas must not be hidden by it
            clear[s] = stroke >= MIN_STROKE * fits[s].max() and (
                error <= NOISE_SHARE * stroke or jumps(cavity[s], stroke)
            )
    flags = [[] for _ in cavity]
    steps = np.diff(times, axis=1)
    typical = np.median(steps, axis=1)
    others = np.median(typical)
    for s, own in enumerate(flags):
        if count > 3 and np.abs(steps[s] - typical[s]).max() > UNEVEN_SHARE * typical[s]:
            own.append(UNEVEN_TIMES)
        if len(times) > 2 and abs(typical[s] - others) > RATE_SHARE * others:
            own.append(OTHER_RATE)
        if not clear[s]:
            continue
        if jumps(cavity[s], np.ptp(fits[s])):
            own.append(JUMPS)
        elif contracts_twice(fits[s]):
            own.append(TWO_BEATS)
    steady = clear & [not {JUMPS, TWO_BEATS} & set(own) for own in flags]
    for s in np.flatnonzero(steady):
        rest = steady.copy()
        rest[s] = False
        if rest.sum() >= 2:
            curve = np.sum([_scaled(fits[k]) for k in np.flatnonzero(rest)], axis=0)
            if abs(_lag(_scaled(fits[s]), curve)) > max(STEP_SHARE * count, 1.0):
                flags[s].append(OUT_OF_STEP)
    return tuple(map(tuple, flags))


def jumps(area: np.ndarray, stroke: float) -> bool:
    """Whether a phase of the cycle (P,) lies off the mean of its neighbours by more than filling explains."""
    off = np.abs(area - (np.roll(area, 1) + np.roll(area, -1)) / 2)
    filling = (np.pi / (FASTEST_FILLING * area.size)) ** 2 / 4
    return bool(off.max() > max(JUMP_SHARE, 2 * filling) * stroke)


def contracts_twice(area: np.ndarray) -> bool:
    """Whether a smooth cycle (P,) has a second minimum that is deep on both sides."""
    turned = np.roll(area, -int(area.argmin()))
    turned = np.append(turned, turned[0])
    stroke = np.ptp(turned)
    for p in range(1, turned.size - 1):
        depth = min(turned[:p].max(), turned[p + 1 :].max()) - turned[p]
        if stroke > 0 and depth > SECOND_SHARE * stroke:
            return True
    return False


def _scaled(curve: np.ndarray) -> np.ndarray:
    return (curve - curve.mean()) / curve.std()


def _lag(curve: np.ndarray, other: np.ndarray) -> int:
    """Phases by which `curve` comes after `other`, from their circular cross-correlation."""
    fit = [float(np.roll(other, k) @ curve) for k in range(curve.size)]
    best = int(np.argmax(fit))
    return best - curve.size if best > curve.size // 2 else best
