"""One study of a batch, in the process that works on it: done, or one sentence why not."""

from __future__ import annotations

import os
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..dicom.files import SelectedFiles, find_images
from ..errors import Cancelled, StudyError
from ..outputs import check_writable
from ..report.reference import Reference
from ..sentences import quieten_libraries, sentence_of
from .cohort import Part, files_of, inputs_of
from .records import clear_stages, record_done, record_failure

STOP_LOOKED_FOR_S = 0.5


@dataclass(frozen=True)
class Job:
    """What a process is told; only plain values, for it travels between machines.

    key, label, root, parts, is_volume, inputs_sha256   the study, see cohort.FoundStudy
    name, folder             the name of the folder of its results, and where that is
    options, options_sha256  of SynthesisOptions
    native                   whether to compare with a native T1 map of the study
    reference, identify      what report.html says: the site's range of T1, whom it shows
    stop                     a file whose appearance means: stop
    gpus                     worker address -> its ordinal among the workers of its machine
    """

    name: str
    key: str
    label: str
    root: str
    parts: tuple[Part, ...]
    is_volume: bool
    inputs_sha256: str
    folder: str
    options: dict
    options_sha256: str
    native: bool
    stop: str
    debug: bool = False
    reference: Reference | None = None
    identify: bool = False
    gpus: dict[str, int] = field(default_factory=dict)

    def record(self, log: list[str], seconds: float) -> dict:
        """The entries of batch.json that do not depend on how it ended."""
        return {
            "source": self.label,
            "options": self.options,
            "native": self.native,
            "options_sha256": self.options_sha256,
            "inputs_sha256": self.inputs_sha256,
            "log": log,
            "seconds": round(seconds, 3),
        }


@dataclass(frozen=True)
class Outcome:
    """How a study ended: status "ok", "failed" or "stopped"; log are sentences worth keeping.

    recorded  whether batch.json tells the same
    trace     the traceback, with --debug
    """

    status: str
    reason: str = ""
    log: tuple[str, ...] = ()
    recorded: bool = True
    trace: str = ""


StudyFunction = Callable[[Job, Callable[[str], None], Callable[..., None]], None]
"""function(job, say, progress) writes everything of a study into job.folder, result.json last."""


def do(job: Job, function: StudyFunction) -> Outcome:
    """Work on one study; every failure becomes an Outcome, and nothing half-written stays."""
    log: list[str] = []
    start = time.monotonic()
    folder, progress = Path(job.folder), _watching(Path(job.stop))
    with warnings.catch_warnings():
        if not job.debug:
            quieten_libraries()
        try:
            progress("start", 0.0)
            _check_inputs(job)
            check_writable(folder)
            function(job, log.append, progress)
            record_done(folder, job.record(log, time.monotonic() - start))
            return Outcome("ok", log=tuple(log))
        except Cancelled:
            clear_stages(folder)
            return Outcome("stopped", log=tuple(log))
        # SystemExit: a library that wants to end the process ends only its study
        except (Exception, SystemExit) as error:
            reason = without_identifiers_of(job, sentence_of(error))
            recorded = record_failure(folder, reason, job.record(log, time.monotonic() - start))
            trace = traceback.format_exc() if job.debug else ""
            return Outcome("failed", reason, tuple(log), recorded, trace)


def synthesize_study(job: Job, say, progress) -> None:
    """Cine from disk, synthesis, everything written; on a full GPU in smaller batches, then on the CPU."""
    from ..loading import load_cine
    from ..options import SynthesisOptions
    from ..outputs import write_outputs
    from ..progress import Stopwatch
    from ..synthesis import synthesize
    from .memory import rungs_for, with_less_memory

    selection = SelectedFiles(Path(job.root), tuple(files_of(Path(job.root), job.parts)))
    watch = Stopwatch()
    with watch("read"):
        if job.is_volume:
            cine = load_cine(selection.root / selection.files[0])
        else:
            from ..dicom.cine import read_cine

            cine = read_cine(selection)
        native = _native_map(selection, say) if job.native and not job.is_volume else None

    def attempt(device: str, maps_at_once: int | None):
        options = SynthesisOptions(**{**job.options, "device": device, "maps_at_once": maps_at_once})
        return synthesize(cine, options, native=native, progress=progress, watch=watch)

    rungs = rungs_for(job.options.get("device", "auto"), own_gpu(job.gpus))
    synthesis = with_less_memory(attempt, rungs, say)
    write_outputs(synthesis, job.folder, watch.seconds, progress, job.reference, job.identify)


def _native_map(selection: SelectedFiles, say):
    from ..dicom.t1map import read_t1_map

    try:
        return read_t1_map(selection)
    except StudyError as error:
        say(f"not compared with a native map: {sentence_of(error)}")
        return None


def own_gpu(gpus: dict[str, int]) -> int:
    """The ordinal of this worker among those of its machine; 0 outside a cluster."""
    if not gpus:
        return 0
    from distributed import get_worker

    address = get_worker().address
    # one that joined after the batch began is in no list; its port is as good a number as any
    return gpus.get(address, int(address.rsplit(":", 1)[-1]) if address[-1].isdigit() else 0)


def without_identifiers_of(job: Job, sentence: str) -> str:
    """`sentence` without what the headers of the study say of the patient."""
    if job.is_volume:
        return sentence
    try:
        listing = find_images(SelectedFiles(Path(job.root), tuple(files_of(Path(job.root), job.parts))))
    # gone, or no image that says anything
    except (OSError, StudyError):
        return sentence
    return listing.images[0].known.removed_from(sentence)


def _check_inputs(job: Job) -> None:
    try:
        same = inputs_of(Path(job.root), job.parts) == job.inputs_sha256
    except OSError:
        same = False
    if not same:
        raise StudyError(
            "files of the study vanished or changed after the batch had found them (a drive that went away, "
            "or still being copied?); run the same command again."
        )


def _watching(stop: Path) -> Callable[..., None]:
    """A progress callback that raises Cancelled once the file `stop` is there."""
    last = float("-inf")

    def progress(stage: str, fraction: float, message: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        # a file on a network drive is not asked for at each of a thousand sampler steps
        if now - last >= STOP_LOOKED_FOR_S:
            last = now
            if os.path.exists(stop):
                raise Cancelled("stopped")

    return progress
