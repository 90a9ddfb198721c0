"""log.csv of a run: one table over all its sittings, whole after any interruption."""

from __future__ import annotations

import csv
import os
from pathlib import Path

LOG = "log.csv"


class Log:
    """Rows of a run in `folder`/log.csv. `fresh` begins a new table, else it goes on with the old one.

    A row may have columns that earlier ones lack (a later stage measures more): those cells stay empty.
    """

    def __init__(self, folder: Path, fresh: bool):
        self.path = Path(folder) / LOG
        if fresh:
            self.path.unlink(missing_ok=True)  # the log of another run

    def add(self, row: dict) -> str:
        """Append `row`; returns it as one printable line."""
        rows = self.rows() + [{k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()}]
        columns = list(dict.fromkeys(name for r in rows for name in r))
        temporary = self.path.with_name(self.path.name + ".part")
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=columns)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(temporary, self.path)
        return "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())

    def rows(self) -> list[dict]:
        """What the table holds, as text."""
        if not self.path.is_file():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
