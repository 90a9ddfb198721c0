"""`t1diff batch`: a cohort of studies, each on its own, resumable after any kill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout

from ..engine.checkpoint import read_config
from ..errors import StudyError
from ..options import SynthesisOptions
from ..outputs import STAGE, check_writable
from ..progress import Reporter
from ..report.reference import Reference, read_reference
from ..resources import installed_segmenter, model_folder
from ..versions import installed_versions
from .job import StudyFunction, synthesize_study
from .records import digest
from .session import WORK, BatchOptions, BatchResult, Session


def run_batch(
    cohort: Path,
    output: Path,
    synthesis_options: dict,
    options: BatchOptions | None = None,
    reporter: Reporter | None = None,
    function: StudyFunction = synthesize_study,
) -> BatchResult:
    """Work on every study below `cohort`; results in a folder each below `output`.

    synthesis_options  keyword arguments of SynthesisOptions that hold for all studies
    function           what is done with one study; with several processes it must be importable there

    A study that fails has its reason in its batch.json and in summary.csv and stops nothing. Raises
    StudyError when nothing can be begun (no study, no space, no worker, another batch at work in
    `output`), UsageError for options that no study could make right, KeyboardInterrupt after an orderly
    stop.
    """
    options, reporter = options or BatchOptions(), reporter or Reporter()
    cohort, output = Path(cohort).resolve(), Path(output).resolve()
    asked = asked_for(synthesis_options, options.native, options.reference, options.identify)
    if not cohort.is_dir():
        raise StudyError(f"{cohort} is not a folder; give the folder that holds the studies.")
    if output == cohort:
        raise StudyError("the output is the cohort's own folder; choose another with -o.")
    check_writable(output)
    with _only_one(output) as work:
        batch = Session(cohort, output, work, synthesis_options, asked, options, reporter)
        batch.find()
        return batch.run(function)


def asked_for(
    synthesis_options: dict, native: bool, reference: Reference | None = None, identify: bool = False
) -> str:
    """SHA-256 of all that decides what a study's results are; another one means that it is done again.

    The weights count, not the name of their folder. The device and the workers do not: they change no
    value beyond rounding.
    """
    options = SynthesisOptions(**synthesis_options)
    folder = Path(options.model) if options.model is not None else model_folder(options.preset)
    model = read_config(folder, "t1diff")
    return digest(
        {
            "model": model["weights_sha256"],
            "architecture": model.get("architecture"),
            "segmenter": read_config(installed_segmenter(), "gf_unet")["weights_sha256"],
            "samples": options.samples,
            "steps": options.steps,
            "seed": options.seed,
            "ed": options.ed,
            "es": options.es,
            "native": native,
            "reference": asdict(reference or read_reference()),
            "identify": identify,
            "t1diff": installed_versions()["t1diff"],
        }
    )


@contextmanager
def _only_one(output: Path) -> Iterator[Path]:
    """The batch's own hidden folder in `output`, held so that no second batch writes there."""
    work = output / WORK
    try:
        work.mkdir(exist_ok=True)
        lock = FileLock(work / "lock")
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StudyError(
            f"another batch is at work in {output}; wait for it, or choose another with -o."
        ) from error
    except OSError as error:
        raise StudyError(
            f"{output} cannot be written to ({error.strerror}); choose another with -o."
        ) from error
    try:
        for left in (*work.glob("stop-*"), *work.glob("probe-*"), *output.glob(f"{STAGE}*")):
            if left.is_file():
                left.unlink(missing_ok=True)
        yield work
    finally:
        lock.release()
