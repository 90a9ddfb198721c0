"""End-diastole and end-systole from the LV cavity area over the cardiac cycle."""

from __future__ import annotations

import numpy as np

from ..errors import StudyError
from ..study import CardiacPhases

MIN_SLICE_AREA_MM2 = 80.0
"""A cavity under 1 cm across in every phase is the extreme apex or noise, not a slice to time with."""

HARMONICS = 4
"""Fourier order of the smoothed curve: systole, rapid filling, diastasis and atrial kick need four."""

PLATEAU_OF_MAXIMUM = 0.015
PLATEAU_OF_STROKE = 0.04
PLATEAU_OF_ERROR = 2.0
"""Areas within 1.5 % of the maximum of an extreme count as that extreme, which is tighter than the area
error of a contour (about 2 %); at a low ejection fraction only within 4 % of the stroke, or two
standard errors of the smoothed curve where that is more."""

MIN_AREA_CHANGE = 0.04
"""Fractional area change below which a cycle is 'no motion'. An ejection fraction of 20 % changes the
mid-ventricular area by about 14 % (area ~ volume^(2/3)), one of 10 % by 7 %."""

NOISE_FACTOR = 5.0
"""A fit of pure noise spans about 4 of its own standard errors; motion has to span more."""

REMEDY = "give the phases with --ed and --es (counted from 0)"


def cavity_area(masks: np.ndarray, spacing) -> np.ndarray:
    """(S, P, R, C) LV cavity probabilities or masks -> (S, P) mm².

    spacing  (between rows, between columns) mm, one pair for all slices or S pairs
    """
    masks = np.asarray(masks)
    pixel_mm2 = np.broadcast_to(np.prod(np.asarray(spacing, dtype=np.float64), axis=-1), masks.shape[:1])
    return masks.sum(axis=(2, 3), dtype=np.float64) * pixel_mm2[:, None]


def mid_slices(area_mm2: np.ndarray) -> np.ndarray:
    """(S, P) mm² -> (S,) bool: the middle half of the slices that hold an LV cavity.

    Base and apex are left out because through-plane motion carries them in and out of the slice.
    """
    typical = np.median(area_mm2, axis=1)
    present = np.flatnonzero(typical >= max(MIN_SLICE_AREA_MM2, 0.1 * typical.max()))
    chosen = np.zeros(len(area_mm2), dtype=bool)
    if present.size:
        runs = np.split(present, np.flatnonzero(np.diff(present) > 1) + 1)
        run = max(runs, key=lambda r: typical[r].sum())
        trim = run.size // 4
        chosen[run[trim : run.size - trim]] = True
    return chosen


