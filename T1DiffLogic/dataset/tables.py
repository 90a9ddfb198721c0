"""The tables of a DATASET folder, from the records of its patients; dataset.json last."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from ..anatomy.roi import PIXEL_MM, SIZE
from ..batch.records import write_whole
from ..errors import StudyError
from ..study import RESEARCH_NOTICE
from .pairing import PairingOptions
from .pairs import DATASET_FILE, EXCLUDED_FILE, FORMAT, PAIRS_FILE, PATIENTS_FILE, SPLITS
from .records import read_record

PAIR_COLUMNS = (
    "patient", "split", "slice", "level", "cine_z_mm", "t1_z_mm", "distance_mm", "shift_row_mm",
    "shift_col_mm", "n_myocardium", "flags",
)  # fmt: skip
PATIENT_COLUMNS = ("patient", "split", "slices", "status", "reason")
EXCLUDED_COLUMNS = ("patient", "slice", "reason")


def write_tables(
    folder: Path, patients: list, asked: str, options: PairingOptions, description: dict
) -> dict:
    """patients.csv, pairs.csv, excluded.csv and, when there is a pair, dataset.json; each in one move.

    patients  preparing.Patient in the order of the tables

    Returns how many patients are done and excluded, and how many pairs there are. Raises StudyError when a
    patient has no record of this run's options, i.e. the run was not whole.
    """
    found = list(_records(folder, patients, asked))
    splits = dict.fromkeys(SPLITS, 0)
    for patient, record in found:
        splits[patient.split] += record["status"] == "done"
    pairs = [
        {"patient": patient.name, "split": patient.split, **row}
        for patient, record in found
        for row in record["pairs"]
    ]
    rows = [
        {
            "patient": patient.name,
            "split": patient.split,
            "slices": len(record["pairs"]),
            "status": "done" if record["status"] == "done" else "excluded",
            "reason": record["reason"],
        }
        for patient, record in found
    ]
    left_out = [
        {"patient": patient.name, "slice": where, "reason": reason}
        for patient, record in found
        for where, reason in _exclusions(record)
    ]
    for name, columns, content in (
        (PATIENTS_FILE, PATIENT_COLUMNS, rows),
        (PAIRS_FILE, PAIR_COLUMNS, pairs),
        (EXCLUDED_FILE, EXCLUDED_COLUMNS, left_out),
    ):
        _write_csv(folder / name, columns, content)
    if pairs:
        text = json.dumps(
            {
                "format": FORMAT,
                "size": SIZE,
                "pixel_mm": PIXEL_MM,
                "cine_phases": options.cine_phases,
                "splits": splits,
                **description,
                "options": {**asdict(options), **description.get("options", {})},
                "notice": RESEARCH_NOTICE,
            },
            indent=1,
        )
        write_whole(folder / DATASET_FILE, lambda file: file.write(text + "\n"))
    done = sum(splits.values())
    return {"done": done, "excluded": len(found) - done, "pairs": len(pairs)}


def _exclusions(record: dict) -> Iterator[tuple[str, str]]:
    if record["status"] != "done":
        yield "", record["reason"]
    yield from record["excluded"]


def _records(folder: Path, patients: list, asked: str) -> Iterator[tuple]:
    for patient in patients:
        record = read_record(folder, patient.name)
        if record.get("asked") != asked:
            raise StudyError(f"{folder} is not complete; run the same command again.")
        yield patient, record


def _write_csv(path: Path, columns, rows: list[dict]) -> None:
    def write(file):
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)

    write_whole(path, write)
