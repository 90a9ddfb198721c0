"""The benchmark as benchmark.csv, one row per figure, and benchmark.md, to be read."""

from __future__ import annotations

import csv
import os
import platform
from pathlib import Path

import torch

from ..evaluation.origin import commit, device_name
from ..evaluation.table import NONE, Table
from ..study import RESEARCH_NOTICE
from ..versions import installed_versions
from .arithmetic import arithmetic_of
from .run import SLICE, STUDY, STUDY_SLICES, THROUGHPUT, TRAINING, Benchmark, Figure
from .samplers import MONAI, MONAI_WIDTHS, NAMES
from .timing import PROBE_EVALUATIONS

CSV, PAGE = "benchmark.csv", "benchmark.md"
MARK = " \\*"


def machine(device: torch.device) -> str:
    """The processor or GPU by name, with the number of threads of a processor."""
    if device.type == "cuda":
        return device_name(device)
    return f"{_processor()}, {torch.get_num_threads()} threads of {os.cpu_count()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def write(benchmark: Benchmark, out: Path, command: str) -> Path:
    """Writes CSV and PAGE into `out`; returns the page."""
    out.mkdir(parents=True, exist_ok=True)
    rows = csv_rows(benchmark)
    with (out / CSV).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (out / PAGE).write_text(page(benchmark, command), encoding="utf-8")
    return out / PAGE


def csv_rows(benchmark: Benchmark) -> list[dict]:
    """Every figure with the device and versions that it is of; seconds and operations are of one pass or
    update."""
    device, versions = benchmark.device, installed_versions("torch", "lightning", "monai")
    origin = {
        "device": machine(device),
        "arithmetic": str(arithmetic_of(device)).removeprefix("torch."),
        "ceiling_tflop_s": f"{benchmark.ceiling[0] / 1e12:.6g}",
        "commit": commit(),
        **{name: version or "" for name, version in versions.items()},
    }
    rows = []
    for f in benchmark.figures:
        rows.append(
            {
                "task": f.task, "method": f.method, "parameters": f.parameters, "stage_or_sampler": f.stage,
                "evaluations": "" if f.evaluations is None else f.evaluations, "slices": f.slices,
                "samples": f.samples, "batch": f.batch, "seconds": f"{f.timing.seconds:.6g}",
                "least_seconds": f"{f.timing.least:.6g}", "most_seconds": f"{f.timing.most:.6g}",
                "repeats": f.timing.repeats, "extrapolated": int(f.timing.extrapolated),
                "images_a_second": f"{f.images_a_second:.6g}", "gflop": f"{f.operations / 1e9:.6g}",
                "tflop_s": f"{f.operations_a_second / 1e12:.6g}",
            }
            | origin
        )  # fmt: skip
    return rows


def page(benchmark: Benchmark, command: str) -> str:
    """benchmark.md."""
    device = benchmark.device
    rate, size, _ = benchmark.ceiling
    versions = installed_versions("torch", "lightning", "monai")
    named = ", ".join(f"{name} {version or 'not installed'}" for name, version in versions.items())
    sha = benchmark.config["weights_sha256"][:12]
    parts = [
        "# Speed",
        f"`{command}` at commit {commit()}, on {machine(device)}. {named}. {RESEARCH_NOTICE}.",
        f"Model {benchmark.model.resolve().name} (weights {sha}). Both networks run in "
        f"{str(arithmetic_of(device)).removeprefix('torch.')} with channels-last memory"
        + (", training steps compiled" if benchmark.compiled else ", nothing compiled")
        + f". The ceiling is {rate / 1e12:.3g} TFLOP/s: a product of two {size} × {size} matrices in the "
        "same arithmetic in this run. Times are medians of repeats after a warm-up, the device waited for; a "
        "map's time runs from the crops in the computer's memory to its milliseconds there. Reading, "
        "segmentation and writing are not in it.",
        *(table(benchmark).markdown() for table in (latency_table, throughput_table, training_table)),
    ]
    if any(f.timing.extrapolated for f in benchmark.figures):
        few, more = PROBE_EVALUATIONS
        parts.append(
            f"\\* extrapolated: the whole pass would take more than {benchmark.longest:g} s, so passes of "
            f"{few} and {more} evaluations were measured; each further one counts as those between them."
        )
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _who(figure: Figure) -> list:
    millions = figure.parameters / 1e6
    return [figure.method, (f"{millions:.1f} M", (figure.parameters,))]


