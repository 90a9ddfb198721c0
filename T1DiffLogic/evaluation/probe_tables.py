"""Tables of the study's probes: shifts, sensitivity, exchanged conditions, cost of training."""

from __future__ import annotations

from .significance import clustered_auc
from .study_records import TEST
from .study_results import Study
from .table import NONE, Table, interval_cell, spread_cell
from .tables import segment_agreement


def shift_table(study: Study) -> Table | None:
    """The same methods on patients of another vendor or another disease; None when there are none."""
    if len(study.groups) < 2:
        return None
    table = Table(
        "shifts", "Patients unlike those of training",
        ["method", "patients of", "RMSE ms, myocardium", "R of segments (95 % CI)",
         "AUC of infarcted segments (95 % CI)",
         "CRPS ms", "within 90 %", "patients"],
        "; ".join(
            f"{name}: {g['patients']} patients, {g['slices']} slices, {g['origin']}"
            for name, g in study.run["groups"].items()
        )
        + ". A shift shows hearts of the test set under another scanner or with another disease; beside it "
        "belongs the row of the same hearts as they were.",
    )  # fmt: skip
    for method in study.methods:
        for name, of_group, group in _same_patients(study, method):
            variant = of_group.main(method, group)
            errors = of_group.figures(method, "wall_rmse_ms", variant, group)
            s, figures = (
                of_group.segments(method, variant, group),
                segment_agreement(of_group, method, variant, group),
            )
            found = clustered_auc(s["synthetic_ms"], s["positive"], s["patient"]) if figures else {}
            table.rows.append(
                [
                    study.label(method, variant),
                    name,
                    spread_cell(errors, 1),
                    interval_cell(figures.get("pearson_r"), figures.get("pearson_r_ci")),
                    interval_cell(found.get("auc"), found.get("auc_ci")),
                    spread_cell(of_group.figures(method, "crps_ms", variant, group), 1),
                    spread_cell(of_group.figures(method, "coverage_90", variant, group)),
                    (str(len(errors)), (len(errors),)),
                ]
            )
    return table if table.rows else None


def _same_patients(study: Study, method: str) -> list[tuple[str, Study, str]]:
    """(what a row is of, study, group): the test set, those of it who have a shifted twin, each shift.

    A shift shows the same hearts changed, and often fewer of them: what it costs is the difference to
    those, not to all.
    """
    patients = {
        group: frozenset(study.figures(method, "wall_rmse_ms", None, group))
        for group in study.groups
        if study.variants(method, group)
    }
    rows = [(TEST, study, TEST)] if TEST in patients else []
    whole = patients.pop(TEST, frozenset())
    for twins in dict.fromkeys(found & whole for found in patients.values()):
        if twins and twins != whole:
            rows.append((f"test, {len(twins)} of them", study.among(twins), TEST))
    return rows + [(group, study, group) for group in patients]


def sensitivity_table(study: Study) -> Table | None:
    """How far segments move when ED, contours or the seed move; None when not measured."""
    table = Table(
        "sensitivity", "What ED ± 1 phase, contours ± 1 pixel and the seed change",
        ["method", "change", "segments move by, ms", "in the mean, ms", "segment error before, ms",
         "after, ms", "patients"],
        "Mean ± SD over patients; the map is made anew and read under the same contours. ED ± 1 takes the "
        "neighbouring phase as ED and leaves the masks; a contour moves at endo- and epicardium, at ED "
        "and ES. Where samples are centred around a mean map, the seed changes nothing, by construction.",
    )  # fmt: skip
    names = ("moved_abs_ms", "moved_mean_ms", "before_mae_ms", "after_mae_ms")
    for method in study.methods:
        rows = study.rows("sensitivity", method)
        for change in dict.fromkeys(r["change"] for r in rows):
            mine = [r for r in rows if r["change"] == change]
            cells = [spread_cell([float(r[name]) for r in mine], 1) for name in names]
            named = change.replace(" - ", " − ")
            table.rows.append([study.label(method), named, *cells, (str(len(mine)), (len(mine),))])
    return table if table.rows else None


def exchange_table(study: Study) -> Table | None:
    """What c_mod and c_mor decide; None when no method has them."""
    table = Table(
        "disentanglement", "One patient's c_mod with another's c_mor: whose map is it?",
        ["method", "compared with", "RMSE to the owner's map, ms", "R of segments with the owner's map",
         "Dice of the bright cavity with the owner's contours", "wall above 1250 ms, owner's map %",
         "wall above 1250 ms, mixed map %", "mixed maps"],
        "Mean ± SD over the mixed maps of pairs of patients (with and without an infarct, where there are "
        "both). If c_mod "
        "gives the tissue's values and c_mor the shape, the values follow the owner of c_mod and the cavity "
        "the owner of c_mor.",
    )  # fmt: skip
    for method in study.methods:
        rows = study.rows("exchanges", method)
        for owner in ("mod", "mor") if rows else ():
            columns = [[float(r[n]) for r in rows if r[n] != ""] for n in (
                f"rmse_to_{owner}_ms", f"segment_r_{owner}", f"cavity_dice_{owner}", f"scar_share_{owner}",
                "scar_share_mixed",
            )]  # fmt: skip
            table.rows.append(
                [
                    study.label(method),
                    f"owner of c_{owner}",
                    spread_cell(columns[0], 0),
                    spread_cell(columns[1]),
                    spread_cell(columns[2]),
                    spread_cell([100 * v for v in columns[3]], 0),
                    spread_cell([100 * v for v in columns[4]], 0),
                    (str(len(rows)), (len(rows),)),
                ]
            )
    return table if table.rows else None


def cost_table(study: Study) -> Table:
    """What each trained method cost and was trained on."""
    table = Table(
        "training", "How the methods were trained",
        ["method", "trained on", "parameters", "updates", "minutes", "batch", "seed", "sampler", "weights"],
        f"Updates and minutes as the model folders state them. Measured on {study.run['device']}; how fast a "
        "method is, `t1diff benchmark` tells.",
    )  # fmt: skip
    for method in study.methods:
        told = study.run["methods"][method]
        if "weights_sha256" not in told:
            continue

        def said(name, told=told):
            return str(told[name]) if name in told else NONE

        millions = told["parameters"] / 1e6
        sampler = f"{told['sampler']}, {told['sampler_steps']} steps" if "sampler" in told else NONE
        table.rows.append(
            [
                study.label(method), told["trained_on"], (f"{millions:.1f} M", (told["parameters"],)),
                said("steps"), said("minutes"), said("batch_size"), said("seed"), sampler,
                told["weights_sha256"][:12],
            ]
        )  # fmt: skip
    return table
