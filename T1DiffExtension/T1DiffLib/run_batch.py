"""`t1diff batch` for people who have Slicer and no other Python: same options, files and exit codes.

    Slicer --no-main-window --additional-module-paths …/T1DiffExtension \
        --python-script …/T1DiffExtension/T1DiffLib/run_batch.py -- COHORT -o OUT …

The batch runs in Slicer's own Python (PythonSlicer), in a process of its own: worker processes must
not start from the application, and a crash becomes an exit code. Nothing is asked or installed, and
Slicer always exits: 0 all done, 1 something failed, 2 wrong usage.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from pathlib import Path

FAILED = 1


def run(arguments: list[str], executable: str | None = None) -> int:
    """Run `t1diff batch` with `arguments` and return its exit code."""
    from T1DiffLib import dependencies, paths

    if not {"-h", "--help"} & set(arguments):
        sentence = what_is_missing(dependencies.installed_packages())
        if sentence:
            print(f"t1diff: {sentence}", file=sys.stderr, flush=True)
            return FAILED
    command = [executable or paths.python_executable(), "-m", "T1DiffLogic", "batch", *arguments]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    child = subprocess.Popen(
        command, env=paths.child_environment(), encoding="utf-8", errors="replace", **pipes
    )
    try:
        _hand_on(child)
        code = child.wait()
    except BaseException:
        # Ctrl-C has reached the child as well; it stops cleanly and says what is left to be done
        child.terminate()
        try:
            child.wait(timeout=60)
        except subprocess.TimeoutExpired:
            child.kill()
        raise
    # a child that a signal ended has failed, and a negative code is none that a shell knows
    return code if code >= 0 else FAILED


def _hand_on(child: subprocess.Popen) -> None:
    """Print what `child` says, line by line, until it ends.

    It must not write to Slicer's own streams: Slicer reads those back as Latin-1 for its log and writes
    them out as UTF-8, which spoils every other letter. Python's print takes another way.
    """
    said: queue.SimpleQueue = queue.SimpleQueue()
    streams = ((child.stdout, "stdout"), (child.stderr, "stderr"))
    for pipe, name in streams:
        threading.Thread(target=_read, args=(pipe, name, said), daemon=True).start()
    ended = 0
    while ended < len(streams):
        try:
            line, name = said.get(timeout=1.0)
        except queue.Empty:
            # a process that outlives the command may hold its pipes
            if child.poll() is not None:
                return
            continue
        ended += not line
        # looked up here: it is this thread's print that Slicer takes
        print(line, end="", file=getattr(sys, name), flush=True)


def _read(pipe, name: str, said: queue.SimpleQueue) -> None:
    for line in pipe:
        said.put((line, name))
    said.put(("", name))


def what_is_missing(packages) -> str:
    """One sentence on missing packages and what to do, "" when all are there."""
    names = [p.requirement for p in packages if not p.satisfied]
    if not names:
        return ""
    return (
        f"Slicer's Python lacks {', '.join(names)}; start Slicer with its window, open the module T1Diff "
        "and install them there, then run this again."
    )


def main() -> int:
    """The exit code, whatever happens; Slicer would stay open after an exception."""
    try:
        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return FAILED
    except BaseException as error:
        print(f"t1diff: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return FAILED


if __name__ == "__main__":
    module_folder = str(Path(__file__).resolve().parents[1])
    if module_folder not in sys.path:
        sys.path.insert(0, module_folder)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # Slicer's own streams have none and need none
            stream.reconfigure(errors="replace")
    sys.exit(main())
