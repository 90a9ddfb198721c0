"""Fits the weights of the contours' score (anatomy.score) to slices whose Dice is known.

    python -m T1DiffLogic.evaluation.score_fit --cavity-labels NPZ -o OUT [--model DIR]

Digital hearts of validation seeds that nothing is reported on, and the people of the cavity labels that
the segmenter was trained on, both made harder. Writes slices.csv and weights.json; the weights are then
written into anatomy/score.py by hand.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from ..anatomy.score import FEATURES, log_odds
from ..anatomy.segmenter import Segmenter
from ..errors import StudyError
from ..phantom.draws import patient_seed
from .records import replace
from .scored_slices import digital_rows, failed, real_rows
from .significance import auc

FIRST_SEED = 5000
"""Validation patients from here on are the fit's; anatomy_validation reports on the first ones."""

RIDGE = 0.025
"""Penalty on the squared weights, per slice: with few failures the likelihood alone has no optimum."""


def fit(measured: np.ndarray, good: np.ndarray) -> tuple[float, np.ndarray]:
    """(n, F) log-odds of features and (n,) bool -> intercept and (F,) weights of a logistic regression.

    Weights are not negative: every feature is 1 at its best, and a weight against that would fit chance.
    Failures and successes count the same in total, so that 0.5 is where a slice is as like to either.
    """
    share = np.where(good, 0.5 / max(good.sum(), 1), 0.5 / max((~good).sum(), 1))

    def loss(x):
        p = expit(x[0] + measured @ x[1:])
        value = -share @ np.log(np.where(good, p, 1 - p).clip(1e-12)) + RIDGE * (x[1:] @ x[1:])
        error = share * (p - good)
        return value, np.append(error.sum(), error @ measured + 2 * RIDGE * x[1:])

    bounds = [(None, None)] + [(0, None)] * measured.shape[1]
    best = minimize(loss, np.zeros(measured.shape[1] + 1), jac=True, bounds=bounds, method="L-BFGS-B")
    return float(best.x[0]), best.x[1:]


def report(rows: list[dict]) -> dict:
    """Weights and the AUC on the very slices of the fit, of all and of each feature alone."""
    seen = [r for r in rows if r["score"] is not None]
    measured = log_odds(np.array([[r[n] for n in FEATURES] for r in seen]))
    bad = np.array([failed(r) for r in seen])
    intercept, weights = fit(measured, ~bad)
    figures = {
        "slices": len(seen),
        "failures": int(bad.sum()),
        "intercept": intercept,
        "weights": dict(zip(FEATURES, weights.tolist())),
        "auc_of_the_fit": auc(-(measured @ weights), bad),
        "auc_of_each": {n: auc(-measured[:, k], bad) for k, n in enumerate(FEATURES)},
    }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cavity-labels", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("-n", type=int, default=8, help="digital hearts")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    try:
        segmenter = Segmenter.load(arguments.model)
        rows = []
        seeds = [patient_seed("validation", FIRST_SEED + k) for k in range(arguments.n)]
        for part in (
            digital_rows(seeds, segmenter),
            real_rows(arguments.cavity_labels, segmenter, held_back=False, degraded=True, every=2),
        ):
            for own in part:
                rows += own
                print(f"{len(rows)} slices", flush=True)
    except StudyError as error:
        raise SystemExit(str(error)) from error
    replace(arguments.output / "slices.csv", rows)
    text = json.dumps(report(rows), indent=2)
    (arguments.output / "weights.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
