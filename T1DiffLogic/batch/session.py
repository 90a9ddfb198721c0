"""One run of a batch: its studies, what became of each, its log and its tables."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from ..errors import StudyError
from ..outputs import STAGE
from ..progress import Reporter
from ..report.reference import Reference
from .clock import Clock
from .cohort import FoundStudy, find_studies
from .job import Job, Outcome, StudyFunction
from .pools import DaskPool, Pool, ThisProcess, default_workers, local_pool, remote_pool, visible_gpus
from .records import clear_stages, is_done, record_failure
from .tables import INDEX, SUMMARY, Line, write_tables

LOG = "batch.log"
WORK = f"{STAGE}batch"
MINIMUM_FREE_BYTES = 64 * 2**20
"""Below this nothing is begun: a study takes some ten MB, and its files are made beside the earlier ones."""

TABLES_EVERY_S = 30.0
STOP_WITHIN_S = 20.0
NOBODY_EVERY_S = 60.0


@dataclass(frozen=True)
class BatchOptions:
    """How a batch runs.

    workers    processes on this machine; 0 works in this one; None takes one per GPU or two cores
    scheduler  address of a Dask scheduler whose workers do the work instead
    resume     whether to keep what an earlier run finished with the same options from the same files
    native     whether to compare each study with the native T1 map that lies in it
    debug      whether to show tracebacks
    reference  the site's range of native T1; None takes this installation's
    identify   whether each report.html names its patient
    """

    workers: int | None = None
    scheduler: str | None = None
    resume: bool = True
    native: bool = False
    debug: bool = False
    reference: Reference | None = None
    identify: bool = False


@dataclass(frozen=True)
class BatchResult:
    """How many studies there are, are done (of these: kept from an earlier run), failed and wait.

    unsearched  how many folders could not be looked into, where more studies may lie
    stopped     "" or why the batch ended before all studies were tried
    """

    total: int
    ok: int
    kept: int
    failed: int
    waiting: int
    unsearched: int = 0
    stopped: str = ""


class Session:
    """One run of one batch; `work` is the hidden folder in `output` that it holds alone."""

    def __init__(
        self,
        cohort: Path,
        output: Path,
        work: Path,
        synthesis_options: dict,
        asked: str,
        options: BatchOptions,
        reporter: Reporter,
    ):
        self.cohort, self.output, self.work = cohort, output, work
        self.synthesis_options, self.asked, self.options = synthesis_options, asked, options
        self.reporter = reporter
        run_id = uuid.uuid4().hex[:8]
        self.stop, self.probe = work / f"stop-{run_id}", work / f"probe-{run_id}"
        self.studies: list[FoundStudy] = []
        self.folders: dict[str, str] = {}
        self.verdicts: dict[str, str] = {}
        self.unrecorded: dict[str, str] = {}
        self.kept = self.unsearched = 0
        self.clock = Clock()
        self._log_failed = False
        self._tables_due = time.monotonic() + TABLES_EVERY_S

    def find(self) -> None:
        """The studies, the folder of each, and which of them are done."""
        self.reporter("find", 0.0)
        self.studies, problems = find_studies(
            self.cohort, self.output, lambda files: self.reporter("find", 0.0, f"{files} files")
        )
        self.reporter("find", 1.0)
        # a folder keeps its name once given, even if the place of its study has changed since
        there = {p.name[-10:]: p.name for p in self.output.iterdir() if p.is_dir() and "-" in p.name[-11:-10]}
        for study in self.studies:
            self.folders[study.key] = there.get(study.key, study.name)
            done = self.options.resume and is_done(self._folder(study), self.asked, study.inputs)
            self.verdicts[study.key] = "ok" if done else "waiting"
        self.kept = self._count("ok")
        self.say(f"{len(self.studies)} studies in {self.cohort.name}; {self.kept} are done already")
        self.unsearched = len(problems)
        for problem in problems:
            self.say(f"not searched: {problem}")

    def run(self, function: StudyFunction) -> BatchResult:
        """Everything that waits; the tables are written whatever happens."""
        todo = [study for study in self.studies if self.verdicts[study.key] == "waiting"]
        stopped = ""
        try:
            if todo:
                self._check_space()
                pool = self._pool(function, len(todo))
                try:
                    stopped = self._work(pool, todo)
                finally:
                    pool.close()
        except BaseException as error:
            with suppress(OSError):
                # for workers out of reach; the next run removes it
                self.stop.touch()
            if isinstance(error, KeyboardInterrupt):
                self.say("stopped on request")
            raise
        finally:
            # after the pool: nobody writes there any more
            for study in todo:
                if self.verdicts[study.key] == "waiting":
                    clear_stages(self._folder(study))
            self.probe.unlink(missing_ok=True)
            self._tables(say=True)
        return BatchResult(
            total=len(self.studies),
            ok=self._count("ok"),
            kept=self.kept,
            failed=self._count("failed"),
            waiting=self._count("waiting"),
            unsearched=self.unsearched,
            stopped=stopped,
        )

    def _work(self, pool: Pool, todo: list[FoundStudy]) -> str:
        waiting, at_work = iter(todo), {}
        self.clock.start(len(todo))
        stopped, nobody_since = "", time.monotonic()
        try:
            while True:
                while not stopped and len(at_work) < pool.slots:
                    if not self._has_space():
                        stopped = self._full()
                        self.say(stopped)
                        break
                    study = next(waiting, None)
                    if study is None:
                        break
                    at_work[study.key] = study
                    pool.submit(self._job(study, pool))
                if not at_work:
                    return stopped
                for job, outcome in pool.finished(1.0):
                    self._ended(at_work.pop(job.key), job, outcome)
                if not pool.ended:
                    nobody_since = time.monotonic()
                elif time.monotonic() - nobody_since > NOBODY_EVERY_S:
                    nobody_since = time.monotonic()
                    self.say(
                        "no worker is connected; waiting for one (Ctrl-C stops, and a later run goes on)"
                    )
                self._show()
                self._tables()
        except KeyboardInterrupt:
            self._stop(pool, at_work)
            raise

    def _stop(self, pool: Pool, at_work: dict[str, FoundStudy]) -> None:
        """Ask those at work to stop, and give them a moment; a second Ctrl-C does not wait for it."""
        self.reporter.end_line()
        self.reporter.say("stopping …")
        try:
            self.stop.touch()
            until = time.monotonic() + STOP_WITHIN_S
            while isinstance(pool, DaskPool) and at_work and time.monotonic() < until:
                for job, outcome in pool.finished(0.2):
                    self._ended(at_work.pop(job.key), job, outcome)
        except (OSError, StudyError, KeyboardInterrupt):
            return

    def _pool(self, function: StudyFunction, studies: int) -> Pool:
        if self.options.workers == 0:
            return ThisProcess(function)
        if find_spec("distributed") is None:
            if self.options.workers is None and not self.options.scheduler:
                self.say("Dask is not installed: one study after another, in this process")
                return ThisProcess(function)
            raise StudyError(
                "Dask is not installed; install t1diff with its extra 'batch', or work in one process with "
                "--workers 0."
            )
        if self.options.scheduler:
            self.probe.touch()
            return remote_pool(self.options.scheduler, function, self.cohort, self.probe)
        gpus = visible_gpus(self.synthesis_options.get("device", "auto"))
        workers = min(self.options.workers or default_workers(gpus), studies)
        self.say(f"{workers} worker processes, {len(gpus)} GPUs")
        return local_pool(workers, function, gpus)

    def _job(self, study: FoundStudy, pool: Pool) -> Job:
        model = self.synthesis_options.get("model")
        return Job(
            name=self.folders[study.key],
            key=study.key,
            label=study.label,
            root=str(self.cohort),
            parts=study.parts,
            is_volume=study.is_volume,
            inputs_sha256=study.inputs,
            folder=str(self._folder(study)),
            options=self.synthesis_options | ({"model": str(Path(model).resolve())} if model else {}),
            options_sha256=self.asked,
            native=self.options.native,
            stop=str(self.stop),
            debug=self.options.debug,
            reference=self.options.reference,
            identify=self.options.identify,
            gpus=getattr(pool, "gpus", {}),
        )

    def _ended(self, study: FoundStudy, job: Job, outcome: Outcome) -> None:
        name = self.folders[study.key]
        for sentence in outcome.log:
            self.say(f"{name}: {sentence}", console=False)
        if outcome.trace:
            self.reporter.say(outcome.trace)
        if outcome.status == "stopped":
            return
        self.verdicts[study.key] = outcome.status
        if outcome.status == "failed" and not outcome.recorded:
            # its process could not tell; where this one cannot either, the tables of this run still do
            if not record_failure(self._folder(study), outcome.reason, job.record(list(outcome.log), 0.0)):
                self.unrecorded[study.key] = outcome.reason
        self.clock.tick()
        self.reporter.event("study", study=name, status=outcome.status, reason=outcome.reason)
        told = "done" if outcome.status == "ok" else f"failed: {outcome.reason}"
        self.say(f"[{self.clock.finished}/{self.clock.total}] {name} {told} · {self.clock.left()} left")

    def _show(self) -> None:
        share = self.clock.finished / max(1, self.clock.total)
        self.reporter("batch", share, f"{self.clock.finished}/{self.clock.total} {self.clock.left()}")

    def _tables(self, say: bool = False) -> None:
        """Write the tables, at most every so often unless `say`, which also tells what could not be."""
        if not say and time.monotonic() < self._tables_due:
            return
        start = time.monotonic()
        try:
            write_tables(self.output, self._lines(), f"Synthetic T1 of {len(self.studies)} studies")
        except OSError as error:
            if say:
                self.say(
                    f"{SUMMARY} and {INDEX} could not be written ({error.strerror}); free space, run again"
                )
        end = time.monotonic()
        # of a large cohort the tables take a while; they get one twentieth of the time at most
        self._tables_due = end + max(TABLES_EVERY_S, 20 * (end - start))

    def _lines(self) -> Iterator[Line]:
        for study in self.studies:
            verdict, reason = self.verdicts[study.key], self.unrecorded.get(study.key, "")
            yield Line(self.folders[study.key], study.label, verdict, reason)

    def _folder(self, study: FoundStudy) -> Path:
        return self.output / self.folders[study.key]

    def _count(self, verdict: str) -> int:
        return sum(v == verdict for v in self.verdicts.values())

    def _has_space(self) -> bool:
        return shutil.disk_usage(self.output).free >= MINIMUM_FREE_BYTES

    def _full(self) -> str:
        return (
            f"less than {MINIMUM_FREE_BYTES // 2**20} MB are free for {self.output}; free space and run the "
            "same command again, it goes on where it stopped."
        )

    def _check_space(self) -> None:
        if not self._has_space():
            raise StudyError(self._full())

    def say(self, text: str, console: bool = True) -> None:
        """A line for the person and, with the time, for batch.log."""
        if console:
            self.reporter.say(text)
        try:
            with (self.output / LOG).open("a", encoding="utf-8") as file:
                file.write(f"{datetime.now().isoformat(timespec='seconds')} {text}\n")
        except OSError as error:
            if not self._log_failed:
                self.reporter.say(f"{LOG} cannot be written ({error.strerror}); the batch goes on without it")
            self._log_failed = True
