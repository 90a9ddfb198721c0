"""A table of the study: written as Markdown to be read and as CSV to be used."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .study_results import mean_sd

NONE = "–"


@dataclass
class Table:
    """Columns and rows of cells; the first cell of a row is its name.

    A cell is a text, or a number or tuple of numbers with the text that shows it (see `cell`).
    note  what a reader must know beside the title
    """

    name: str
    title: str
    columns: list[str]
    note: str = ""
    rows: list[list] = field(default_factory=list)

    def markdown(self) -> str:
        lines = [f"**{self.title}**", ""]
        lines.append("| " + " | ".join(self.columns) + " |")
        lines.append("|" + "---|" * len(self.columns))
        for row in self.rows:
            lines.append("| " + " | ".join(c if isinstance(c, str) else minus(c[0]) for c in row) + " |")
        return "\n".join([*lines, "", *([self.note, ""] if self.note else [])])

    def write_csv(self, folder: Path) -> None:
        """<name>.csv: the numbers behind the cells, unrounded; a cell of several as several columns."""
        widths = [
            max((1 if isinstance(row[i], str) else len(row[i][1]) for row in self.rows), default=1)
            for i in range(len(self.columns))
        ]
        with (folder / f"{self.name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            heads = [
                [c] if w == 1 else [f"{c} [{k}]" for k in range(w)] for c, w in zip(self.columns, widths)
            ]
            writer.writerow([h for group in heads for h in group])
            for row in self.rows:
                values = []
                for content, width in zip(row, widths):
                    own = [content] if isinstance(content, str) else [_number(v) for v in content[1]]
                    values += own + [""] * (width - len(own))
                writer.writerow(values)

    def bold_best(self, column: int, highest: bool, rows: list[int]) -> None:
        """The best of `rows` in one column in bold; the first number of the cell counts."""
        known = [r for r in rows if not isinstance(self.rows[r][column], str)]
        if known:
            best = (max if highest else min)(known, key=lambda r: self.rows[r][column][1][0])
            text, numbers = self.rows[best][column]
            self.rows[best][column] = (f"**{text}**", numbers)


def minus(text: str) -> str:
    """A true minus sign before a number."""
    return re.sub(r"(?<![\w)])-(?=\d)", "−", text)


def _number(value) -> str:
    return "" if value is None else f"{value:.6g}"


def cell(value, digits: int = 2):
    """A number, or – for None."""
    if value is None or not np.isfinite(value):
        return NONE
    return f"{value:.{digits}f}", (value,)


def spread_cell(values, digits: int = 2):
    """Mean ± SD over patients of a mapping or a list."""
    found = mean_sd(list(values.values()) if isinstance(values, dict) else list(values))
    if found is None:
        return NONE
    return f"{found[0]:.{digits}f} ± {found[1]:.{digits}f}", found


def interval_cell(value, limits, digits: int = 2):
    """A figure with its 95 % interval in brackets."""
    if value is None:
        return NONE
    if limits is None:
        return f"{value:.{digits}f}", (value, None, None)
    return f"{value:.{digits}f} ({limits[0]:.{digits}f} to {limits[1]:.{digits}f})", (value, *limits)


def p_cell(value):
    """A p-value."""
    if value is None:
        return NONE
    return ("< 0.001" if value < 0.001 else f"{value:.3f}"), (value,)
