"""The methods' training logs: what each had reached after equal updates, and after equal time."""

from __future__ import annotations

import csv
from collections.abc import Sequence

import numpy as np

from .study_records import file_name
from .study_results import Study
from .table import Table, cell

AXES = {"updates": ("updates", "step"), "minutes": ("minutes",), "learning_minutes": ("learning_minutes",)}
"""What errors are followed over, and the columns of log.csv that may hold it."""

ERRORS = ("rmse_ms", "sampled_rmse_ms", "mean_rmse_ms")
AGREEMENTS = ("block_r", "sampled_block_r", "mean_block_r")
"""Columns of the log: the first is what the method stood for at that moment."""

ROUND_POINTS = 3


def convergence(study: Study, method: str) -> dict[str, np.ndarray] | None:
    """updates, minutes, learning_minutes (NaN where the log has none), rmse_ms and block_r (NaN, too) of a
    method's training log, where it has an error; None without a log."""
    path = study.folder / "convergence" / f"{file_name(method)}.csv"
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {name: _first(rows, options) for name, options in AXES.items()}
    found["rmse_ms"], found["block_r"] = _first(rows, ERRORS), _first(rows, AGREEMENTS)
    known = np.isfinite([found[name] for name in ("updates", "minutes", "rmse_ms")]).all(axis=0)
    return {name: column[known] for name, column in found.items()} if known.any() else None


def _first(rows: list[dict], names: Sequence[str]) -> np.ndarray:
    """(rows,) of each row the first of the columns that has a number, NaN where none has."""
    return np.array([next((float(r[n]) for n in names if r.get(n) not in (None, "")), np.nan) for r in rows])


def convergence_tables(study: Study) -> list[Table]:
    """Validation error and R of every method with a log at equal updates and at equal learning time; none
    with fewer than two."""
    curves = {m: c for m in study.methods if (c := convergence(study, m)) is not None}
    tables = []
    for axis, name, title, unit in (
        ("updates", "equal_updates", "Validation after equal updates of the weights", "updates"),
        ("learning_minutes", "equal_time", "Validation after equal time of learning", "min"),
    ):
        with_axis = {m: c for m, c in curves.items() if np.isfinite(c[axis]).all()}
        if len(with_axis) > 1:
            tables.append(_equal_table(study, with_axis, axis, name, title, unit))
    return tables


def _equal_table(study: Study, curves: dict, axis: str, name: str, title: str, unit: str) -> Table:
    points = equal_points([c[axis] for c in curves.values()])
    ends = [f"{_plain(p)} {unit}" for p in points]
    last_of = min(curves, key=lambda m: curves[m][axis][-1])
    table = Table(
        name, title,
        ["method", *(f"RMSE ms, {e} ↓" for e in ends), *(f"R, {e} ↑" for e in ends),
         f"{unit} in all", "RMSE ms then", "R then"],
        "RMSE in the inner wall and R of blocks of 11 mm on the validation slices, between two rows of a log "
        "on the straight line; of a method that samples the mean of two samples, of a residual diffusion its "
        f"mean map. {ends[-1]} is as far as all came ({study.label(last_of)} no "
        "farther). Every run lowers its learning rate over its own budget, so what it had reached before its "
        "end is not what a run of that length reaches."
        + (" Time is that of the updates alone, on the machine that trained." if unit == "min" else ""),
    )  # fmt: skip
    for method, curve in curves.items():
        at = {n: [_at(curve, axis, p, n) for p in points] for n in ("rmse_ms", "block_r")}
        end = curve[axis][-1]
        table.rows.append(
            [
                study.label(method),
                *(cell(v, 1) for v in at["rmse_ms"]),
                *(cell(v) for v in at["block_r"]),
                (_plain(end), (float(end),)),
                cell(curve["rmse_ms"][-1], 1),
                cell(curve["block_r"][-1]),
            ]
        )
    for i in range(len(points)):
        rows = list(range(len(table.rows)))
        table.bold_best(1 + i, False, rows)
        table.bold_best(1 + len(points) + i, True, rows)
    return table


def equal_points(columns: Sequence[np.ndarray]) -> list[float]:
    """Where methods can be compared, from the (rows,) updates or minutes of each: the last that all have, and
    up to ROUND_POINTS of 1, 2, 5, 10, … below it that all have passed their first row of."""
    first, last = max(c[0] for c in columns), min(c[-1] for c in columns)
    top = int(np.floor(np.log10(max(last, 1e-6))))
    round_ones = [digit * 10.0**d for d in range(top - 2, top + 1) for digit in (1, 2, 5)]
    # one next to the last says nothing more
    return [p for p in round_ones if first <= p <= 0.9 * last][-ROUND_POINTS:] + [float(last)]


def _at(curve: dict, axis: str, point: float, name: str) -> float | None:
    """The value at a point of the axis, on the line between rows; None outside the rows."""
    known = np.isfinite(curve[name])
    x, y = curve[axis][known], curve[name][known]
    if not len(x) or not x[0] <= point <= x[-1]:
        return None
    return float(np.interp(point, x, y))


def _plain(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or float(value).is_integer() else f"{value:.3g}"
