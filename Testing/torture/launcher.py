"""Commands as processes of their own that have everything imported, so that a kill hits the work.

As a program it forks once for each line of JSON on stdin; `Launcher` is its other end.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
"""As Dask gives its workers: sums over another number of threads are rounded otherwise."""

WALL_S = 1800
"""Beyond this a process hangs, however busy the machine is."""


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code (negative: the signal), what it said, CPU seconds that were seen."""

    code: int
    said: str
    cpu_s: float
    hung: bool = False


class Launcher:
    """One forking process; `run` is for one command at a time."""

    def __init__(self, *preload: str):
        self._process = subprocess.Popen(
            [sys.executable, __file__, *preload],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ
            | ONE_THREAD
            | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)])},
        )

    def run(self, argv, log: Path, kill_at_cpu_s: float | None = None, with_signal=signal.SIGKILL,
            limits: dict | None = None) -> Ended:  # fmt: skip
        """`t1diff *argv`; with `kill_at_cpu_s` it and its children get the signal after that much work.

        limits  "memory" bytes beyond those of the launcher, "cpu" seconds
        """
        order = {"argv": [str(a) for a in argv], "log": str(log), "limits": limits or {}}
        print(json.dumps(order), file=self._process.stdin, flush=True)
        pid = json.loads(self._process.stdout.readline())["pid"]
        start, seen, killed, hung = time.monotonic(), 0.0, False, False
        while not _gone(pid):
            seen = max(seen, _cpu_s(pid))
            hung = hung or time.monotonic() - start > WALL_S
            if hung or (kill_at_cpu_s is not None and not killed and seen >= kill_at_cpu_s):
                killed = True
                _kill(pid, signal.SIGKILL if hung else with_signal)
            time.sleep(0.2 if kill_at_cpu_s is None else 0.03)
        code = json.loads(self._process.stdout.readline())["code"]
        if killed and with_signal == signal.SIGKILL:
            # the children of a killed process are of its group; nothing may write on
            _kill(pid, signal.SIGKILL)
        return Ended(code, log.read_text(encoding="utf-8", errors="replace"), seen, hung)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def _kill(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    except OSError:
        return True


def _cpu_s(pid: int) -> float:
    """CPU seconds of the process and of its children, of those that live and those that it has waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    own = sum(int(f) for f in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    return own + sum(_cpu_s(int(child)) for child in children)


def _child(order: dict) -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    limits = order["limits"]
    if "memory" in limits:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + limits["memory"],) * 2)
    if "cpu" in limits:
        resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu"], resource.RLIM_INFINITY))
    from T1DiffLogic.cli import entry

    sys.argv = ["t1diff", *order["argv"]]
    entry()


def main() -> None:
    import importlib

    for name in sys.argv[1:]:
        if name.startswith("-"):
            # as where the package is not installed
            sys.modules[name[1:]] = None
        else:
            importlib.import_module(name)
    # readline, not iteration: nothing of what stands in the pipe may be read twice by a fork
    while line := sys.stdin.readline():
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _child(order)
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()
