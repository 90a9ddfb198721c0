"""What became of one patient: records/<patient>.json, written after everything else of the patient."""

from __future__ import annotations

import json
from pathlib import Path

from ..batch.records import write_whole
from ..study import RESEARCH_NOTICE
from .pairs import PAIRS_FOLDER

RECORDS_FOLDER = "records"


def write_record(folder: Path, patient: str, record: dict) -> None:
    """Atomic. OSError when it cannot be written."""
    path = Path(folder) / RECORDS_FOLDER / f"{patient}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**record, "notice": RESEARCH_NOTICE}, indent=1, ensure_ascii=False) + "\n"
    write_whole(path, lambda file: file.write(text))


def read_record(folder: Path, patient: str) -> dict:
    """The record of a patient; {} when it is missing or damaged."""
    try:
        record = json.loads((Path(folder) / RECORDS_FOLDER / f"{patient}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def is_done(folder: Path, patient: str, asked: str, inputs: str) -> bool:
    """Whether the patient needs no more work: prepared, or excluded for a reason that still holds.

    A failure (a crash, a full disk) is no exclusion and is tried again.
    """
    record = read_record(folder, patient)
    if record.get("asked") != asked or record.get("inputs") != inputs:
        return False
    if record.get("status") == "excluded":
        return True
    try:
        size = (Path(folder) / PAIRS_FOLDER / f"{patient}.npz").stat().st_size
    except OSError:
        return False
    return record.get("status") == "done" and record.get("bytes") == size
