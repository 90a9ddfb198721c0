"""segments.csv: the AHA-16 table, one row per segment."""

from __future__ import annotations

import csv
from pathlib import Path

from ..statistics import SEGMENT_COLUMNS


def write_segments(segments: list[dict], path: Path) -> None:
    """Write the rows of result.json's "segments"; what is null there is an empty cell here."""
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, SEGMENT_COLUMNS, extrasaction="ignore")
        writer.writeheader()
        for row in segments:
            writer.writerow({key: _cell(row[key]) for key in SEGMENT_COLUMNS})


def _cell(value):
    # four decimals are far below what a millisecond means here and keep the file readable
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else value
