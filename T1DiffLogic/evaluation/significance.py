"""Whether one method is ahead of another, on the same patients.

Figures that every patient has (RMSE, CRPS, …) are compared by the Wilcoxon signed-rank test on the
patients' pairs; R, AUC and a bias, which only a group has, by a bootstrap that resamples the patients of
both methods together. p-values against several rivals are corrected by Holm (Scand J Stat 1979;6:65).
"""

from __future__ import annotations

import numpy as np
from scipy.stats import wilcoxon

from .agreement import (
    LEAST_PATIENTS,
    RESAMPLES,
    bootstrap_p,
    figures_of_moments,
    interval,
    patient_index,
    patient_moments,
    resampled_counts,
)


def wilcoxon_p(ours, theirs) -> float | None:
    """Two-sided p of the paired differences; 1 when all are zero, None below LEAST_PATIENTS pairs."""
    difference = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    if len(difference) < LEAST_PATIENTS:
        return None
    if not difference.any():
        return 1.0
    return float(wilcoxon(difference).pvalue)


def holm(p_values: list[float | None]) -> list[float | None]:
    """Adjusted p-values in the order given; None stays None and counts for nothing."""
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        adjusted[i] = highest
    return adjusted


def auc(values, positive) -> float | None:
    """Probability that a positive exceeds a negative (Mann–Whitney, ties one half); None without both."""
    values, positive = np.asarray(values, np.float64), np.asarray(positive, bool)
    if positive.all() or not positive.any():
        return None
    return _auc_of(_wins(values, positive, np.zeros(len(values), dtype=np.int64)), np.ones((1, 1)))[0].item()


def _wins(values, positive, index) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P, P) wins of the positives of patient p over the negatives of q, and (P,) counts of both."""
    patients = index.max() + 1
    up, down = values[positive], values[~positive]
    wins = (up[:, None] > down[None, :]) + 0.5 * (up[:, None] == down[None, :])
    rows = np.zeros((patients, len(down)))
    np.add.at(rows, index[positive], wins)
    table = np.zeros((patients, patients))
    np.add.at(table.T, index[~positive], rows.T)
    return (
        table,
        np.bincount(index[positive], minlength=patients),
        np.bincount(index[~positive], minlength=patients),
    )


def _auc_of(wins, counts: np.ndarray) -> np.ndarray:
    """(B,) AUC of resamples in which patient p is there counts[b, p] times; NaN without both classes."""
    table, positives, negatives = wins
    with np.errstate(invalid="ignore", divide="ignore"):
        total = np.einsum("bp,pq,bq->b", counts, table, counts, optimize=True)
        return total / ((counts @ positives) * (counts @ negatives))


def clustered_auc(values, positive, patients, resamples: int = RESAMPLES, seed: int = 0) -> dict:
    """auc, auc_ci (95 %, patients resampled), n_positive, n_negative of segments (n,)."""
    values, positive = np.asarray(values, np.float64), np.asarray(positive, bool)
    result = {
        "auc": auc(values, positive), "auc_ci": None,
        "n_positive": int(positive.sum()), "n_negative": int((~positive).sum()),
    }  # fmt: skip
    index = patient_index(patients)
    if result["auc"] is not None and index.max() >= LEAST_PATIENTS - 1:
        counts = resampled_counts(index.max() + 1, resamples, seed)
        result["auc_ci"] = interval(_auc_of(_wins(values, positive, index), counts))
    return result


def within_patient_auc(values, positive, patients) -> dict:
    """Mean over the patients that have both kinds of segments of the AUC inside the patient: whether the
    infarct is found where it is, not only whether there is one. auc, auc_ci (95 %), n_patients."""
    values, positive, patients = (
        np.asarray(values, np.float64),
        np.asarray(positive, bool),
        np.asarray(patients),
    )
    inside = [auc(values[patients == p], positive[patients == p]) for p in dict.fromkeys(patients.tolist())]
    known = np.array([v for v in inside if v is not None])
    if not len(known):
        return {"auc": None, "auc_ci": None, "n_patients": 0}
    means = resampled_counts(len(known)) @ known / len(known)
    limits = interval(means) if len(known) >= LEAST_PATIENTS else None
    return {"auc": float(known.mean()), "auc_ci": limits, "n_patients": len(known)}


def compare_r(ours, theirs, native, patients, resamples: int = RESAMPLES, seed: int = 0) -> dict:
    """R of ours minus R of theirs against the same native (n,) values: difference, ci, p."""
    index = patient_index(patients)
    if index.max() < LEAST_PATIENTS - 1:
        return {"difference": None, "ci": None, "p": None}
    centre = float(np.mean(native))
    counts = resampled_counts(index.max() + 1, resamples, seed)
    drawn, whole = [], []
    for values in (ours, theirs):
        moments = patient_moments(np.subtract(values, centre), np.subtract(native, centre), index)
        drawn.append(figures_of_moments(counts @ moments)["pearson_r"])
        whole.append(float(figures_of_moments(moments.sum(axis=0))["pearson_r"]))
    difference = whole[0] - whole[1]
    known = difference if np.isfinite(difference) else None
    return {"difference": known, **_of_resamples(drawn[0] - drawn[1])}


def compare_auc(ours, theirs, positive, patients, resamples: int = RESAMPLES, seed: int = 0) -> dict:
    """AUC of ours minus AUC of theirs on the same segments (n,): difference, ci, p."""
    positive, index = np.asarray(positive, bool), patient_index(patients)
    if positive.all() or not positive.any() or index.max() < LEAST_PATIENTS - 1:
        return {"difference": None, "ci": None, "p": None}
    counts = resampled_counts(index.max() + 1, resamples, seed)
    drawn = [_auc_of(_wins(np.asarray(v, np.float64), positive, index), counts) for v in (ours, theirs)]
    return {
        "difference": auc(ours, positive) - auc(theirs, positive),
        **_of_resamples(drawn[0] - drawn[1]),
    }


def compare_bias(ours, theirs, resamples: int = RESAMPLES, seed: int = 0) -> dict:
    """How much farther ours is off on the whole than theirs: difference, ci, p.

    ours, theirs  (rules, patients) errors of the same patients. A method is off by |mean over the
                  patients|, on average over the rules: errors of both signs make up for each other.
    """
    both = np.asarray([ours, theirs], np.float64)
    if both.shape[-1] < LEAST_PATIENTS:
        return {"difference": None, "ci": None, "p": None}
    counts = resampled_counts(both.shape[-1], resamples, seed)
    drawn = np.abs(both @ counts.T / both.shape[-1]).mean(axis=1)
    off = np.abs(both.mean(axis=-1)).mean(axis=1)
    return {"difference": float(off[0] - off[1]), **_of_resamples(drawn[0] - drawn[1])}


def _of_resamples(difference: np.ndarray) -> dict:
    return {"ci": interval(difference), "p": bootstrap_p(difference)}
