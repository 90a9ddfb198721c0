"""The validation's bookkeeping and controls: no patient twice, none lost in silence, numbers as defined."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest

from T1DiffLogic.errors import StudyError
from T1DiffLogic.evaluation import controls, records
from T1DiffLogic.evaluation.validation import patient_row, rmse, summary, validate
from T1DiffLogic.phantom.patient import digital_patient
from T1DiffLogic.study import LV_MYOCARDIUM


def rows_of(seed):
    return [{"seed": seed, "segment": n, "native_ms": 1200.5} for n in (1, 2)], {"seed": seed, "wall": 60.0}


def silent(line):
    pass


def seeds_in(path):
    return [int(row["seed"]) for row in records.read(path)]


def test_a_killed_run_leaves_no_segments_twice(tmp_path):
    validate([1, 2], tmp_path, rows_of, silent)
    # killed between the two appends of patient 3, and once within a line
    records.append(tmp_path / "segments.csv", rows_of(3)[0])
    with (tmp_path / "patients.csv").open("a") as file:
        file.write("3,6")
    validate([1, 2, 3, 4], tmp_path, rows_of, silent)
    assert seeds_in(tmp_path / "patients.csv") == [1, 2, 3, 4]
    assert seeds_in(tmp_path / "segments.csv") == [1, 1, 2, 2, 3, 3, 4, 4]


def test_a_killed_first_patient_leaves_nothing(tmp_path):
    records.append(tmp_path / "segments.csv", rows_of(1)[0])
    (tmp_path / "patients.csv").write_text("seed,wa")
    validate([1], tmp_path, rows_of, silent)
    assert seeds_in(tmp_path / "segments.csv") == [1, 1] and seeds_in(tmp_path / "patients.csv") == [1]


def test_a_refused_study_is_told_and_the_others_are_done(tmp_path):
    def refusing(seed):
        if seed == 2:
            raise StudyError("no LV was found, on any slice.")
        return rows_of(seed)

    validate([1, 2, 3], tmp_path, refusing, silent)
    assert seeds_in(tmp_path / "patients.csv") == [1, 3]
    failure = {"seed": "2", "sentence": "no LV was found, on any slice."}
    assert records.read(tmp_path / "failures.csv") == [failure]
    validate([1, 2, 3], tmp_path, refusing, silent)
    assert records.read(tmp_path / "failures.csv") == [failure], "tried again, told once"
    validate([1, 2, 3], tmp_path, rows_of, silent)
    assert seeds_in(tmp_path / "patients.csv") == [1, 3, 2] and not (tmp_path / "failures.csv").exists()


def test_rows_of_another_version_are_not_mixed_in(tmp_path):
    (tmp_path / "patients.csv").write_text("seed,dice\n1,0.9\n")
    with pytest.raises(StudyError, match="patients.csv has other columns"):
        validate([1, 2], tmp_path, rows_of, silent)


def test_pixel_errors_in_the_myocardium(synthesis):
    """Against a loop over pixels; the native map is implausible at some of them."""
    native = synthesis.native_ms.copy()
    native[4, 40:50] = np.where(native[4, 40:50] > 0, 2500, 0)
    study = SimpleNamespace(**{**vars(synthesis), "native_ms": native})
    labels_ed = synthesis.segmentation.labels_ed
    labels = np.stack([labels_ed] * 12, axis=1)
    patient = SimpleNamespace(seed=5, infarcted=True, labels=labels, ed=11, es=6, cine=synthesis.cine)
    means = np.array([1210.0, *range(1101, 1117)])
    row = patient_row(patient, study, means)

    squares = {name: [] for name in ("", "_training_mean", "_aha", "_aha_segment_means")}
    wall = []
    for at in np.ndindex(native.shape):
        in_wall = labels_ed[at] == LV_MYOCARDIUM and synthesis.valid[at]
        if not in_wall or not 300 < native[at] < 2200:
            continue
        wall.append(float(native[at]))
        squares[""].append((float(synthesis.t1_ms[at]) - native[at]) ** 2)
        squares["_training_mean"].append((1210.0 - native[at]) ** 2)
        number = synthesis.aha[at]
        if number:
            squares["_aha"].append(squares[""][-1])
            squares["_aha_segment_means"].append((1100.0 + number - native[at]) ** 2)
    for name, values in squares.items():
        assert row[f"wall{name}_rmse_ms"] == pytest.approx(np.sqrt(np.mean(values)), rel=1e-4), name
    assert row["wall_constant_rmse_ms"] == pytest.approx(np.std(wall), rel=1e-4)
    assert 0 < len(squares["_aha"]) < len(wall)
    assert (row["ed_error"], row["es_error"]) == (1, 0) and row["dice_myocardium_ed"] == 1


def test_a_patient_without_judged_pixels_has_no_error_rather_than_nan(tmp_path):
    assert rmse(1200.0, np.zeros(0)) is None
    for seed, error_ms, ed in ((1, None, 0), (2, 50.0, 2)):
        row = {"seed": seed, "wall_rmse_ms": error_ms, "ed_error": ed, "es_error": 0}
        records.append(tmp_path / "patients.csv", [row])
    columns = (
        "segment native_ms synthetic_ms synthetic1_ms repeat_ms infarct_share infarcted_patient seed "
        "uncertainty_ms"
    )
    segments = [
        dict(zip(columns.split(), values))
        for values in [(1, 1200, 1210, 1230, 1205, 0, 1, 1, 9), (2, 1400, 1370, 1440, 1390, 0.5, 1, 1, 9)]
    ]
    means = np.array([1250.0, 1190.0, 1200.0, *[0.0] * 14])
    figures = summary(segments, records.read(tmp_path / "patients.csv"), 3, means)
    assert figures["wall_rmse_ms"] == 50.0 and figures["failed"] == 3 and figures["patients"] == 2
    assert figures["segment_mae_ms"] == 20 and figures["segment_mae_one_sample_ms"] == 35
    assert figures["segment_mae_training_mean_ms"] == 100 and figures["segment_mae_segment_means_ms"] == 105
    assert figures["segment_auc"] == 1 and figures["segment_r_infarcted"] is None, "two points say nothing"
    with pytest.raises(StudyError, match="failures.csv"):
        summary([], [], 2, means)


def test_the_persons_own_remote_level_is_set_aside():
    """Two patients 100 ms apart whose infarcts the map finds and half of whose height it gives."""
    rows = []
    for seed, level in ((1, 1150), (2, 1250)):
        for segment in range(1, 17):
            infarct = 200 if segment > 12 else 0
            noise = (-1) ** segment
            rows.append(
                {
                    "seed": seed, "segment": segment, "infarcted_patient": 1, "uncertainty_ms": 60,
                    "native_ms": level + infarct + noise, "synthetic_ms": 1200 + infarct / 2 + noise,
                    "synthetic1_ms": 1200, "repeat_ms": level, "infarct_share": infarct / 200,
                }
            )  # fmt: skip
    figures = summary(rows, [{"ed_error": 0, "es_error": 0}], 0, np.full(17, 1200.0))
    assert figures["segment_r_within_median"] > 0.999 > 0.9 > figures["segment_r_infarcted"]
    # level (SD 50) + infarct (SD 87) against level + half of it
    assert figures["own_remote_r_infarcted"] == pytest.approx(0.945, abs=0.002)
    assert figures["remote_sd_ms"] == pytest.approx(70.71, abs=0.1)
    constant = figures["segment_mae_best_constant_ms"]
    assert figures["own_remote_mae_over_best_constant"] == pytest.approx(25 / constant, abs=1e-3)
    assert figures["population_remote_mae_over_best_constant"] == pytest.approx(50 / constant, abs=1e-3)
    assert figures["population_remote_r_infarcted"] < 0.9
    assert figures["within_interval"] == pytest.approx(28 / 32, abs=1e-3)


def test_training_means_are_of_the_true_contours_and_kept(tmp_path):
    path = tmp_path / "training_means.csv"
    seeds = controls.TRAINING_PATIENTS[:1]
    means = controls.training_means(path, seeds)
    patient = digital_patient(seeds[0], phases=2)
    wall = patient.t1.values_ms[patient.t1_labels == LV_MYOCARDIUM]
    assert means[0] == pytest.approx(wall[(wall > 300) & (wall < 2200)].mean(), abs=0.01)
    assert means.shape == (17,) and (abs(means[1:] - means[0]) < 250).all()
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    rows[12][1] = "999"
    path.write_text("\n".join(map(",".join, rows)) + "\n")
    assert controls.training_means(path, ())[11] == 999.0, "segment 11, from the file"
