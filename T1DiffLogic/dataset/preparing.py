"""Many patients into a DATASET folder: in parallel, each on its own, resumable after any kill."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from ..anatomy.segmenter import Segmenter
from ..batch.clock import Clock
from ..batch.records import digest
from ..devices import chosen_device
from ..engine.checkpoint import read_config
from ..errors import Cancelled, StudyError
from ..outputs import STAGE, check_writable
from ..progress import Reporter
from ..resources import installed_segmenter
from ..sentences import quieten_libraries, sentence_of
from .pairing import Examination, PairingOptions, pair_patient
from .pairs import FORMAT, PAIRS_FOLDER, QC_FOLDER, write_patient
from .processes import Crashed, check_stopped, work
from .records import RECORDS_FOLDER, is_done, write_record
from .sparse import SparseSegmenter
from .tables import write_tables

LOCK = ".t1diff-prepare.lock"


class Source(Protocol):
    """Where a patient's examination comes from; travels to another process.

    inputs  SHA-256 of what it is made from: another one means that the patient is done again
    sparse  whether few phases of the cine are enough (dataset.sparse)
    """

    inputs: str
    sparse: bool

    def load(self) -> Examination:
        """Raises StudyError with one sentence when there is no usable cine or native map."""

    def clean(self, sentence: str) -> str:
        """`sentence` without anything that identifies the patient."""


@dataclass(frozen=True)
class Patient:
    """One patient to prepare under a pseudonym, and its split."""

    name: str
    split: str
    source: Source


@dataclass(frozen=True)
class _Task:
    patient: str
    source: Source
    folder: str
    options: PairingOptions
    asked: str
    device: str
    debug: bool


@dataclass(frozen=True)
class Prepared:
    """How a run ended: patients in all, done (of these: kept from an earlier run), excluded, pairs."""

    patients: int
    done: int
    kept: int
    excluded: int
    pairs: int


def prepare_patients(
    patients: list[Patient],
    folder: Path,
    options: PairingOptions,
    description: dict,
    workers: int,
    reporter: Reporter,
    device: str = "auto",
    debug: bool = False,
) -> Prepared:
    """Make the files of all `patients` and then the tables of the DATASET `folder`; dataset.json comes last.

    description  what dataset.json tells besides: split_seed, origin, options
    workers      processes on this machine; 0 works in this one

    A patient whose files are there, made with the same options from the same files, is kept. Raises
    StudyError when the folder cannot be written, another run is at work in it, or no pair is left;
    KeyboardInterrupt after an orderly stop, when a later run goes on.
    """
    folder = Path(folder).resolve()
    check_writable(folder)
    asked = asked_for(options)
    with only_one(folder):
        todo = [p for p in patients if not is_done(folder, p.name, asked, p.source.inputs)]
        reporter.say(f"{len(patients)} patients; {len(patients) - len(todo)} are done already")
        tasks = (_Task(p.name, p.source, str(folder), options, asked, device, debug) for p in todo)
        _work(tasks, len(todo), workers, reporter)
        counts = write_tables(folder, patients, asked, options, description)
    result = Prepared(
        len(patients), counts["done"], len(patients) - len(todo), counts["excluded"], counts["pairs"]
    )
    if not result.pairs:
        raise StudyError(f"no pair is left of {len(patients)} patients; {folder / 'excluded.csv'} says why.")
    return result


def asked_for(options: PairingOptions) -> str:
    """SHA-256 of all that decides what a patient's file holds, besides the patient."""
    weights = read_config(installed_segmenter(), "gf_unet")["weights_sha256"]
    return digest({"format": FORMAT, "segmenter": weights, **asdict(options)})


def _work(tasks: Iterable[_Task], count: int, workers: int, reporter: Reporter) -> None:
    clock = Clock()
    clock.start(count)
    reporter("prepare", 0.0 if count else 1.0)
    for task, outcome in work(prepare_one, tasks, min(workers, max(count, 1)) if workers else 0):
        if isinstance(outcome, Crashed):
            outcome = _record(task, "failed", "the process that worked on it ended (out of memory?).")
            write_record(Path(task.folder), task.patient, outcome)
        clock.tick()
        reporter.event("patient", patient=task.patient, status=outcome["status"], reason=outcome["reason"])
        if outcome["status"] != "done":
            reporter.say(f"{task.patient}: {outcome['reason']}")
        reporter("prepare", clock.finished / count, f"{clock.finished}/{count} {clock.left()}")


def prepare_one(task: _Task) -> dict:
    """Everything of one patient, in the process that works on it; its record, which is written last.

    Raises Cancelled when the run is stopped, OSError when nothing can be written.
    """
    folder = Path(task.folder)
    if not task.debug:
        quieten_libraries()
    check_stopped()
    try:
        exam = task.source.load()
        found = pair_patient(exam, _segmenter(task.device, task.source.sparse), task.options, _stopping)
    except Cancelled:
        raise
    except StudyError as error:
        record = _record(task, "excluded", task.source.clean(sentence_of(error)))
    # a file from elsewhere can break a library in any way; the others still go on
    except Exception as error:
        if task.debug:
            raise
        record = _record(task, "failed", task.source.clean(sentence_of(error)))
    else:
        excluded = [[where, task.source.clean(reason)] for where, reason in found.excluded]
        status, reason = ("done", "") if found.rows else ("excluded", "No slice pair of the patient is left.")
        record = _record(task, status, reason) | {"pairs": found.rows, "excluded": excluded}
        if found.rows:
            check_stopped()
            if task.options.pictures:
                from .picture import write_pictures

                write_pictures(folder / QC_FOLDER, task.patient, found.record, found.rows)
            path = write_patient(folder, {"patient": task.patient, **found.record})
            record["bytes"] = path.stat().st_size
    if record["status"] != "done":
        (folder / PAIRS_FOLDER / f"{task.patient}.npz").unlink(missing_ok=True)
    write_record(folder, task.patient, record)
    return record


def _record(task: _Task, status: str, reason: str) -> dict:
    return {
        "patient": task.patient,
        "status": status,
        "reason": f"{reason[:1].upper()}{reason[1:]}",
        "asked": task.asked,
        "inputs": task.source.inputs,
        "pairs": [],
        "excluded": [],
    }


@lru_cache(maxsize=2)
def _segmenter(device: str, sparse: bool) -> Segmenter:
    kind = SparseSegmenter if sparse else Segmenter
    return kind.load(installed_segmenter(), chosen_device(device))


def _stopping(stage: str, fraction: float, message: str = "") -> None:
    check_stopped()


@contextmanager
def only_one(folder: Path):
    """Holds the folder, so that no second run writes there; removes what a killed one left half-written."""
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StudyError(
            f"another run is preparing {folder}; wait for it, or choose another folder with -o."
        ) from error
    try:
        for place in (folder, *(folder / n for n in (PAIRS_FOLDER, QC_FOLDER, RECORDS_FOLDER))):
            for left in place.glob(f"{STAGE}*"):
                if left.is_file() and left.name != LOCK:
                    left.unlink(missing_ok=True)
        yield
    finally:
        lock.release()
