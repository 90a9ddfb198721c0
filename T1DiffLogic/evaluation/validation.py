"""Validation of the released models on digital patients: every study through the whole way.

    python -m T1DiffLogic.evaluation.validation --split validation -n 30 -o docs/validation

Writes one CSV row per segment and per patient, as they are done, and `summary.json`. A patient that
is in the CSV already is not done again; one whose study is refused goes into `failures.csv`, is counted,
and is tried again by the next run. Controls that know nothing of the patient's cine stand beside the
map: the best constant, the mean of the myocardium and of each AHA segment over training patients.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..anatomy.aha import aha_labels
from ..anatomy.alignment import align_t1
from ..anatomy.segmenter import Segmenter
from ..errors import StudyError
from ..model import LoadedModel
from ..options import SynthesisOptions
from ..phantom.draws import patient_seed
from ..phantom.patient import DigitalPatient, digital_patient
from ..statistics import paired_segments
from ..study import LV_CAVITY, LV_MYOCARDIUM, RV, T1Map
from ..synthesis import synthesize
from .controls import plausible, training_means
from .records import FAILURES, PATIENTS, SEGMENTS, append, read, resume
from .scar import INFARCTED_SHARE

REMOTE_SHARE = 0.05
"""A segment is remote when less than this share of it is infarcted."""


def segment_rows(patient: DigitalPatient, synthesis, segmenter: Segmenter) -> list[dict]:
    """One row per AHA segment that has both maps: means in ms and the true infarct share.

    synthetic_ms is of the mean map of all samples, synthetic1_ms of the first sample alone. Each scan
    is read under its own contours, aligned by them; the noise-free map and the infarct under the
    native scan's.
    """
    labels, again = (
        segmenter.segment_t1(m).argmax(axis=1).astype(np.uint8) for m in (patient.t1, patient.t1_repeat)
    )

    def on_cine(values, found=labels):
        maps = T1Map(values_ms=values, geometries=patient.t1.geometries)
        return align_t1(maps, synthesis.cine, found, synthesis.segmentation.labels_ed)

    scar = on_cine(1 + (patient.t1_scar > 0.5) * 1000.0).native_ms  # 1 where there is a map: 0 says none
    repeat, truth = on_cine(patient.t1_repeat.values_ms, again), on_cine(patient.t1_truth_ms).native_ms
    levels = [s.level for s in synthesis.slices]
    insertions, geometries = synthesis.segmentation.rv_insertions, synthesis.cine.geometries
    repeated = aha_labels(repeat.labels, insertions, levels, geometries) * (repeat.native_ms > 0)
    rows = []
    for number, (mask, own) in enumerate(paired_segments(synthesis), start=1):
        second = (repeated == number) & own.any(axis=(1, 2), keepdims=True)
        if min(mask.sum(), own.sum(), second.sum()) < 8:
            continue
        rows.append(
            {
                "seed": patient.seed,
                "infarcted_patient": int(patient.infarcted),
                "segment": number,
                "n": int(mask.sum()),
                "native_ms": float(synthesis.native_ms[own].mean()),
                "synthetic_ms": float(synthesis.t1_ms[mask].mean()),
                "synthetic1_ms": float(synthesis.samples_ms[0, mask].mean()),
                "uncertainty_ms": float(synthesis.samples_ms[:, mask].mean(axis=1).std(ddof=1)),
                "repeat_ms": float(repeat.native_ms[second].mean()),
                "noise_free_ms": float(truth[own].mean()),
                "infarct_share": float((scar[own] > 500).mean()),
            }
        )
    return rows


def dice(found: np.ndarray, truth: np.ndarray, label: int) -> float:
    a, b = found == label, truth == label
    total = a.sum() + b.sum()
    return 1.0 if total == 0 else float(2 * (a & b).sum() / total)


def rmse(values, native: np.ndarray) -> float | None:
    """Root mean square of `values` (n,) or one value minus `native` (n,); None without pixels."""
    return float(np.sqrt(np.square(values - native, dtype=np.float64).mean())) if native.size else None


def patient_row(patient: DigitalPatient, synthesis, means: np.ndarray) -> dict:
    """Errors of ED and ES, Dice at the ED and ES that were found, RMSE over pixels of the ED myocardium.

    means  (17,) ms of `controls.training_means`

    wall_*      all its pixels: of the map, of this patient's own best constant, of the training mean
    wall_aha_*  its pixels in AHA segments: of the map, of the training means painted on the segments
    """
    found, phases = synthesis.segmentation, synthesis.phases
    ed, es = found.labels_ed, found.labels_es
    truth_ed, truth_es = patient.labels[:, phases.ed], patient.labels[:, phases.es]
    native = synthesis.native_ms
    wall = (ed == LV_MYOCARDIUM) & plausible(native) & synthesis.valid.astype(bool)
    in_segments = wall & (synthesis.aha > 0)
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
        "wall_rmse_ms": rmse(synthesis.t1_ms[wall], native[wall]),
        "wall_constant_rmse_ms": rmse(native[wall].mean() if wall.any() else 0.0, native[wall]),
        "wall_training_mean_rmse_ms": rmse(means[0], native[wall]),
        "wall_aha_rmse_ms": rmse(synthesis.t1_ms[in_segments], native[in_segments]),
        "wall_aha_segment_means_rmse_ms": rmse(means[synthesis.aha[in_segments]], native[in_segments]),
        "flagged": sum(bool(s.flags) for s in synthesis.slices),
    }


def summary(rows: list[dict], patients: list[dict], failed: int, means: np.ndarray) -> dict:
    """The figures of the release: agreement, infarct detection and errors against the controls.

    rows, patients  of segments.csv and patients.csv; means (17,) ms of `controls.training_means`.
    Figures of patients are means over those that have one. Raises StudyError without any patient.
    """
    if not rows or not patients:
        raise StudyError(f"no patient gave a map that can be compared; {FAILURES} says why.")

    def column(name, where=None):
        return np.array([float(r[name]) for r in rows if where is None or where(r)])

    def infarcted(r):
        return int(r["infarcted_patient"]) == 1

    native, synthetic = column("native_ms"), column("synthetic_ms")
    one = column("synthetic1_ms")
    control = means[column("segment").astype(int)]
    scar = column("infarct_share") >= INFARCTED_SHARE
    remote = ~scar
    error, constant_error = np.abs(synthetic - native).mean(), np.abs(native - np.median(native)).mean()
    ed = np.array([int(p["ed_error"]) for p in patients])
    es = np.array([int(p["es_error"]) for p in patients])
    figures = {
        "patients": len(patients),
        "failed": failed,
        "segments": len(rows),
        "infarct_segments": int(scar.sum()),
        "segment_auc": _auc(synthetic[scar], synthetic[remote]),
        "segment_auc_native_repeat": _auc(column("repeat_ms")[scar], column("repeat_ms")[remote]),
        "segment_r_infarcted": _r(column("synthetic_ms", infarcted), column("native_ms", infarcted)),
        "segment_r_infarcted_one_sample": _r(
            column("synthetic1_ms", infarcted), column("native_ms", infarcted)
        ),
        "segment_r_infarcted_repeat": _r(column("repeat_ms", infarcted), column("native_ms", infarcted)),
        "segment_r_all": _r(synthetic, native),
        "segment_mae_ms": float(error),
        "segment_mae_one_sample_ms": float(np.abs(one - native).mean()),
        "segment_mae_best_constant_ms": float(constant_error),
        "segment_mae_training_mean_ms": float(np.abs(means[0] - native).mean()),
        "segment_mae_segment_means_ms": float(np.abs(control - native).mean()),
        "segment_mae_repeat_ms": float(np.abs(column("repeat_ms") - native).mean()),
        "mae_over_best_constant": float(error / constant_error),
        "ed_within_1": float((ed <= 1).mean()),
        "es_within_2": float((es <= 2).mean()),
    }
    figures |= _apart_from_the_person(rows)
    for name in patients[0]:
        if name.startswith(("dice", "wall")):
            known = [float(p[name]) for p in patients if p[name] != ""]
            figures[name] = float(np.mean(known)) if known else None
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}


def _apart_from_the_person(rows: list[dict]) -> dict:
    """What remains when a person's own remote T1, which no cine shows, is set aside.

    segment_r_within_*     R of the segments within each infarcted patient
    remote_sd_ms           SD between patients of the remote level: the median of the native segments
                           with less than 5 % infarct
    own_remote_*           the synthetic map, its remote level set to the patient's measured one
    population_remote_*    the measured map itself, its remote level set to the mean of the patients'
    slope                  of synthetic on native;  within_interval  |error| ≤ 1.64 uncertainty, a share
    """
    columns = "seed infarcted_patient native_ms synthetic_ms infarct_share uncertainty_ms"
    seed, infarcted, native, synthetic, share, doubt = (
        np.array([float(r[name]) for r in rows]) for name in columns.split()
    )
    own, population = synthetic.copy(), native.copy()
    within, levels = [], {}
    for patient in np.unique(seed):
        mine = seed == patient
        if infarcted[mine].any() and mine.sum() > 2:
            within.append(np.corrcoef(synthetic[mine], native[mine])[0, 1])
        remote = mine & (share < REMOTE_SHARE)
        if remote.any():
            levels[patient] = np.median(native[remote])
            own[mine] += levels[patient] - np.median(synthetic[remote])
    centre = np.mean(list(levels.values())) if levels else 0.0
    for patient, level in levels.items():
        population[seed == patient] += centre - level
    sick = infarcted > 0
    constant = np.abs(native - np.median(native)).mean()
    return {
        "segment_r_within_median": float(np.median(within)) if within else None,
        "segment_r_within_mean": float(np.mean(within)) if within else None,
        "remote_sd_ms": float(np.std(list(levels.values()), ddof=1)) if len(levels) > 1 else None,
        "own_remote_mae_over_best_constant": float(np.abs(own - native).mean() / constant),
        "own_remote_r_infarcted": _r(own[sick], native[sick]),
        "population_remote_mae_over_best_constant": float(np.abs(population - native).mean() / constant),
        "population_remote_r_infarcted": _r(population[sick], native[sick]),
        "slope": float(np.polyfit(native, synthetic, 1)[0]),
        "within_interval": float((np.abs(synthetic - native) <= 1.64 * doubt).mean()),
    }


def _r(a: np.ndarray, b: np.ndarray) -> float | None:
    return float(np.corrcoef(a, b)[0, 1]) if len(a) > 2 else None


def _auc(positive: np.ndarray, negative: np.ndarray) -> float | None:
    """Probability that a positive exceeds a negative (Mann-Whitney); None without both."""
    if not len(positive) or not len(negative):
        return None
    wins = (positive[:, None] > negative).mean() + 0.5 * (positive[:, None] == negative).mean()
    return float(wins)


def validate(
    seeds, folder: Path, rows_of: Callable[[int], tuple[list[dict], dict]], say: Callable[[str], None] = print
) -> None:
    """Appends the rows of every patient of `seeds` that `folder` does not hold yet.

    rows_of  seed -> (segment rows, patient row); its StudyError goes into failures.csv
    """
    done = resume(folder)
    for number, seed in enumerate(seeds, start=1):
        if seed in done:
            continue
        try:
            segments, patient = rows_of(seed)
        except StudyError as error:
            append(folder / FAILURES, [{"seed": seed, "sentence": str(error)}])
            say(f"{number}/{len(seeds)} seed {seed} failed: {error}")
            continue
        if segments:
            append(folder / SEGMENTS, segments)
        append(folder / PATIENTS, [patient])
        say(f"{number}/{len(seeds)} seed {seed}")


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
    options = SynthesisOptions(model=arguments.model)
    try:
        LoadedModel.load(options)  # a missing model is not the patients' failure
        segmenter, means = Segmenter.load(), training_means(out / "training_means.csv")

        def rows_of(seed: int) -> tuple[list[dict], dict]:
            patient = digital_patient(seed)
            synthesis = synthesize(patient.cine, options, native=patient.t1)
            return segment_rows(patient, synthesis, segmenter), patient_row(patient, synthesis, means)

        seeds = [patient_seed(arguments.split, index) for index in range(arguments.n)]
        validate(seeds, out, rows_of, lambda line: print(line, flush=True))
        failed = len(read(out / FAILURES))
        figures = summary(read(out / SEGMENTS), read(out / PATIENTS), failed, means)
    except StudyError as error:
        raise SystemExit(str(error)) from error
    (out / "summary.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
