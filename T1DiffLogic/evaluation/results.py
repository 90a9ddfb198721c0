"""docs/study from its data folder alone: every table, every figure and the page that holds them.

    python -m T1DiffLogic.evaluation.results docs/study

reads docs/study/data (CSV, run.json and a few maps, written by `t1diff evaluate DATASET -o docs/study`) and
writes study.md, tables/*.csv and figures/*.png, *.svg. Nothing is measured anew, and no weights are needed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from ..errors import StudyError
from .comparisons import Comparison, aims, compare, comparison_table, in_words
from .convergence import convergence_tables
from .figures import (
    agreement_figure,
    calibration_figure,
    convergence_figure,
    provenance,
    standing_figure,
)
from .panels import exchange_figure, heat_figure, image_figure, patients_figure
from .probe_tables import cost_table, exchange_table, sensitivity_table, shift_table
from .scar_tables import auc_table, extent_table
from .steps import RUN as STEPS
from .steps_tables import steps_parts
from .study_results import Study
from .table import Table, minus
from .tables import (
    beyond_table,
    global_table,
    image_table,
    paper_table,
    segment_table,
    uncertainty_table,
)

PAGE, TABLES, FIGURES = "study.md", "tables", "figures"


def write_results(out: Path, say: Callable[[str], None] = print) -> Path:
    """Writes everything below `out` from `out`/data; returns the page. StudyError without measured rows."""
    study = Study(out / "data")
    for folder in (TABLES, FIGURES):
        (out / folder).mkdir(parents=True, exist_ok=True)
        for old in (out / folder).iterdir():
            if old.suffix in (".csv", ".png", ".svg"):
                old.unlink()
    page = _Page(study, out, say)
    page.write()
    return out / PAGE


class _Page:
    def __init__(self, study: Study, out: Path, say):
        self.study, self.out, self.say = study, out, say
        self.parts: list[str] = []

    def text(self, *paragraphs: str) -> None:
        self.parts += [p + "\n" for p in paragraphs]

    def table(self, table: Table | None) -> None:
        if table is not None and table.rows:
            table.write_csv(self.out / TABLES)
            self.text(table.markdown() + f"[CSV]({TABLES}/{table.name}.csv)")

    def figure(self, draw: Callable[[Study, Path], list[str]], caption: str) -> None:
        files = draw(self.study, self.out / FIGURES)
        if files:
            self.say(f"{FIGURES}/{files[0]}")
            more = "".join(f" [{f.rsplit('.', 1)[1].upper()}]({FIGURES}/{f})" for f in files[1:])
            self.text(
                f"![{caption.rstrip('.')}]({FIGURES}/{files[0]})",
                f"{caption} {provenance(self.study)}.{more}",
            )

    def write(self) -> None:
        study = self.study
        comparisons = compare(study)
        self._head(comparisons)
        self._image_quality()
        self._agreement()
        self._scar()
        self._doubt()
        self._controls(comparisons)
        self._probes()
        (self.out / PAGE).write_text("\n".join(self.parts), encoding="utf-8")

    def _head(self, comparisons: list[Comparison]) -> None:
        study, run = self.study, self.study.run
        splits = ", ".join(f"{n} {name}" for name, n in run["splits"].items())
        self.text(
            "# The study: methods side by side",
            "Written by `make results` from the rows in [data](data) alone; do not edit. "
            + run["notice"]
            + ".",
            f"Measured on {provenance(study)}. Patients of the dataset: {splits}, split with seed "
            f"{run['split_seed']}. The method of the study is **{study.label(study.reference)}**. Figures "
            "of methods that sample are of "
            "the mean of their samples unless a row says otherwise. Thresholds and factors that are "
            "fitted come "
            f"from {run['calibration_split']} patients.",
            "## What was aimed at, and what is reached",
        )
        lines = ["| aim | reached | figures |", "|---|---|---|"]
        for aim, reached, figures in aims(study, comparisons):
            said = "not measured in full" if reached is None else "yes" if reached else "**no**"
            lines.append(f"| {aim} | {said} | {minus(figures)} |")
        self.text("\n".join(lines))
        self.table(cost_table(study))
        self.figure(convergence_figure, "Convergence: error on validation slices over updates and over time.")
        for table in convergence_tables(study):
            self.table(table)

    def _image_quality(self) -> None:
        study = self.study
        baselines = [m for m in study.methods if study.role(m) == "baseline"]
        ablations = [m for m in study.methods if study.role(m) == "ablation"]
        ours = [m for m in study.methods if study.role(m) == "t1diff"]
        self.text("## Image quality")
        self.table(image_table(study, "table1", "Table 1: image quality of the methods", baselines + ours))
        self.table(image_table(study, "table2", "Table 2: ablations", ablations + [study.reference]))
        self.table(paper_table())
        self.figure(
            image_figure,
            "Fig. 2. Cine at ED, native map and what each method makes of the cine (grey, 300 to 2000 ms).",
        )
        self.figure(
            heat_figure,
            "Fig. 3. The same as heat maps; green: the infarct of the reference, on all maps at the same "
            "place.",
        )

    def _agreement(self) -> None:
        self.text("## Agreement with the native map")
        self.figure(
            agreement_figure, "Fig. 4. Correlation and Bland–Altman, global (left) and AHA segments (right)."
        )
        self.table(global_table(self.study))
        self.table(segment_table(self.study))

    def _scar(self) -> None:
        self.text("## Infarct")
        self.figure(
            patients_figure, "Fig. 5. The first test patients with an infarct (green), not chosen by result."
        )
        self.table(auc_table(self.study))
        self.table(extent_table(self.study))

    def _doubt(self) -> None:
        self.text("## Doubt and sharpness")
        self.figure(calibration_figure, "Calibration of the SD map.")
        self.table(uncertainty_table(self.study))

    def _controls(self, comparisons: list[Comparison]) -> None:
        study = self.study
        beside = [m for m in study.methods if study.role(m) in ("control", "ceiling")]
        self.text("## What is known beyond the mean: controls and ceilings")
        self.figure(standing_figure, "All methods, controls and ceilings with 95 % intervals.")
        self.table(
            image_table(study, "controls", "Controls and ceilings", [study.reference, *beside], bold=False)
        )
        self.table(beyond_table(study))
        self.text("## Ahead of whom, behind whom")
        self.table(comparison_table(study, comparisons))
        self.text("\n".join(f"- {sentence}" for sentence in in_words(study, comparisons)))

    def _probes(self) -> None:
        study = self.study
        shifts = shift_table(study)
        if shifts is not None:
            self.text("## Other scanners, other diseases")
            self.table(shifts)
        sensitivity = sensitivity_table(study)
        if sensitivity is not None:
            self.text("## Sensitivity")
            self.table(sensitivity)
        exchange = exchange_table(study)
        if exchange is not None:
            self.text("## Disentanglement by intervention")
            self.figure(exchange_figure, "One patient's $c_{mod}$ with another's $c_{mor}$.")
            self.table(exchange)
        if (study.folder / STEPS).is_file():
            self.text("## Steps of the sampler", *steps_parts(self.out, self.say))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, nargs="?", default=Path("docs/study"))
    try:
        print(write_results(parser.parse_args().out))
    except StudyError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
