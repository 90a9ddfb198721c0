"""Work on many items in local processes: few at a time, crashes confined, stopped in good order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from ..errors import Cancelled

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_stop = None

STOP_WITHIN_S = 10.0
"""Files appear whole or not at all, so that a process may be ended at any time."""


class Crashed(RuntimeError):
    """The process that worked on an item ended, each time it was tried."""


def check_stopped() -> None:
    """Raises Cancelled in a worker process once the main process wants to stop."""
    if _stop is not None and _stop.is_set():
        raise Cancelled("stopped")


def work(function: Callable, items: Iterable, workers: int) -> Iterator[tuple[object, object]]:
    """(item, function(item)) of every item as they end, in any order.

    workers  processes; 0 works in this one

    `function` and the items must be importable and picklable. Memory does not grow with the number of
    items. When a process ends (a crash of a library, out of memory), the items that were at work are tried
    again one by one; an item whose process ends again gives a Crashed in the place of a result. Other
    exceptions are raised. When the caller stops (KeyboardInterrupt, or closes the generator), the processes
    are asked to stop by `check_stopped` and waited for.
    """
    if workers == 0:
        for item in items:
            yield item, function(item)
        return
    waiting = iter(items)
    suspects: list = []
    with _share_of_threads(workers):
        exhausted = False
        while not exhausted or suspects:
            if suspects:
                # alone in a process of its own, the culprit is known for sure
                item = suspects.pop()
                try:
                    yield from _pool(function, iter([item]), 1, [])
                except BrokenProcessPool:
                    yield item, Crashed(f"{type(item).__name__}")
                continue
            try:
                yield from _pool(function, waiting, workers, suspects)
                exhausted = True
            except BrokenProcessPool:
                continue


def _pool(function, items: Iterator, workers: int, at_work: list) -> Iterator[tuple[object, object]]:
    """Works with one executor until `items` end; `at_work` holds what was unfinished when it broke."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    earlier = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(workers, context, _begin, (stop, max(1, (os.cpu_count() or 1) // workers)))
    running: dict[Future, object] = {}
    try:
        more = True
        while more or running:
            while more and len(running) < workers:
                item = next(items, None)
                if item is None:
                    more = False
                    break
                at_work.append(item)
                running[executor.submit(function, item)] = item
            # short waits: on Windows Ctrl-C is not heard during a long one
            ended, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in ended:
                result = future.result()
                item = running.pop(future)
                at_work.remove(item)
                yield item, result
        executor.shutdown()
    except BaseException:
        stop.set()
        executor.shutdown(wait=False, cancel_futures=True)
        _end(set(multiprocessing.active_children()) - earlier)
        raise


def _end(processes) -> None:
    """Waits a moment for processes that were asked to stop; ends those in the middle of something long."""
    until = time.monotonic() + STOP_WITHIN_S
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
        if process.is_alive():
            process.terminate()
            process.join()


def _begin(stop, threads: int) -> None:
    """First in every worker process."""
    global _stop
    _stop = stop
    # Ctrl-C reaches the whole group; the main process alone answers it, in good order
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import SimpleITK as sitk
    import torch

    torch.set_num_threads(threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def _end_with_parent() -> None:
    # a parent that was killed tells nobody, and an orphan would wait for work for good
    multiprocessing.parent_process().join()
    os._exit(1)


@contextmanager
def _share_of_threads(workers: int):
    """The numeric libraries of new processes get their share of the cores, unless the user has said."""
    share = str(max(1, (os.cpu_count() or 1) // workers))
    mine = [name for name in _THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(mine, share))
    try:
        yield
    finally:
        for name in mine:
            os.environ.pop(name, None)
