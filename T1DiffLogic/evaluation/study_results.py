"""The measured rows of a study, read back: what tables and figures are made from, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import StudyError
from .records import read
from .scar import INFARCTED_SHARE
from .study_records import MEAN, SAMPLE, STEP, TEST, read_run

ORDER = (
    "hinet",
    "pgan",
    "cyclegan",
    "pix2pix",
    "gan_disentangled",
    "ddpm_raw",
    "paper",
    "t1diff",
    "regression",
)
LABELS = {
    "hinet": "Hi-Net", "pgan": "cGAN (pGAN)", "cyclegan": "CycleGAN", "pix2pix": "pix2pix",
    "gan_disentangled": "GAN with disentangled conditions", "ddpm_raw": "DDPM without them",
    "paper": "T1Diff, paper arm", "t1diff": "T1Diff", "regression": "regression U-Net",
}  # fmt: skip
"""Names in tables of the methods by kind; another name given with --methods stands as it is."""


class Study:
    """One OUT/data folder. A row of a table is told by its group, method and variant."""

    def __init__(self, folder: Path):
        run = read_run(folder)
        if run is None or not (folder / "patients.csv").is_file():
            raise StudyError(
                f"{folder} holds no measured study; run `t1diff evaluate DATASET -o {folder.parent}`."
            )
        self.folder, self.run = folder, run
        self._tables: dict[str, dict[tuple[str, str, str], list[dict]]] = {}
        self._only: frozenset[str] | None = None

    def among(self, patients: Iterable[str]) -> Study:
        """The same study with the rows of these patients alone."""
        view = copy.copy(self)
        view._tables, view._only = {}, frozenset(patients)
        return view

    def rows(self, table: str, method: str, variant: str | None = "", group: str = TEST) -> list[dict]:
        """Rows as text, in the order of the CSV; `variant` None for tables that have no such column."""
        if table not in self._tables:
            sorted_rows: dict[tuple[str, str, str], list[dict]] = {}
            for row in read(self.folder / f"{table}.csv"):
                if self._only is not None and row["patient"] not in self._only:
                    continue
                sorted_rows.setdefault((row["group"], row["method"], row.get("variant", "")), []).append(row)
            self._tables[table] = sorted_rows
        return self._tables[table].get((group, method, variant or ""), [])

    @cached_property
    def reference(self) -> str:
        """The method that is compared with all others."""
        return self.run["reference"]

    @property
    def groups(self) -> list[str]:
        return list(self.run["groups"])

    def role(self, method: str) -> str:
        return self.run["methods"][method]["role"]

    def kind(self, method: str) -> str:
        return self.run["methods"][method]["kind"]

    @cached_property
    def methods(self) -> list[str]:
        """Everyone with rows: baselines, ablations, T1Diff, controls, ceilings; as the paper orders them."""
        roles = ("baseline", "ablation", "t1diff", "control", "ceiling")

        def place(method: str):
            kind = self.kind(method)
            known = ORDER.index(kind) if kind in ORDER else len(ORDER)
            return roles.index(self.role(method)), method == self.reference, known

        return sorted((m for m in self.run["methods"] if self.variants(m)), key=place)

    def variants(self, method: str, group: str = TEST) -> list[str]:
        """Of '', the mean of samples, one sample, one step: those measured."""
        return [v for v in ("", MEAN, SAMPLE, STEP) if self.rows("patients", method, v, group)]

    def main(self, method: str, group: str = TEST) -> str:
        """The variant that stands for the method."""
        return (self.variants(method, group) or [""])[0]

    def label(self, method: str, variant: str = "") -> str:
        """How a row is named."""
        name = LABELS.get(method, method)
        if variant == MEAN:
            return f"{name}, mean of {self.run['samples']} samples"
        return f"{name}, {variant}" if variant else name

    def figures(
        self, method: str, name: str, variant: str | None = None, group: str = TEST
    ) -> dict[str, float]:
        """Patient -> one column of patients.csv; patients without a value are left out."""
        variant = self.main(method, group) if variant is None else variant
        rows = self.rows("patients", method, variant, group)
        # a study measured by an older version may lack the column
        return {r["patient"]: float(r[name]) for r in rows if r.get(name, "") != ""}

    def segments(self, method: str, variant: str | None = None, group: str = TEST) -> dict[str, np.ndarray]:
        """Columns of segments.csv: patient, segment, and floats (NaN where empty) of the others; with
        `positive`, whether the segment is infarcted."""
        variant = self.main(method, group) if variant is None else variant
        rows = self.rows("segments", method, variant, group)
        columns = {
            name: np.array([float(r[name]) if r[name] != "" else np.nan for r in rows])
            for name in (rows[0] if rows else {})
            if name not in ("group", "method", "patient", "variant")
        }
        columns["patient"] = np.array([r["patient"] for r in rows])
        columns["positive"] = columns.get("infarct_share", np.zeros(0)) >= INFARCTED_SHARE
        return columns

    def same_segments(self, one: tuple[str, str], other: tuple[str, str]) -> tuple[dict, dict]:
        """The segments that two (method, variant) both have, in the same order."""
        tables = [self.segments(*which) for which in (one, other)]
        keys = [list(zip(t["patient"].tolist(), t.get("segment", np.zeros(0)).tolist())) for t in tables]
        places = [{key: i for i, key in enumerate(k)} for k in keys]
        common = [key for key in keys[0] if key in places[1]]
        first, second = (
            {name: column[[place[key] for key in common]] for name, column in table.items()}
            for table, place in zip(tables, places)
        )
        return first, second


def mean_sd(values) -> tuple[float, float] | None:
    """Mean and SD (ddof 1; 0 for one value) of what is finite; None for nothing."""
    known = np.array([v for v in values if np.isfinite(v)], dtype=np.float64)
    if not known.size:
        return None
    return float(known.mean()), float(known.std(ddof=1)) if known.size > 1 else 0.0
