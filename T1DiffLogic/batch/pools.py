"""Who works: this process, local processes, or the workers of a Dask scheduler; alike from outside."""

from __future__ import annotations

import logging
import os
import queue
import re
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import StudyError
from .job import Job, Outcome, StudyFunction, do

CRASHED = (
    "the process that worked on it ended, {times} (a crash of a library, or out of memory); "
    "run it alone with `t1diff synthesize`."
)
START_S = 60.0
CONNECT_S = 10.0
ATTEMPTS = 2
"""A study whose process ends is tried once more: the fault may have been the machine's."""

Result = tuple[Job, Outcome]


class ThisProcess:
    """One study after another in this very process: nothing to start, and nothing to isolate a crash."""

    slots = 1
    ended = False

    def __init__(self, function: StudyFunction):
        self.function, self.waiting = function, []

    def submit(self, job: Job) -> None:
        self.waiting.append(job)

    def finished(self, timeout: float) -> list[Result]:
        """Works on what was submitted, at most one study; `timeout` is for the other pools."""
        if not self.waiting:
            return []
        job = self.waiting.pop(0)
        return [(job, do(job, self.function))]

    def close(self) -> None:
        self.waiting.clear()


class DaskPool:
    """Workers of a Dask scheduler, by a client; `close` ends whatever this batch started.

    A worker that dies takes no other study with it. One whose scheduler is lost for good makes `finished`
    raise StudyError.
    """

    def __init__(self, client, function: StudyFunction, cluster=None):
        self.client, self.function, self.cluster = client, function, cluster
        self.run_id = uuid.uuid4().hex[:8]
        self.done: queue.SimpleQueue = queue.SimpleQueue()
        self.jobs: dict[str, tuple[Job, object]] = {}
        self.gpus = _ordinals(client.nthreads()) if cluster is None else {}
        self._counted, self._slots = float("-inf"), 1

    @property
    def slots(self) -> int:
        """How many studies to hand over at a time; so few that memory does not grow with the cohort.

        Local processes get one each, so that a crash cannot be blamed on a study that only waited.
        Others get one more each, as the way to them may be long.
        """
        now = time.monotonic()
        if now - self._counted > 5.0:
            with _scheduler_there():
                threads = sum(self.client.nthreads().values())
            self._counted, self._slots = now, max(1, threads if self.cluster else 2 * threads)
        return self._slots

    @property
    def ended(self) -> bool:
        """Whether nobody is there to work."""
        with _scheduler_there():
            return not self.client.nthreads()

    def submit(self, job: Job) -> None:
        key = f"t1diff-{self.run_id}-{job.name}"
        with _scheduler_there():
            future = self.client.submit(do, job, self.function, key=key, pure=False, retries=0)
        self.jobs[key] = (job, future)
        # the callback runs in a thread of its own; only the key goes to ours
        future.add_done_callback(lambda finished: self.done.put(finished.key))

    def finished(self, timeout: float) -> list[Result]:
        """What has ended, waiting for at most `timeout` seconds for the first."""
        try:
            keys = [self.done.get(timeout=timeout)]
        except queue.Empty:
            keys = []
            if self.client.status not in ("running", "connecting"):
                raise StudyError(LOST) from None
        while not self.done.empty():
            keys.append(self.done.get())
        return [self._result(*self.jobs.pop(key)) for key in keys if key in self.jobs]

    def close(self) -> None:
        for _, future in self.jobs.values():
            future.cancel(force=True)
        self.jobs.clear()
        self.client.close(timeout=5)
        if self.cluster is not None:
            self.cluster.close(timeout=10)

    def _result(self, job: Job, future) -> Result:
        from distributed import KilledWorker

        if future.status == "finished":
            with _scheduler_there():
                return job, future.result()
        if future.status in ("cancelled", "lost"):
            raise StudyError(LOST)
        error = future.exception()
        if isinstance(error, KilledWorker):
            return job, Outcome("failed", CRASHED.format(times="each time it was tried"), recorded=False)
        return job, Outcome("failed", f"a worker could not take it ({type(error).__name__}).", recorded=False)


@contextmanager
def _scheduler_there() -> Iterator[None]:
    """StudyError when what is done within finds the scheduler gone."""
    from distributed.client import ClosedClientError

    try:
        yield
    # Dask's CommClosedError is an OSError
    except (OSError, TimeoutError, ClosedClientError) as error:
        raise StudyError(LOST) from error