def _how(figure: Figure) -> list:
    return [NAMES[figure.stage], (str(figure.evaluations), (figure.evaluations,))]


def _pick(benchmark: Benchmark, task: str) -> dict[tuple, list[Figure]]:
    """(method, sampler, evaluations) -> figures of one task, in the order of measurement."""
    found: dict[tuple, list[Figure]] = {}
    for f in benchmark.figures:
        if f.task == task:
            found.setdefault((f.method, f.stage, f.evaluations), []).append(f)
    return found


def seconds_text(seconds: float) -> str:
    """Three digits, in ms below a second."""
    if seconds < 1:
        return f"{_three(1000 * seconds)} ms"
    return f"{_three(seconds)} s"


def _three(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def latency_table(benchmark: Benchmark) -> Table:
    """Seconds from crops to maps of one slice and one study, by sampler and samples."""
    counts = tuple(dict.fromkeys((1, benchmark.samples)))
    columns = [(task, samples) for task in (SLICE, STUDY) for samples in counts]
    named = {SLICE: "one slice", STUDY: f"study of {STUDY_SLICES} slices"}
    table = Table(
        "latency", "Time of a map",
        ["network", "parameters", "sampler", "evaluations",
         *(f"{named[task]}, {_samples(samples)}" for task, samples in columns)],
    )  # fmt: skip
    slices, studies = _pick(benchmark, SLICE), _pick(benchmark, STUDY)
    for key, figures in slices.items():
        by_column = {(f.task, f.samples): f for f in (*figures, *studies[key])}
        cells = [_seconds_cell(by_column[column]) for column in columns]
        table.rows.append([*_who(figures[0]), *_how(figures[0]), *cells])
    return _with_missing(table, benchmark)


def _samples(number: int) -> str:
    return "1 sample" if number == 1 else f"{number} samples"


def _seconds_cell(figure: Figure):
    mark = MARK if figure.timing.extrapolated else ""
    return seconds_text(figure.timing.seconds) + mark, (figure.timing.seconds,)


def throughput_table(benchmark: Benchmark) -> Table:
    """The batch with the most maps a second."""
    table = Table(
        "throughput", "Most maps a second, one sample each",
        ["network", "parameters", "sampler", "evaluations", "batch", "maps a second", "GFLOP a map",
         "TFLOP/s", "of the ceiling"],
    )  # fmt: skip
    for figures in _pick(benchmark, THROUGHPUT).values():
        best = max(figures, key=lambda f: f.images_a_second)
        table.rows.append([*_who(best), *_how(best), *_rates(best, benchmark)])
    return _with_missing(table, benchmark)


def training_table(benchmark: Benchmark) -> Table:
    """Slices a second of real updates."""
    table = Table(
        "training", "Training",
        ["network", "parameters", "stage", "batch", "training slices a second", "GFLOP a slice", "TFLOP/s",
         "of the ceiling"],
        "Updates under Lightning as `t1diff train` makes them, from rendered hearts in memory: view, "
        "softened masks, noise, losses, gradients, AdamW, average of the weights. Rendering is not in it.",
    )  # fmt: skip
    for figures in _pick(benchmark, TRAINING).values():
        for f in figures:
            table.rows.append([*_who(f), f.stage, *_rates(f, benchmark)])
    return _with_missing(table, benchmark)


def _rates(f: Figure, benchmark: Benchmark) -> list:
    images = f.slices * f.samples
    mark = MARK if f.timing.extrapolated else ""
    share = 100 * f.operations_a_second / benchmark.ceiling[0]
    return [
        (str(f.batch), (f.batch,)),
        (_three(f.images_a_second) + mark, (f.images_a_second,)),
        (_three(f.operations / images / 1e9), (f.operations / images / 1e9,)),
        (_three(f.operations_a_second / 1e12), (f.operations_a_second / 1e12,)),
        (f"{share:.0f} %", (share,)),
    ]


def _with_missing(table: Table, benchmark: Benchmark) -> Table:
    if benchmark.monai is not None:
        table.rows.append([MONAI, benchmark.monai, *[NONE] * (len(table.columns) - 2)])
    else:
        table.note = " ".join([table.note, MONAI_NOTE]).strip()
    return table


MONAI_NOTE = (
    f"MONAI's network has widths {', '.join(map(str, MONAI_WIDTHS))} and attention at its coarsest level, "
    "works on the full 128 × 128 pixels and reads cine and masks as channels at every evaluation; T1Diff "
    "encodes them once and works on blocks of 2 × 2 pixels."
)
