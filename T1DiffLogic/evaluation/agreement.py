"""Agreement over many patients, with intervals that know that segments of one heart are not independent.

The figures are those of `statistics.agreement_of`. Their intervals come from resampling *patients* with
replacement (cluster bootstrap, percentile interval): 16 segments of one heart share its T1, and counting
them as 16 patients would make every interval four times too narrow.
"""

from __future__ import annotations

import numpy as np

from ..statistics import agreement_of

RESAMPLES = 4000
LEAST_PATIENTS = 5
"""With fewer patients a bootstrap of patients says nothing, and no interval or p is given."""

FIGURES = ("pearson_r", "slope", "intercept", "bias_ms", "icc21", "ccc")


def patient_index(patients) -> np.ndarray:
    """(n,) names -> (n,) int64 0…P − 1, in order of first appearance."""
    order = {name: i for i, name in enumerate(dict.fromkeys(patients))}
    return np.array([order[name] for name in patients], dtype=np.int64)


def resampled_counts(patients: int, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """(B, P) how often each patient is drawn in each resample; the same for the same arguments."""
    generator = np.random.default_rng([seed, patients])
    return generator.multinomial(patients, np.full(patients, 1 / patients), size=resamples)


def patient_moments(synthetic, native, index: np.ndarray) -> np.ndarray:
    """(P, 6) n, Σx, Σy, Σx², Σy², Σxy of each patient, x native and y synthetic (n,) about one centre."""
    x, y = np.asarray(native, np.float64), np.asarray(synthetic, np.float64)
    columns = (np.ones_like(x), x, y, x * x, y * y, x * y)
    return np.stack([np.bincount(index, column, minlength=index.max() + 1) for column in columns], axis=1)


def figures_of_moments(moments: np.ndarray) -> dict[str, np.ndarray]:
    """FIGURES of summed moments (..., 6), as `agreement_of` defines them; NaN where undefined."""
    n, sx, sy, sxx, syy, sxy = np.moveaxis(np.asarray(moments, np.float64), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mx, my = sx / n, sy / n
        vx, vy, cov = sxx / n - mx**2, syy / n - my**2, sxy / n - mx * my
        bias, correction = my - mx, n / (n - 1)
        rows = 2 * correction * (vx + vy + 2 * cov) / 4
        residual = correction * (vx + vy - 2 * cov) / 2
        columns = n * bias**2 / 2
        return {
            "pearson_r": cov / np.sqrt(vx * vy),
            "slope": cov / vx,
            "intercept": my - cov / vx * mx,
            "bias_ms": bias,
            "icc21": (rows - residual) / (rows + residual + 2 * (columns - residual) / n),
            "ccc": 2 * cov / (vx + vy + bias**2),
        }


def clustered_agreement(synthetic, native, patients, resamples: int = RESAMPLES, seed: int = 0) -> dict:
    """`agreement_of` with n, n_patients and, for each of FIGURES, `<name>_ci`: the 95 % interval.

    synthetic, native  (n,) ms;  patients  (n,) names. Intervals are None below LEAST_PATIENTS.
    pearson_p is twice the share of resamples with an R on the other side of zero, at least 2 / (B + 1).
    """
    figures = agreement_of(synthetic, native) | {"n": len(native), "n_patients": len(set(patients))}
    figures["pearson_p"] = None
    figures |= {f"{name}_ci": None for name in FIGURES}
    if figures["n_patients"] < LEAST_PATIENTS:
        return figures
    # about the mean, so that squares of 1200 ms do not drown a variance of 40² ms²
    centre = float(np.mean(native))
    index = patient_index(patients)
    moments = patient_moments(np.subtract(synthetic, centre), np.subtract(native, centre), index)
    drawn = figures_of_moments(resampled_counts(len(moments), resamples, seed) @ moments)
    with np.errstate(invalid="ignore"):  # a resample of one patient's value alone has no slope
        drawn["intercept"] = drawn["intercept"] + centre * (1 - drawn["slope"])
    for name in FIGURES:
        figures[f"{name}_ci"] = interval(drawn[name])
    figures["pearson_p"] = bootstrap_p(drawn["pearson_r"])
    return figures


def interval(values: np.ndarray, level: float = 0.95) -> list[float] | None:
    """The percentile interval of resampled values; None when a tenth of them is undefined."""
    known = values[np.isfinite(values)]
    if len(known) < 0.9 * len(values):
        return None
    return np.quantile(known, [(1 - level) / 2, (1 + level) / 2]).tolist()


def partial_r(
    synthetic, native, control, patients, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float | None, list[float] | None]:
    """R of synthetic with native (n,) once both are freed of a straight line in `control`, and its 95 %
    interval over resampled patients: what a map knows that the control does not. None where undefined."""
    columns = np.stack([np.ones(len(native)), synthetic, native, control], axis=1).astype(np.float64)
    columns[:, 1:] -= columns[:, 1:].mean(axis=0)
    index = patient_index(patients)
    products = np.zeros((index.max() + 1, 4, 4))
    np.add.at(products, index, columns[:, :, None] * columns[:, None, :])

    def of(sums):
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = sums[..., 0, 1:] / sums[..., :1, 0]
            cov = sums[..., 1:, 1:] / sums[..., :1, :1] - mean[..., :, None] * mean[..., None, :]
            sd = np.sqrt(np.diagonal(cov, axis1=-2, axis2=-1))
            r = cov / (sd[..., :, None] * sd[..., None, :])
            xy, xz, yz = r[..., 0, 1], r[..., 0, 2], r[..., 1, 2]
            return (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))

    whole = float(of(products.sum(axis=0)))
    if not np.isfinite(whole):
        return None, None
    counts = resampled_counts(len(products), resamples, seed)
    drawn = of(np.einsum("bp,pij->bij", counts, products, optimize=True))
    return whole, interval(drawn) if len(products) >= LEAST_PATIENTS else None


def bootstrap_p(values: np.ndarray) -> float | None:
    """Two-sided p of resampled values against zero: twice the smaller share on either side, with one added
    to both (Davison and Hinkley 1997, 4.2.3). None when a tenth of them is undefined."""
    known = values[np.isfinite(values)]
    if len(known) < 0.9 * len(values):
        return None
    sides = ((known <= 0).sum() + 1, (known >= 0).sum() + 1)
    return float(min(1.0, 2 * min(sides) / (len(known) + 1)))


def within_patient_r(synthetic, native, patients, least: int = 5) -> dict:
    """Pearson R of the segments inside each patient with at least `least` of them.

    Free of what differs between patients (their remote T1), which a cine hardly shows.
    Returns median, mean, ci (95 % of the mean over resampled patients), n_patients and by_patient.
    """
    synthetic, native = np.asarray(synthetic, np.float64), np.asarray(native, np.float64)
    patients = np.asarray(patients)
    by_patient = {}
    for name in dict.fromkeys(patients.tolist()):
        mine = patients == name
        if mine.sum() >= least:
            r = agreement_of(synthetic[mine], native[mine])["pearson_r"]
            if r is not None:
                by_patient[name] = r
    values = np.array(list(by_patient.values()))
    if not len(values):
        return {"median": None, "mean": None, "ci": None, "n_patients": 0, "by_patient": {}}
    means = resampled_counts(len(values)) @ values / len(values)
    return {
        "median": float(np.median(values)),
        "mean": float(values.mean()),
        "ci": interval(means) if len(values) >= LEAST_PATIENTS else None,
        "n_patients": len(values),
        "by_patient": by_patient,
    }
