"""The study's rows on disk: one CSV per kind of number, added patient by patient, resumable.

OUT/data/ holds all that tables and figures are made from. Every row begins with `group`, `method`,
`patient` (and `variant`); a piece of work, (what, group, method, patient), is finished when done.csv has
its line, which is written after its rows.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..errors import StudyError
from .records import append, read, replace

TEST, VENDOR, DISEASE = "test", "vendor shift", "disease shift"
"""Groups of patients."""

MEAN, SAMPLE, STEP = "mean of samples", "1 sample", "1 step"
"""Variants of methods that sample: the mean of K samples, the first of them, one step of the sampler in
place of all. The one variant of all others is ''."""

ROLES = {
    "t1diff": "t1diff",
    "paper": "t1diff",
    "pix2pix": "baseline",
    "cyclegan": "baseline",
    "pgan": "baseline",
    "hinet": "baseline",
    "gan_disentangled": "ablation",
    "ddpm_raw": "ablation",
    "regression": "control",
}
"""Kind of a method -> its part in the study: whether it stands in Table 1, in Table 2 or beside both."""

RUN, DONE, FAILURES = "run.json", "done.csv", "failures.csv"
TABLES = {
    "patients": "measure",
    "slices": "measure",
    "segments": "measure",
    "scar": "measure",
    "reliability": "measure",
    "sensitivity": "sensitivity",
    "exchanges": "exchange",
}
"""CSV name -> the work that fills it."""

Key = tuple[str, str, str, str]


def file_name(method: str) -> str:
    """A method's name as a file's."""
    return "".join(c if c.isalnum() or c in "-_ ,." else "_" for c in method)


class StudyRecords:
    """The rows of one OUT/data folder. What an interrupted run left half done is dropped on opening."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        done = read(folder / DONE)
        self.done: set[Key] = {(r["what"], r["group"], r["method"], r["patient"]) for r in done}
        replace(folder / DONE, done)
        for table, what in TABLES.items():
            rows = read(folder / f"{table}.csv")
            kept = [r for r in rows if (what, r["group"], r["method"], r["patient"]) in self.done]
            replace(folder / f"{table}.csv", kept)
        (folder / FAILURES).unlink(missing_ok=True)

    def add(self, key: Key, tables: dict[str, list[dict]]) -> None:
        """Rows by table, without the columns of `key`; then the work counts as done."""
        what, group, method, patient = key
        names = {"group": group, "method": method, "patient": patient}
        for table, rows in tables.items():
            if TABLES[table] != what:
                raise ValueError(f"{table} is not filled by {what}")
            if rows:
                append(self.folder / f"{table}.csv", [names | row for row in rows])
        append(self.folder / DONE, [{"what": what, **names}])
        self.done.add(key)

    def fail(self, key: Key, sentence: str) -> None:
        """A piece of work that was refused: told, and tried again by the next run."""
        what, group, method, patient = key
        row = {"what": what, "group": group, "method": method, "patient": patient, "sentence": sentence}
        append(self.folder / FAILURES, [row])

    def forget(self, method: str) -> None:
        """Drop everything of a method, whose weights are others now."""
        self.done = {key for key in self.done if key[2] != method}
        for table in (*TABLES, DONE.removesuffix(".csv")):
            path = self.folder / f"{table}.csv"
            replace(path, [r for r in read(path) if r["method"] != method])


def read_run(folder: Path) -> dict | None:
    """run.json of a data folder, None where there is none yet. StudyError when it is damaged."""
    path = folder / RUN
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StudyError(f"{path} is damaged; give an empty folder with -o.") from error


def write_run(folder: Path, run: dict) -> None:
    """run.json, in one move."""
    temporary = folder / f"{RUN}.part"
    text = json.dumps(run, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, folder / RUN)
