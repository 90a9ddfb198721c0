"""Validation of the released models on digital patients: every study through the whole way.

    python -m T1DiffLogic.evaluation.validation --split validation -n 30 -o docs/validation

Writes one CSV row per segment and per patient, as they are done, and `summary.json`. A patient that
is in the CSV already is not done again. Controls that know nothing of the patient's cine stand
beside the map: the best constant, and the mean of each AHA segment over training patients.
"""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..anatomy.alignment import align_t1
from ..anatomy.segmenter import Segmenter
from ..options import SynthesisOptions
from ..phantom.draws import SEEDS, patient_seed
from ..phantom.patient import DigitalPatient, digital_patient
from ..study import LV_CAVITY, LV_MYOCARDIUM, RV, T1Map
from ..synthesis import synthesize

INFARCTED_SHARE = 0.15
"""A segment is infarcted when this share of its pixels is more than half infarct core."""


def segment_rows(patient: DigitalPatient, synthesis, segmenter: Segmenter) -> list[dict]:
    """One row per AHA segment that has both maps: means in ms and the true infarct share."""
    labels = segmenter.segment_t1(patient.t1).argmax(axis=1).astype(np.uint8)

    def on_cine(values):
        maps = T1Map(values_ms=values, geometries=patient.t1.geometries)
        return align_t1(maps, synthesis.cine, labels, synthesis.segmentation.labels_ed).native_ms

    scar = on_cine(1 + (patient.t1_scar > 0.5) * 1000.0)  # 1 where there is a map, so that 0 says none
    repeat, truth = on_cine(patient.t1_repeat.values_ms), on_cine(patient.t1_truth_ms)
    native = synthesis.native_ms
    rows = []
    for number in range(1, 17):
        mask = (synthesis.aha == number) & (native > 0) & synthesis.valid.astype(bool) & (scar > 0)
        if mask.sum() < 8:
            continue
        rows.append(
            {
                "seed": patient.seed,
                "infarcted_patient": int(patient.infarcted),
                "segment": number,
                "n": int(mask.sum()),
                "native_ms": float(native[mask].mean()),
                "synthetic_ms": float(synthesis.t1_ms[mask].mean()),
                "uncertainty_ms": float(synthesis.samples_ms[:, mask].mean(axis=1).std(ddof=1)),
                "repeat_ms": float(repeat[mask].mean()),
                "noise_free_ms": float(truth[mask].mean()),
                "infarct_share": float((scar[mask] > 500).mean()),
            }
        )
    return rows


def dice(found: np.ndarray, truth: np.ndarray, label: int) -> float:
    a, b = found == label, truth == label
    total = a.sum() + b.sum()
    return 1.0 if total == 0 else float(2 * (a & b).sum() / total)


def patient_row(patient: DigitalPatient, synthesis) -> dict:
    """Errors of ED and ES, Dice at the ED and ES that were found, pixel errors in the myocardium."""
    found, phases = synthesis.segmentation, synthesis.phases
    ed, es = found.labels_ed, found.labels_es
    truth_ed, truth_es = patient.labels[:, phases.ed], patient.labels[:, phases.es]
    wall = (ed == LV_MYOCARDIUM) & (synthesis.native_ms > 300) & (synthesis.native_ms < 2200)
    wall &= synthesis.valid.astype(bool)
    error = (synthesis.t1_ms - synthesis.native_ms)[wall]
    count = patient.cine.n_phases
    return {
        "seed": patient.seed,
        "infarcted": int(patient.infarcted),
        "ed_error": int(min((phases.ed - patient.ed) % count, (patient.ed - phases.ed) % count)),
        "es_error": int(min((phases.es - patient.es) % count, (patient.es - phases.es) % count)),
        **{
            f"dice_{name}_{moment}": dice(labels, truth, label)
            for name, label in (("rv", RV), ("myocardium", LV_MYOCARDIUM), ("cavity", LV_CAVITY))
            for moment, labels, truth in (("ed", ed, truth_ed), ("es", es, truth_es))
        },
        "wall_rmse_ms": float(np.sqrt((error**2).mean())),
        "wall_constant_rmse_ms": float(synthesis.native_ms[wall].std()),
        "flagged": sum(bool(s.flags) for s in synthesis.slices),
    }


