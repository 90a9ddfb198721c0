"""Validation of the anatomy: contours, their score, flags, volumes, phases and time.

    python -m T1DiffLogic.evaluation.anatomy_validation -o OUT [--model DIR] [--cavity-labels NPZ]

Whole digital studies as they come (studies.csv, flags.csv), the same with one fault planted in a slice
(planted.csv), digital hearts and real people's cavities made harder (slices.csv), and summary.json. The
score is judged by its AUC against a Dice below 0.7, on studies that it was not fitted to.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ..anatomy import gating, quality
from ..anatomy.breath_hold import shifts_mm
from ..anatomy.function import ventricular_function
from ..anatomy.segmenter import Segmenter
from ..errors import StudyError
from ..phantom.draws import patient_seed
from ..phantom.patient import DigitalPatient, digital_patient
from ..segmentation import StudyAnatomy, study_anatomy
from ..study import LV_CAVITY, LV_MYOCARDIUM, RV
from . import degraded
from .cavity_stacks import cavity_stacks
from .records import replace
from .scar import dice
from .scored_slices import FAILED, digital_rows, real_rows, slice_rows
from .significance import clustered_auc

HARDER_FROM = 100
"""Validation patients that are made harder, apart from those whose whole studies are measured."""

STUDY_IMAGES = 250
"""10 slices of 25 phases, to which the time is scaled."""

VOLUMES = ("edv_ml", "esv_ml", "mass_g")

PLANTED: dict[str, tuple[str, Callable]] = {
    "uneven times": (gating.UNEVEN_TIMES, lambda stack, s: degraded.uneven_times(stack, s, 0.8, s)),
    "other rate": (gating.OTHER_RATE, lambda stack, s: degraded.faster(stack, s, 1.4)),
    "out of step": (gating.OUT_OF_STEP, lambda stack, s: degraded.out_of_step(stack, s, 6)),
    "two beats": (gating.TWO_BEATS, degraded.two_beats),
    "frames exchanged": (gating.JUMPS, lambda stack, s: degraded.frames_exchanged(stack, s, 4, s)),
    "breath-hold": ("shifted by # mm", lambda stack, s: degraded.slice_shifted(stack, s, 12.0)),
}
"""Faults that move whole frames, so that their contours move with them, and the flag that tells each."""


def whole_study(patient: DigitalPatient, segmenter: Segmenter) -> dict[str, list[dict]]:
    """Rows of studies.csv (one), slices.csv, flags.csv and planted.csv of one digital patient, by table."""
    cine, name = patient.cine, f"digital {patient.seed}"
    start = time.perf_counter()
    soft = segmenter.segment_cine(cine)
    seconds = time.perf_counter() - start
    anatomy = study_anatomy(cine, soft)
    ed, es = anatomy.phases.ed, anatomy.phases.es
    two = [ed, es]
    stack = degraded.phases_of((cine, patient.labels), two)
    slices = slice_rows(name, "whole study", stack[0], soft[:, two], stack[1])
    flags = [
        {"study": name, "slice": s, "level": level, "score": score, "flag": flag}
        for s, (level, score, own) in enumerate(zip(anatomy.levels, anatomy.quality, anatomy.flags))
        for flag in own or ("",)
    ]
    return {
        "studies": [_study_row(patient, anatomy, seconds)],
        "slices": slices,
        "flags": flags,
        "planted": _planted(patient, soft, anatomy),
    }


def _study_row(patient: DigitalPatient, anatomy: StudyAnatomy, seconds: float) -> dict:
    ed, es, count = anatomy.phases.ed, anatomy.phases.es, patient.cine.n_phases
    geometries = patient.cine.geometries
    true = {name: getattr(patient, name) for name in VOLUMES}
    # what disc summation makes of the true contours at the true phases: the share of slicing in the errors
    drawn = ventricular_function(patient.labels[:, patient.ed], patient.labels[:, patient.es], geometries)
    found_at = anatomy.segmentation.labels_ed, anatomy.segmentation.labels_es
    row = {"seed": patient.seed, "slices": patient.cine.n_slices, "phases": count, "seconds": seconds}
    row |= {"ed_error": _apart(ed, patient.ed, count), "es_error": _apart(es, patient.es, count)}
    for name in VOLUMES:
        row |= {f"{name}_true": true[name], name: anatomy.function[name], f"{name}_drawn": drawn[name]}
    ef = 100 * (1 - true["esv_ml"] / true["edv_ml"])
    row |= {"ef_percent_true": ef, "ef_percent": anatomy.function["ef_percent"]}
    row |= {"ef_percent_drawn": drawn["ef_percent"]}
    for structure, value in (("rv", RV), ("myocardium", LV_MYOCARDIUM), ("cavity", LV_CAVITY)):
        for moment, labels, phase in (("ed", found_at[0], ed), ("es", found_at[1], es)):
            row[f"dice_{structure}_{moment}"] = dice(labels == value, patient.labels[:, phase] == value)
    return row


def _planted(patient: DigitalPatient, soft: np.ndarray, anatomy: StudyAnatomy) -> list[dict]:
    """One row per fault, planted into a mid slice that has no flag as it is."""
    clean = [s for s, f in enumerate(anatomy.flags) if anatomy.levels[s] == "mid" and not f]
    rows = []
    stack = degraded.windowed((patient.cine, soft), anatomy.labels)
    for fault, (flag, plant) in PLANTED.items():
        if not clean:
            break
        at = clean[len(clean) // 2]
        found = study_anatomy(*plant(stack, at)).flags
        others = sum(kind_of(f) == flag for s, own in enumerate(found) if s != at for f in own)
        there = int(flag in map(kind_of, found[at]))
        row = {"seed": patient.seed, "fault": fault, "slice": at, "found": there, "elsewhere": others}
        rows.append(row)
    return rows


def summary(studies: list[dict], slices: list[dict], flags: list[dict], planted: list[dict]) -> dict:
    """The figures of summary.json from the rows of the four tables."""
    figures: dict = {"studies": len(studies), **(_of_studies(studies) if studies else {})}
    figures["score"] = {
        "digital, myocardium": _auc(slices, "digital", "dice_myocardium"),
        "digital, cavity": _auc(slices, "digital", "dice_cavity"),
        "real, cavity": _auc([r for r in slices if r["fault"] == "none"], "real", "dice_cavity"),
        "real made harder, cavity": _auc([r for r in slices if r["fault"] != "none"], "real", "dice_cavity"),
    }
    figures["score"] = {k: v for k, v in figures["score"].items() if v is not None}
    # ring, base and apex flags stand for what is so at the ends of any stack; here, what is wrong inside
    inside = [r for r in flags if r["level"]]
    count = len({(r["study"], r["slice"]) for r in inside})
    kinds = sorted({kind_of(r["flag"]) for r in inside if r["flag"]})
    figures["slices_with_lv"] = count
    figures["flagged_of_slices_with_lv"] = {
        kind: len({(r["study"], r["slice"]) for r in inside if kind_of(r["flag"]) == kind}) / count
        for kind in kinds
    }
    figures["planted_found"] = {
        fault: float(np.mean([r["found"] for r in planted if r["fault"] == fault]))
        for fault in dict.fromkeys(r["fault"] for r in planted)
    }
    return figures


def _of_studies(studies: list[dict]) -> dict:
    """Volumes, phases, Dice and time of whole studies."""
    figures: dict = {"volumes": {}}
    for kind in ("", "_drawn"):
        for name in VOLUMES:
            errors = [100 * (r[name + kind] / r[f"{name}_true"] - 1) for r in studies]
            figures["volumes"][f"{name}{kind}_error_percent"] = _spread(errors)
        points = [r[f"ef_percent{kind}"] - r["ef_percent_true"] for r in studies]
        figures["volumes"][f"ef{kind}_error_points"] = _spread(points)
    for moment in ("ed", "es"):
        errors = [r[f"{moment}_error"] for r in studies]
        figures[f"{moment}_within_1"] = float(np.mean([e <= 1 for e in errors]))
        figures[f"{moment}_error_largest"] = int(max(errors))
    for name in [n for n in studies[0] if n.startswith("dice")]:
        figures[name] = float(np.mean([r[name] for r in studies]))
    scaled = [r["seconds"] * STUDY_IMAGES / (r["slices"] * r["phases"]) for r in studies]
    return figures | {"seconds_of_10_slices_25_phases": float(np.median(scaled))}


def _auc(slices: list[dict], kind: str, measure: str) -> dict | None:
    """AUC of the score against a low Dice with its interval over studies, and what no score could tell.

    missed     slices whose structure was not found at all: they have no score but a flag
    caught, false_alarms   shares of failures and of the others that the score's flag marks
    """
    rows = [r for r in slices if r["study"].startswith(kind) and r[measure] is not None]
    seen = [r for r in rows if r["score"] is not None]
    if not seen:
        return None
    score, bad = np.array([r["score"] for r in seen]), np.array([r[measure] < FAILED for r in seen])
    low = score < quality.MIN_SCORE
    return {
        **clustered_auc(-score, bad, [r["study"] for r in seen]),
        "mean_dice": float(np.mean([r[measure] for r in rows])),
        "missed": len(rows) - len(seen),
        "caught": float(low[bad].mean()) if bad.any() else None,
        "false_alarms": float(low[~bad].mean()) if not bad.all() else None,
    }


def experts_shifts(path: Path) -> dict[str, float]:
    """mm beside the line through the other slices that 19 in 20 of the experts' cavities keep within, of all
    people: inner slices and those at either end. What `breath_hold` takes its limits from."""
    within: dict[str, list[float]] = {"inner_p95_mm": [], "end_p95_mm": []}
    for held in (False, True):
        for stack in cavity_stacks(path, held):
            both = [shifts_mm(stack.cavity[:, p] * LV_CAVITY, stack.cine.geometries) for p in (0, 1)]
            seen = [v for v in np.minimum(*both) if np.isfinite(v)]
            within["inner_p95_mm"] += seen[1:-1]
            within["end_p95_mm"] += [*seen[:1], *seen[-1:]]
    return {name: float(np.percentile(values, 95)) for name, values in within.items() if values}


def kind_of(flag: str) -> str:
    """A flag without its numbers and without what follows in brackets."""
    named = flag if " mm " not in flag else flag.split(" mm")[0] + " mm"
    return re.sub(r"\d+(\.\d+)?(?= mm$)", "#", named)


def _apart(phase: int, other: int, count: int) -> int:
    return int(min((phase - other) % count, (other - phase) % count))


def _spread(errors) -> dict:
    return {"mean": float(np.mean(errors)), "mean_absolute": float(np.mean(np.abs(errors)))} | {
        "sd": float(np.std(errors, ddof=1)) if len(errors) > 1 else None
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="a segmenter's folder, the installed one by default")
    parser.add_argument("--cavity-labels", type=Path, help="real people's cavities (.npz)")
    parser.add_argument("-n", type=int, default=4, help="whole digital studies")
    parser.add_argument("--harder", type=int, default=8, help="digital hearts that are made harder")
    arguments = parser.parse_args()
    out = arguments.output
    out.mkdir(parents=True, exist_ok=True)
    tables: dict[str, list[dict]] = {name: [] for name in ("studies", "slices", "flags", "planted")}
    try:
        segmenter = Segmenter.load(arguments.model)
        for part in _parts(arguments, segmenter):
            for name, rows in part.items():
                tables[name] += rows
                replace(out / f"{name}.csv", tables[name])
            print(f"{len(tables['studies'])} whole studies, {len(tables['slices'])} slices", flush=True)
    except StudyError as error:
        raise SystemExit(str(error)) from error
    figures = {"segmenter": segmenter.provenance, **summary(**tables)}
    if arguments.cavity_labels:
        figures["shift_of_experts_contours"] = experts_shifts(arguments.cavity_labels)
    text = json.dumps(_rounded(figures), indent=2)
    (out / "summary.json").write_text(text + "\n", encoding="utf-8")
    print(text)


def _parts(arguments, segmenter: Segmenter) -> Iterator[dict[str, list[dict]]]:
    """New rows by table, study by study."""
    for worse in (False, True) if arguments.cavity_labels else ():
        for rows in real_rows(arguments.cavity_labels, segmenter, held_back=True, degraded=worse):
            yield {"slices": rows}
    seeds = [patient_seed("validation", HARDER_FROM + k) for k in range(arguments.harder)]
    for rows in digital_rows(seeds, segmenter):
        yield {"slices": rows}
    for index in range(arguments.n):
        yield whole_study(digital_patient(patient_seed("validation", index)), segmenter)


def _rounded(value):
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(v) for v in value]
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
