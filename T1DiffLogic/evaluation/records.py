"""Rows of a validation on disk: appended patient by patient, and whole again after any interruption."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from ..errors import StudyError

SEGMENTS, PATIENTS, FAILURES = "segments.csv", "patients.csv", "failures.csv"


def append(path: Path, rows: list[dict]) -> None:
    """Add rows at the end of a CSV; None is an empty cell. StudyError when its columns are others."""
    columns = _columns(path)
    if columns and columns != list(rows[0]):
        raise StudyError(f"{path} has other columns than this version writes; give an empty folder with -o.")
    with path.open("a" if columns else "w", newline="", encoding="utf-8") as file:
        _write(file, rows, header=not columns)


def _columns(path: Path) -> list[str]:
    """The header of a CSV; none without a file or when it was cut short."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        line = file.readline()
    return next(csv.reader([line])) if line.endswith("\n") else []


def read(path: Path) -> list[dict]:
    """The whole rows of a CSV, as text; none when there is no file. A line cut short by a kill is no row."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        text = file.read()
    return list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline="")))


def resume(folder: Path) -> set[int]:
    """The seeds of finished patients, after dropping all that an earlier run left of unfinished ones.

    A patient is finished when it has its row in patients.csv, which is written after its segments.
    The failures are forgotten: those patients are tried again.
    """
    patients = read(folder / PATIENTS)
    done = {int(row["seed"]) for row in patients}
    replace(folder / PATIENTS, patients)
    replace(folder / SEGMENTS, [r for r in read(folder / SEGMENTS) if int(r["seed"]) in done])
    (folder / FAILURES).unlink(missing_ok=True)
    return done


def replace(path: Path, rows: list[dict]) -> None:
    """Write `rows` in place of whatever the CSV held, in one move; no rows, no file."""
    if not rows:
        path.unlink(missing_ok=True)
        return
    temporary = path.with_name(path.name + ".part")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        _write(file, rows, header=True)
    os.replace(temporary, path)


def _write(file, rows: list[dict], header: bool) -> None:
    writer = csv.DictWriter(file, fieldnames=list(rows[0]))
    if header:
        writer.writeheader()
    for row in rows:
        writer.writerow({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})
