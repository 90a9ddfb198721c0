"""Infarct size and place from a map, by three rules, and the reference that it is held against.

The reference is the true infarct core of a digital patient, or, where nobody knows it, what the native
map shows above the fixed threshold. Rules: T1 above 1250 ms; above remote mean + 2 SD of the same
map; above the threshold that separates best on maps of patients outside the test set, one for the
method and one for native maps. Scar is counted in every sample and averaged: the mean map has lost its tails.
"""

from __future__ import annotations

import numpy as np

from ..errors import StudyError
from ..statistics import FIXED_THRESHOLD_MS, scar_rule
from .cases import Case, Reading

RULES = ("fixed", "remote", "roc")
SECTORS = 36
INFARCTED_SHARE = 0.15
"""A segment is infarcted when this share of its native pixels is."""

REACHED = 0.05
"""A sector of the wall is reached by the infarct when this share of its pixels is."""


def reference_scar(case: Case) -> np.ndarray:
    """(S, H, W) bool within the native map's trimmed segments."""
    wall = (case.record["aha_t1"] > 0) & (case.native_ms > 0)
    return wall & (case.native_ms > FIXED_THRESHOLD_MS if case.scar is None else case.scar)


def is_infarcted(case: Case) -> bool:
    """Whether a patient counts as infarcted: as the record says, else when a segment of the native map is.
    A single pixel above 1250 ms, which noise makes of anybody's map, does not count."""
    if case.has("infarcted"):
        return bool(case.record["infarcted"])
    reference, aha = reference_scar(case), case.record["aha_t1"] * (case.native_ms > 0)
    return any(reference[aha == n].mean() >= INFARCTED_SHARE for n in np.unique(aha[aha > 0]))


def thresholds_ms(reading: Reading, rule: str, roc_ms: float | None) -> np.ndarray | None:
    """(K,) ms of each sample; None where the rule cannot be applied to this patient."""
    if rule == "roc":
        return None if roc_ms is None else np.full(len(reading.samples_ms), roc_ms)
    try:
        return scar_rule(reading, rule, reading.case.thickening).threshold_ms
    except StudyError:  # no wall thickening could be measured, so nothing says what is remote
        return None


def native_reading(case: Case) -> Reading:
    """The native map itself as a reading, under its own contours."""
    return Reading(case, case.record["t1_ms"][:, None], case.record["labels_t1"], case.record["aha_t1"])


def youden_threshold(values: np.ndarray, positive: np.ndarray) -> float | None:
    """The threshold with the largest sensitivity + specificity − 1 (values above it are positive).

    None without both classes. Halfway to the next lower value, so that rounding decides nothing.
    """
    positive = np.asarray(positive, bool)
    if positive.all() or not positive.any():
        return None
    order = np.argsort(values)[::-1]
    ordered, hits = np.asarray(values, np.float64)[order], positive[order]
    youden = np.cumsum(hits) / hits.sum() - np.cumsum(~hits) / (~hits).sum()
    last = np.append(np.diff(ordered) != 0, True)  # equal values stand on one side together
    best = int(np.argmax(np.where(last, youden, -np.inf)))
    below = ordered[best + 1] if best + 1 < len(ordered) else ordered[best] - 1.0
    return float((ordered[best] + below) / 2)


def wall_shares(scar: np.ndarray, labels_aha: np.ndarray) -> np.ndarray:
    """Scar (S, H, W) of wall pixels (aha > 0) -> (S, SECTORS) share of each 10° sector, NaN if empty.

    The sectors turn about the middle of the slice's wall; all of a patient's maps lie on one grid.
    """
    shares = np.full((len(scar), SECTORS), np.nan)
    for s, (found, aha) in enumerate(zip(scar, labels_aha)):
        rows, columns = np.nonzero(aha)
        if not rows.size:
            continue
        angle = np.arctan2(rows - rows.mean(), columns - columns.mean())
        which = np.minimum(((angle + np.pi) / (2 * np.pi) * SECTORS).astype(int), SECTORS - 1)
        count = np.bincount(which, minlength=SECTORS)
        with np.errstate(invalid="ignore"):
            shares[s] = np.bincount(which, found[rows, columns], minlength=SECTORS) / count
    return shares


def dice(found: np.ndarray, truth: np.ndarray) -> float | None:
    """2 |A ∩ B| / (|A| + |B|); None when both are empty."""
    total = found.sum() + truth.sum()
    return float(2 * (found & truth).sum() / total) if total else None


def scar_rows(reading: Reading, roc_ms: float | None, native_roc_ms: float | None) -> list[dict]:
    """One row per rule of RULES: infarct size, overlap and transmurality of one patient's map.

    reference_percent      of the myocardium in these slices that is infarct, by the reference
    native_percent         the same by this rule on the native map
    percent                by this rule on the map, mean over the samples; percent_of_mean_map on their mean
    dice                   with the reference, where both contours see wall, mean over the samples;
                           None without infarct in the reference
    transmurality, reference_transmurality   mean share of the wall in the sectors that the reference
                           infarct reaches, by the map and by the reference; None without infarct
    threshold_ms           mean over the samples
    All None except the reference where the rule cannot be applied.
    """
    case = reading.case
    native = native_reading(case)
    reference, own = reference_scar(case), (reading.native_aha > 0) & (case.native_ms > 0)
    there = reading.aha > 0
    shared = there & own
    reference_shares = wall_shares(reference, reading.native_aha)
    with np.errstate(invalid="ignore"):
        reached = reference_shares >= REACHED
    rows = []
    for rule in RULES:
        row = {
            "rule": rule,
            "threshold_ms": None,
            "reference_percent": 100 * float(reference[own].mean()) if own.any() else None,
            "native_percent": None,
            "percent": None,
            "percent_of_mean_map": None,
            "dice": None,
            "transmurality": None,
            "reference_transmurality": float(reference_shares[reached].mean()) if reached.any() else None,
        }
        threshold, native_threshold = (
            thresholds_ms(r, rule, t) for r, t in ((reading, roc_ms), (native, native_roc_ms))
        )
        if threshold is not None and there.any():
            above = (reading.samples_ms > threshold[:, None, None, None]) & there
            row["threshold_ms"] = float(threshold.mean())
            row["percent"] = 100 * float(above[:, there].mean())
            row["percent_of_mean_map"] = 100 * float((reading.t1_ms[there] > threshold.mean()).mean())
            if reached.any():
                share = np.nanmean([wall_shares(a, reading.aha) for a in above], axis=0)
                seen = reached & np.isfinite(share)
                row["transmurality"] = float(share[seen].mean()) if seen.any() else None
                row["dice"] = float(np.mean([dice(a[shared], reference[shared]) or 0.0 for a in above]))
        if native_threshold is not None and own.any():
            row["native_percent"] = 100 * float((case.native_ms[own] > native_threshold[0]).mean())
        rows.append(row)
    return rows


def scar_fractions(reading: Reading, masks: list[np.ndarray], roc_ms: float | None) -> dict[str, list]:
    """scar_<rule>: for each mask its share above the rule, mean over the samples; None if not known."""
    result = {}
    for rule in RULES:
        threshold = thresholds_ms(reading, rule, roc_ms)
        result[f"scar_{rule}"] = [
            float((reading.samples_ms[:, mask] > threshold[:, None]).mean())
            if threshold is not None and mask.any()
            else None
            for mask in masks
        ]
    return result
