"""Equal updates and equal time: read from the logs, between their rows, no farther than all came."""

import csv
import json

import numpy as np
import pytest

from T1DiffLogic.evaluation.convergence import convergence, convergence_tables, equal_points
from T1DiffLogic.evaluation.study_results import Study

LOGS = {
    "t1diff": [
        ("minutes", "learning_minutes", "step", "rmse_ms", "block_r"),
        (1.0, 0.5, 100, 120.0, 0.1), (2.0, 1.0, 300, 80.0, 0.5), (9.0, 4.0, 900, 70.0, 0.6),
    ],
    "pix2pix": [
        ("minutes", "learning_minutes", "step", "rmse_ms", "block_r"),
        (1.0, 0.4, 50, 200.0, 0.0), (3.0, 2.4, 450, 100.0, 0.4),
    ],
}  # fmt: skip


def study_of(folder, logs):
    data = folder / "data"
    (data / "convergence").mkdir(parents=True)
    for name, rows in logs.items():
        with (data / "convergence" / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    with (data / "patients.csv").open("w", newline="") as file:
        names = ("group", "method", "variant", "patient")
        csv.writer(file).writerows([names, *(("test", n, "", "a") for n in logs)])
    methods = {n: {"role": "t1diff" if n == "t1diff" else "baseline", "kind": n} for n in logs}
    (data / "run.json").write_text(json.dumps({"methods": methods, "reference": "t1diff", "groups": {}}))
    return Study(data)


def values(table, method):
    """Column name -> number of one row."""
    row = next(r for r in table.rows if r[0] == method)
    return {name: None if isinstance(c, str) else c[1][0] for name, c in list(zip(table.columns, row))[1:]}


def test_values_lie_on_the_line_between_two_rows(tmp_path):
    updates, time = convergence_tables(study_of(tmp_path, LOGS))
    ours, theirs = values(updates, "T1Diff"), values(updates, "pix2pix")
    # 200 updates: halfway between 100 and 300, and 150 of 400 beyond 50
    assert ours["RMSE ms, 200 updates ↓"] == pytest.approx(100.0)
    assert ours["R, 200 updates ↑"] == pytest.approx(0.3)
    assert theirs["RMSE ms, 200 updates ↓"] == pytest.approx(200 - 100 * 150 / 400)
    # as far as all came: pix2pix's last row, where T1Diff has 150 of its next 600 updates
    assert theirs["RMSE ms, 450 updates ↓"] == 100.0
    assert ours["RMSE ms, 450 updates ↓"] == pytest.approx(80 - 10 * 150 / 600)
    assert "450 updates is as far as all came (pix2pix no farther)" in updates.note
    assert (ours["updates in all"], ours["RMSE ms then"], ours["R then"]) == (900, 70.0, 0.6)
    # minutes of learning, not the wall clock that validation shares
    assert values(time, "T1Diff")["RMSE ms, 1 min ↓"] == 80.0
    assert values(time, "pix2pix")["RMSE ms, 2.4 min ↓"] == 100.0


def test_no_point_lies_before_a_log_begins_or_beyond_its_end(tmp_path):
    for table in convergence_tables(study_of(tmp_path, LOGS)):
        for row in table.rows:
            assert not any(isinstance(c, str) for c in row[1:]), row


@pytest.mark.parametrize(
    "columns, points",
    [
        ([[28, 909], [4, 95]], [50, 95]),  # 20 is before the first row of one
        ([[1, 5000], [1, 90000]], [500, 1000, 2000, 5000]),
        ([[0.04, 1.467], [0.1, 2.7]], [0.2, 0.5, 1, 1.467]),
        ([[60, 70], [10, 20]], [20]),  # nothing in common: no round one
    ],
)
def test_points_are_round_and_within_all_logs(columns, points):
    assert equal_points([np.array(c, float) for c in columns]) == pytest.approx(points)


def test_an_early_log_without_minutes_of_learning_is_left_out_of_equal_time(tmp_path):
    old = {**LOGS, "hinet": [("minutes", "step", "rmse_ms"), (1, 10, 150), (4, 800, 90)]}
    updates, time = convergence_tables(study_of(tmp_path, old))
    assert {r[0] for r in updates.rows} == {"T1Diff", "pix2pix", "Hi-Net"}
    assert {r[0] for r in time.rows} == {"T1Diff", "pix2pix"}
    assert values(updates, "Hi-Net")["R, 200 updates ↑"] is None


def test_a_log_in_stages_gives_what_stood_for_the_method(tmp_path):
    staged = [("minutes", "step", "mean_rmse_ms", "sampled_rmse_ms"), (1, 10, 90, ""), (2, 20, 80, 85)]
    curve = convergence(study_of(tmp_path, {"t1diff": staged}), "t1diff")
    assert curve["rmse_ms"].tolist() == [90, 85]
    assert np.isnan(curve["block_r"]).all() and np.isnan(curve["learning_minutes"]).all()


def test_one_log_alone_is_compared_with_nothing(tmp_path):
    assert convergence_tables(study_of(tmp_path, {"t1diff": LOGS["t1diff"]})) == []