def smooth_cycle(curve: np.ndarray, harmonics: int = HARMONICS) -> tuple[np.ndarray, float]:
    """(P,) values over one cycle -> ((P,) low-order Fourier fit, its pointwise standard error).

    Refitted with Tukey's biweight so that single failed phases do not bend the curve.
    """
    curve = np.asarray(curve, dtype=np.float64)
    count = curve.size
    order = max(1, min(harmonics, (count - 1) // 3))
    angle = 2 * np.pi * np.arange(count) / count
    design = np.stack(
        [np.ones(count)] + [f(k * angle) for k in range(1, order + 1) for f in (np.cos, np.sin)], axis=1
    )
    if count <= design.shape[1]:
        return curve, 0.0
    weight = np.ones(count)
    for _ in range(6):
        root = np.sqrt(weight)
        fit = design @ np.linalg.lstsq(design * root[:, None], curve * root, rcond=None)[0]
        residual = curve - fit
        # the fit absorbs part of the noise: scale the MAD by the residual degrees of freedom
        scale = 1.4826 * np.median(np.abs(residual)) * np.sqrt(count / (count - design.shape[1]))
        if scale <= 1e-9 * max(np.abs(curve).max(), 1.0):
            break
        weight = np.clip(1 - (residual / (4.685 * scale)) ** 2, 0.0, None) ** 2 + 1e-6
    return fit, float(scale * np.sqrt(design.shape[1] / count))


def _plateau(deviation: np.ndarray, extreme: int, tolerance: float) -> np.ndarray:
    """Phases cyclically connected to `extreme` whose deviation is within tolerance, as signed offsets."""
    count = deviation.size
    low = high = 0
    while high < count // 2 and deviation[(extreme + high + 1) % count] <= tolerance:
        high += 1
    while -low < count // 2 and deviation[(extreme + low - 1) % count] <= tolerance:
        low -= 1
    return np.arange(low, high + 1)


def _check_override(name: str, value: int | None, count: int) -> None:
    if value is not None and not 0 <= value < count:
        raise StudyError(f"--{name} {value} is outside the {count} phases; count from 0 to {count - 1}.")


def find_phases(masks, spacing, trigger_ms, ed: int | None = None, es: int | None = None) -> CardiacPhases:
    """ED and ES of one cine.

    masks       (S, P, R, C) LV cavity probabilities or masks, or (S, P) cavity areas in mm²
    spacing     (between rows, between columns) mm, one pair or S pairs; unused with areas
    trigger_ms  (S, P) ms after the R wave
    ed, es      the reader's choice, counted from 0; either may be None

    The curve is the summed area of the mid slices, smoothed over the cycle. ED is its maximum;
    late diastole is flat and wraps around the R wave, so among the phases within the plateau
    tolerance of the maximum the one nearest to the R wave is reported. ES is the minimum, taken
    at the centre of its plateau.

    Raises StudyError where no LV is found or it does not move and no override is given, or an
    override is outside the cycle or both name the same phase.
    """
    masks = np.asarray(masks)
    areas = masks.astype(np.float64) if masks.ndim == 2 else cavity_area(masks, spacing)
    count = areas.shape[1]
    _check_override("ed", ed, count)
    _check_override("es", es, count)
    mid = mid_slices(areas)
    curve = areas[mid].sum(axis=0) if mid.any() else np.zeros(0)
    if ed is not None and es is not None:
        return CardiacPhases(ed, es, count, curve, given=True)
    if not mid.any():
        raise StudyError(
            f"no left ventricle was found in the cine; check that it is a short-axis stack, or {REMEDY}."
        )
    fit, error = smooth_cycle(curve)
    stroke = fit.max() - fit.min()
    if stroke < max(MIN_AREA_CHANGE * fit.max(), NOISE_FACTOR * error):
        raise StudyError(
            f"the left ventricle does not move over the {count} phases (area change "
            f"{100 * stroke / fit.max():.1f} %); check the cine, or {REMEDY}."
        )
    tolerance = min(PLATEAU_OF_MAXIMUM * fit.max(), max(PLATEAU_OF_STROKE * stroke, PLATEAU_OF_ERROR * error))
    given = ed is not None or es is not None
    if ed is None:
        ed = _nearest_to_r_wave(fit, curve, tolerance, np.asarray(trigger_ms, dtype=np.float64), es)
    if es is None:
        deviation = fit - fit.min()
        deviation[ed] = np.inf
        extreme = int(deviation.argmin())
        es = int(extreme + round(float(np.median(_plateau(deviation, extreme, tolerance))))) % count
    return CardiacPhases(ed, es, count, curve, given=given)


def _nearest_to_r_wave(fit, curve, tolerance, trigger_ms, es) -> int:
    """The phase of the ED plateau that is nearest in time to an R wave, this beat's or the next."""
    count = fit.size
    time = np.median(np.atleast_2d(trigger_ms), axis=0)
    step = np.median(np.diff(time)) if time.size == count else 0.0
    if not step > 0:  # no trigger times: phases are even in time and the first follows the R wave
        time, step = np.arange(count, dtype=np.float64), 1.0
    cycle = max(step * count, time.max())
    distance = np.minimum(time, cycle - time)
    # the start of contraction is sharper than the fit can follow, so the measured area may vouch for a
    # phase as well, unless it stands out above the whole curve
    measured = np.where(curve <= (1 + 2 * PLATEAU_OF_MAXIMUM) * fit.max(), curve, -np.inf)
    deviation = fit.max() - np.maximum(fit, measured)
    if es is not None:
        deviation[es] = np.inf
    extreme = int(np.where(np.isfinite(deviation), fit, -np.inf).argmax())
    plateau = (extreme + _plateau(deviation, extreme, tolerance)) % count
    return int(min(plateau, key=lambda p: (round(distance[p], 3), p)))
