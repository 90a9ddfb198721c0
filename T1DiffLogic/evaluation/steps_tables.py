"""Table, figure and page of steps against accuracy, from the rows that steps.py has written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from ..errors import StudyError
from .agreement import clustered_agreement
from .records import read
from .steps import MEAN_ALONE, PATIENTS, RUN, SEGMENTS
from .table import NONE, Table, cell, interval_cell, spread_cell

PAGE, TABLES, FIGURES = "steps.md", "tables", "figures"
NAME = "steps"


class Steps:
    """The rows of one OUT/data folder."""

    def __init__(self, folder: Path):
        path = folder / RUN
        self.patients = read(folder / PATIENTS)
        if not path.is_file() or not self.patients:
            raise StudyError(
                f"{folder} holds no steps; run `t1diff benchmark --steps DATASET -o {folder.parent}`."
            )
        self.run = json.loads(path.read_text(encoding="utf-8"))
        self.segments = read(folder / SEGMENTS)
        self.evaluations = sorted({int(r["evaluations"]) for r in self.patients})

    def samples(self, evaluations: int) -> list[int]:
        """Of how many samples means were taken; the mean map stands in the first column."""
        return self.run["samples"][:1] if evaluations == MEAN_ALONE else self.run["samples"]

    def figures(self, evaluations: int, samples: int, name: str) -> list[float]:
        """One column over the patients."""
        mine = str(evaluations), str(samples)
        rows = [r for r in self.patients if (r["evaluations"], r["samples"]) == mine]
        return [float(r[name]) for r in rows if r[name] != ""]

    def agreement(self, evaluations: int, samples: int) -> dict:
        """`clustered_agreement` of the AHA segments."""
        rows = [r for r in self.segments if r["evaluations"] == str(evaluations)]
        rows = [r for r in rows if r[f"of_{samples}_ms"] != ""]
        synthetic = [float(r[f"of_{samples}_ms"]) for r in rows]
        native = [float(r["native_ms"]) for r in rows]
        return clustered_agreement(synthetic, native, [r["patient"] for r in rows])

    def provenance(self) -> str:
        run = self.run
        return (
            f"{run['patients']} {run['split']} patients, {run['origin']}; {run['model']} (weights "
            f"{run['weights_sha256'][:12]}, trained on {run['trained_on']}), {run['sampler']}, "
            f"seed {run['seed']}; {run['device']}, torch {run['versions']['torch']}, commit {run['commit']}"
        )


def steps_table(steps: Steps) -> Table:
    """Evaluations down, samples across: RMSE, R of segments, CRPS."""
    counts = steps.run["samples"]
    table = Table(
        NAME, "Steps of the sampler against accuracy",
        ["evaluations", *(f"RMSE ms, myocardium, {k} ↓" for k in counts),
         *(f"R of segments, {k} (95 % CI) ↑" for k in counts), *(f"CRPS ms, {k} ↓" for k in counts),
         *(f"seconds, {k}" for k in counts)],
        "The number behind a figure's name is that of the samples averaged. Mean ± SD over patients; "
        "intervals of R resample patients. CRPS of one map is its mean absolute error. Seconds are of a "
        f"patient, all slices at once, medians of this measurement. {steps.provenance()}.",
    )  # fmt: skip
    for n in steps.evaluations:
        known = set(steps.samples(n))
        agreement = {k: steps.agreement(n, k) for k in counts if k in known}

        def over(name, digits, n=n, known=known):
            return [spread_cell(steps.figures(n, k, name), digits) if k in known else NONE for k in counts]

        seconds = [np.median(steps.figures(n, k, "seconds")) if k in known else None for k in counts]
        table.rows.append(
            [
                "mean map alone" if n == MEAN_ALONE else str(n),
                *over("wall_rmse_ms", 1),
                *(
                    interval_cell(agreement[k]["pearson_r"], agreement[k]["pearson_r_ci"])
                    if k in known
                    else NONE
                    for k in counts
                ),
                *over("crps_ms", 1),
                *(cell(s) for s in seconds),
            ]
        )
    return table


def steps_figure(steps: Steps, folder: Path) -> Path:
    """RMSE, R and CRPS over evaluations, one line for each number of samples."""
    counts = [n for n in steps.evaluations if n != MEAN_ALONE]
    panels = (
        ("RMSE in the myocardium (ms)", lambda n, k: np.mean(steps.figures(n, k, "wall_rmse_ms"))),
        ("R of AHA segments", lambda n, k: steps.agreement(n, k)["pearson_r"]),
        ("CRPS (ms)", lambda n, k: np.mean(steps.figures(n, k, "crps_ms"))),
    )
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), constrained_layout=True)
    samples = steps.run["samples"]
    colours = plt.cm.viridis(np.linspace(0.15, 0.8, len(samples)))
    for axis, (title, value) in zip(axes, panels):
        for k, colour in zip(samples, colours):
            points = [np.nan if (v := value(n, k)) is None else v for n in counts]
            label = "1 sample" if k == 1 else f"mean of {k} samples"
            axis.plot(counts, points, "o-", color=colour, label=label)
        if MEAN_ALONE in steps.evaluations and (alone := value(MEAN_ALONE, samples[0])) is not None:
            axis.axhline(alone, color="0.5", ls="--", lw=1, label="mean map alone")
        axis.set_xscale("log", base=2)
        axis.set_xticks(counts, [str(n) for n in counts])
        axis.set(xlabel="evaluations of the noise estimator", title=title)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8, frameon=False)
    path = folder / f"{NAME}.png"
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)
    return path


def steps_parts(out: Path, say: Callable[[str], None] = print) -> list[str]:
    """Writes tables/steps.csv and figures/steps.png below `out`; returns the paragraphs that show them."""
    steps = Steps(out / "data")
    for folder in (TABLES, FIGURES):
        (out / folder).mkdir(parents=True, exist_ok=True)
    table = steps_table(steps)
    table.write_csv(out / TABLES)
    path = steps_figure(steps, out / FIGURES)
    say(f"{FIGURES}/{path.name}")
    return [
        f"![Accuracy over evaluations of the noise estimator]({FIGURES}/{path.name})",
        table.markdown() + f"[CSV]({TABLES}/{NAME}.csv)",
    ]


def write_steps(out: Path, say: Callable[[str], None] = print) -> Path:
    """`out`/steps.md with its table and figure; returns it. StudyError without rows."""
    parts = steps_parts(out, say)
    notice = Steps(out / "data").run["notice"]
    text = "\n\n".join(["# Steps against accuracy", f"{notice}.", *parts]) + "\n"
    (out / PAGE).write_text(text, encoding="utf-8")
    return out / PAGE