def training_segment_means(n: int = 40) -> np.ndarray:
    """(16,) ms: mean native T1 of each AHA segment over `n` training patients, read under true contours.

    The control "per-segment mean": what a map can know of a segment from its number alone.
    """
    from ..anatomy.aha import aha_labels
    from ..anatomy.insertions import rv_insertions
    from ..anatomy.levels import slice_levels

    total, count = np.zeros(17), np.zeros(17)
    for seed in SEEDS["train"][5_000_000 : 5_000_000 + n]:
        patient = digital_patient(seed, phases=2)
        labels, geometries = patient.t1_labels, patient.t1.geometries
        numbers = aha_labels(
            labels, rv_insertions(labels, geometries), slice_levels(labels, geometries), geometries
        )
        np.add.at(total, numbers, patient.t1.values_ms)
        np.add.at(count, numbers, 1)
    return (total / np.maximum(count, 1))[1:]


def summary(rows: list[dict], patients: list[dict], means: np.ndarray) -> dict:
    """The figures of the release: agreement, infarct detection and errors against the controls."""

    def column(name, where=None):
        return np.array([float(r[name]) for r in rows if where is None or where(r)])

    def correlation(a, b):
        return float(np.corrcoef(a, b)[0, 1])

    def infarcted(r):
        return int(r["infarcted_patient"]) == 1

    native, synthetic = column("native_ms"), column("synthetic_ms")
    control = means[column("segment").astype(int) - 1]
    scar = column("infarct_share") >= INFARCTED_SHARE
    remote = ~scar
    error, constant_error = np.abs(synthetic - native).mean(), np.abs(native - np.median(native)).mean()
    ed = np.array([int(p["ed_error"]) for p in patients])
    es = np.array([int(p["es_error"]) for p in patients])
    figures = {
        "patients": len(patients),
        "segments": len(rows),
        "infarct_segments": int(scar.sum()),
        "segment_auc": _auc(synthetic[scar], synthetic[remote]),
        "segment_auc_native_repeat": _auc(column("repeat_ms")[scar], column("repeat_ms")[remote]),
        "segment_r_infarcted": correlation(column("synthetic_ms", infarcted), column("native_ms", infarcted)),
        "segment_r_infarcted_repeat": correlation(
            column("repeat_ms", infarcted), column("native_ms", infarcted)
        ),
        "segment_r_all": correlation(synthetic, native),
        "segment_mae_ms": float(error),
        "segment_mae_best_constant_ms": float(constant_error),
        "segment_mae_segment_means_ms": float(np.abs(control - native).mean()),
        "segment_mae_repeat_ms": float(np.abs(column("repeat_ms") - native).mean()),
        "mae_over_best_constant": float(error / constant_error),
        "ed_within_1": float((ed <= 1).mean()),
        "es_within_2": float((es <= 2).mean()),
    }
    for name in patients[0]:
        if name.startswith(("dice", "wall")):
            figures[name] = float(np.mean([float(p[name]) for p in patients]))
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}


def _auc(positive: np.ndarray, negative: np.ndarray) -> float | None:
    """Probability that a positive exceeds a negative (Mann-Whitney); None without both."""
    if not len(positive) or not len(negative):
        return None
    wins = (positive[:, None] > negative).mean() + 0.5 * (positive[:, None] == negative).mean()
    return float(wins)


def _append(path: Path, rows: list[dict]) -> None:
    fresh = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        if fresh:
            writer.writeheader()
        for row in rows:
            writer.writerow({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})


def _read(path: Path) -> list[dict]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("-n", type=int, default=30)
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    out = arguments.output
    out.mkdir(parents=True, exist_ok=True)
    segmenter = Segmenter.load()
    done = {int(r["seed"]) for r in _read(out / "patients.csv")}
    for index in range(arguments.n):
        seed = patient_seed(arguments.split, index)
        if seed in done:
            continue
        patient = digital_patient(seed)
        options = SynthesisOptions()
        if arguments.model is not None:
            options = replace(options, model=arguments.model)
        synthesis = synthesize(patient.cine, options, native=patient.t1)
        rows = segment_rows(patient, synthesis, segmenter)
        if rows:
            _append(out / "segments.csv", rows)
        _append(out / "patients.csv", [patient_row(patient, synthesis)])
        print(f"{index + 1}/{arguments.n} seed {seed}", flush=True)
    figures = summary(_read(out / "segments.csv"), _read(out / "patients.csv"), training_segment_means())
    (out / "summary.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
