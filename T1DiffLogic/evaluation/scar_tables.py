"""Tables of the infarct: which segments, how large, how far through the wall."""

from __future__ import annotations

import numpy as np

from .scar import RULES
from .significance import clustered_auc, within_patient_auc
from .study_results import Study
from .table import Table, interval_cell, spread_cell
from .tables import rows_of

RULE_NAMES = {"fixed": "1250 ms", "remote": "remote + 2 SD", "roc": "best outside the test set"}


def auc_table(study: Study) -> Table:
    """Infarcted against other segments."""
    table = Table(
        "scar_segments", "Infarcted segments told from the others: AUC",
        ["method", "by mean T1 (95 % CI)", *(f"by share above {RULE_NAMES[r]}" for r in RULES),
         "place: inside each infarcted patient", "presence: patients by their highest segment",
         "infarcted / other segments"],
        "A segment counts as infarcted when 15 % of its native pixels are. Shares are counted in each sample "
        "and averaged. Place: the mean of the AUC inside each patient with an infarct, which knows nothing "
        "of who has one; presence: patients with an infarct against those without.",
    )  # fmt: skip
    for method, variant in rows_of(study, study.methods, True):
        s = study.segments(method, variant)
        if not len(s["patient"]):
            continue
        by_mean = clustered_auc(s["synthetic_ms"], s["positive"], s["patient"])
        cells = [interval_cell(by_mean["auc"], by_mean["auc_ci"])]
        for rule in RULES:
            known = np.isfinite(s[f"scar_{rule}"])
            found = clustered_auc(s[f"scar_{rule}"][known], s["positive"][known], s["patient"][known])
            cells.append(interval_cell(found["auc"], found["auc_ci"]))
        place = within_patient_auc(s["synthetic_ms"], s["positive"], s["patient"])
        cells.append(interval_cell(place["auc"], place["auc_ci"]))
        names = list(dict.fromkeys(s["patient"].tolist()))
        mine = [s["patient"] == name for name in names]
        highest = [s["synthetic_ms"][m].max() for m in mine]
        presence = clustered_auc(highest, [bool(s["infarcted"][m].any()) for m in mine], names)
        cells.append(interval_cell(presence["auc"], presence["auc_ci"]))
        n = (by_mean["n_positive"], by_mean["n_negative"])
        table.rows.append([study.label(method, variant), *cells, (f"{n[0]} / {n[1]}", n)])
    return table


def extent(study: Study, method: str, variant: str | None, rule: str, group: str = "test") -> dict[str, dict]:
    """Patient -> the numbers of scar.csv by one rule, None where empty."""
    variant = study.main(method, group) if variant is None else variant
    names = ("percent", "percent_of_mean_map", "reference_percent", "native_percent", "dice",
             "transmurality", "reference_transmurality")  # fmt: skip
    return {
        row["patient"]: {name: float(row[name]) if row[name] != "" else None for name in names}
        for row in study.rows("scar", method, variant, group)
        if row["rule"] == rule
    }


def difference(rows: dict[str, dict], name: str, reference: str) -> dict[str, float]:
    """Patient -> name − reference, of those that have both."""
    return {
        p: r[name] - r[reference] for p, r in rows.items() if r[name] is not None and r[reference] is not None
    }


def extent_table(study: Study) -> Table:
    """Infarct size, overlap and transmurality by the three rules."""
    table = Table(
        "scar_extent", "Infarct size, place and transmurality",
        ["method", "rule", "size − reference, % of LV", "the same, of the mean map",
         "size − native by the rule, % of LV", "Dice", "transmurality − reference, %",
         "patients / infarcted"],
        "Mean ± SD over patients. Reference: the true infarct core of the digital patients, or native T1 "
        "above 1250 ms where nobody knows it. LV is the trimmed myocardium of the slices. Dice and "
        "transmurality are of patients with an infarct.",
    )  # fmt: skip
    for method in study.methods:
        for variant in study.variants(method) if method == study.reference else [study.main(method)]:
            for rule in RULES:
                rows = extent(study, method, variant, rule)
                bias = difference(rows, "percent", "reference_percent")
                if not bias:
                    continue
                through = difference(rows, "transmurality", "reference_transmurality")
                dice = [r["dice"] for r in rows.values() if r["dice"] is not None]
                table.rows.append(
                    [
                        study.label(method, variant),
                        RULE_NAMES[rule],
                        spread_cell(bias, 1),
                        spread_cell(difference(rows, "percent_of_mean_map", "reference_percent"), 1),
                        spread_cell(difference(rows, "percent", "native_percent"), 1),
                        spread_cell(dice),
                        spread_cell([100 * v for v in through.values()], 0),
                        (f"{len(bias)} / {len(dice)}", (len(bias), len(dice))),
                    ]
                )
    return table
