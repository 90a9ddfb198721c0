"""Thresholds of scar and the factor of the SD, from patients outside the test set."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .cases import Case
from .scar import reference_scar, youden_threshold
from .uncertainty import reliability, sd_factor


def native_threshold(cases: Iterable[Case]) -> float | None:
    """The T1 in ms that separates infarct best from other myocardium on native maps; None without infarct."""
    values, scar = [], []
    for case in cases:
        own = _wall(case)
        values.append(case.native_ms[own])
        scar.append(reference_scar(case)[own])
    return youden_threshold(np.concatenate(values), np.concatenate(scar)) if values else None


def calibrated(contestant, cases: Iterable[Case], options) -> dict[str, dict]:
    """Variant -> roc_threshold_ms, the same on the contestant's own maps (every sample counts); error_sd_ms,
    the root mean square error of its map's myocardium; and sd_factor, which makes the mean square of the
    SD that of the error. None where there is none.

    options  has `samples` and `seed`
    """
    values: dict[str, list] = {}
    scar: dict[str, list] = {}
    doubt: dict[str, list] = {}
    squared: dict[str, list] = {}
    for case in cases:
        own, reference = _wall(case), reference_scar(case)
        for variant, reading in contestant.readings(case, options.samples, options.seed).items():
            there = own & (reading.aha > 0)
            for sample in reading.samples_ms:
                values.setdefault(variant, []).append(sample[there])
                scar.setdefault(variant, []).append(reference[there])
            wall = reading.shared_wall
            error = np.asarray(reading.t1_ms[wall] - case.native_ms[wall], np.float64)
            squared.setdefault(variant, []).append((float(np.square(error).sum()), error.size))
            if len(reading.samples_ms) > 1:
                rows = reliability(reading.t1_ms[wall], reading.sd_ms[wall], case.native_ms[wall])
                doubt.setdefault(variant, []).extend(rows)
    return {
        variant: {
            "roc_threshold_ms": youden_threshold(np.concatenate(found), np.concatenate(scar[variant])),
            "error_sd_ms": _root_mean(squared[variant]),
            "sd_factor": sd_factor(doubt.get(variant, [])),
        }
        for variant, found in values.items()
    }


def _root_mean(sums: list[tuple[float, int]]) -> float | None:
    total, count = (sum(values) for values in zip(*sums))
    return float(np.sqrt(total / count)) if count else None


def _wall(case: Case) -> np.ndarray:
    """(S, H, W) bool: the trimmed myocardium of the native map where it has a value."""
    return (case.record["aha_t1"] > 0) & (case.native_ms > 0)