LOST = "the connection to the Dask scheduler was lost; run the same command again to go on where it stopped."


def local_pool(workers: int, function: StudyFunction, gpus: list[str]) -> DaskPool:
    """`workers` processes on this machine, each with its share of the cores and, in turn, one of `gpus`."""
    import dask
    from distributed import Client, Nanny, Scheduler, SpecCluster

    threads = str(max(1, (os.cpu_count() or 1) // workers))
    share = {name: os.environ.get(name, threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    share["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = share["OMP_NUM_THREADS"]

    def options(i: int) -> dict:
        env = share | ({"CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]} if gpus else {})
        # no memory limit of Dask's: a worker that it pauses for good would stop the batch
        return {
            "nthreads": 1, "memory_limit": 0, "host": "127.0.0.1", "dashboard": False, "env": env,
            "preload": ["T1DiffLogic.batch.worker"], "silence_logs": logging.CRITICAL,
        }  # fmt: skip

    with dask.config.set(
        {
            "distributed.scheduler.allowed-failures": ATTEMPTS - 1,
            "distributed.scheduler.worker-saturation": 1.0,
            "logging": {"distributed": "critical"},
        }
    ):
        cluster = SpecCluster(
            scheduler={"cls": Scheduler, "options": {"host": "127.0.0.1", "dashboard": False, "port": 0}},
            workers={i: {"cls": Nanny, "options": options(i)} for i in range(workers)},
            silence_logs=logging.CRITICAL,
        )
        try:
            client = Client(cluster, set_as_default=False)
            client.wait_for_workers(1, timeout=START_S)
        except BaseException as error:
            cluster.close(timeout=10)
            if isinstance(error, (OSError, TimeoutError)):
                raise StudyError("no worker process could be started; try --workers 0.") from error
            raise
    return DaskPool(client, function, cluster)


def remote_pool(address: str, function: StudyFunction, cohort: Path, probe: Path) -> DaskPool:
    """The workers of the Dask scheduler at `address`, once each is seen to have what the work needs.

    probe  a file in the output folder, which every worker must see at the same path

    Raises StudyError when nobody answers, no worker is there, or one lacks t1diff or the folders.
    """
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise StudyError(
            f"no Dask scheduler answers at {address}; start one with `dask scheduler`."
        ) from error
    try:
        client.wait_for_workers(1, timeout=START_S)
        said = client.run(fitness, str(cohort), str(probe), on_error="return")
    except (OSError, TimeoutError) as error:
        client.close(timeout=5)
        raise StudyError(
            f"the scheduler at {address} has no worker; start some with `dask worker {address}`."
        ) from error
    for worker, problem in said.items():
        if problem:
            client.close(timeout=5)
            told = problem if isinstance(problem, str) else "cannot load t1diff; install it there too"
            raise StudyError(f"worker {worker} {told}.")
    return DaskPool(client, function)


def fitness(cohort: str, probe: str) -> str:
    """What the worker that this runs on lacks, as the end of a sentence, or ""."""
    if not Path(cohort).is_dir():
        return f"does not see {cohort}; mount it there at the same path"
    if not Path(probe).is_file():
        return f"does not see {Path(probe).parents[1]}; mount it there at the same path"
    return ""


def visible_gpus(device: str) -> list[str]:
    """CUDA_VISIBLE_DEVICES entries of the GPUs that `device` may use, one each; [] for the CPU."""
    if device == "cpu":
        return []
    import torch

    if not torch.cuda.is_available():
        return []
    named = re.findall(r"[^,\s]+", os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    return named or [str(i) for i in range(torch.cuda.device_count())]


def default_workers(gpus: list[str]) -> int:
    """One per GPU; on a CPU one for every two cores, as one study cannot keep more of them busy."""
    return len(gpus) or max(1, (os.cpu_count() or 1) // 2)


def _ordinals(addresses) -> dict[str, int]:
    """Worker address -> its number among the workers of the same host."""
    hosts: dict[str, list[str]] = defaultdict(list)
    for address in sorted(addresses):
        hosts[urlsplit(address).hostname or ""].append(address)
    return {address: i for own in hosts.values() for i, address in enumerate(own)}


Pool = ThisProcess | DaskPool
