"""Long work in a process of its own: the window never freezes, Cancel ends the process.

A crash of the child is a sentence for the user. Everything that concerns the lines a child prints is
plain Python (`Events`); only `EngineProcess` knows Qt.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import qt
from slicer.i18n import tr as _

DONE, CANCELLED, FAILED = "done", "cancelled", "failed"
GRACE_MS = 3000
"""How long a child may tidy up after Cancel before it is killed."""


@dataclass(frozen=True)
class Outcome:
    """How the work ended: `status` is DONE, CANCELLED or FAILED, `message` a sentence for the user."""

    status: str
    message: str = ""
    output: str = ""


class Events:
    """Takes the bytes that `--progress json` prints and keeps what they say.

    progress  (stage, fraction) of the last progress event
    error     message of the error event, "" without one
    done      the done event was seen
    """

    def __init__(self):
        self.progress = ("", 0.0)
        self.error = ""
        self.done = False
        self.other = ""
        self._rest = b""

    def feed(self, data: bytes) -> bool:
        """Takes bytes, in pieces that need not end with a line; True when progress moved."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        moved = False
        for line in lines:
            moved = self._take(line.decode("utf-8", "replace").strip()) or moved
        return moved

    def _take(self, line: str) -> bool:
        try:
            event = json.loads(line)
            kind = event["event"]
            if kind == "progress":
                self.progress = (str(event["stage"]), float(event["fraction"]))
                return True
            if kind == "error":
                self.error = str(event["message"])
            elif kind == "done":
                self.done = True
        except (ValueError, KeyError, TypeError):
            # a library that prints to stdout must not end the work
            self.other = (self.other + line + "\n")[-2000:]
        return False

    def outcome(self, code: int, crashed: bool, cancelled: bool, stderr: str) -> Outcome:
        """What to tell of a child that ended with exit `code`, or by a crash."""
        if cancelled:
            return Outcome(CANCELLED, _("Cancelled. What stood before is as it was."))
        if code == 0 and self.done and not crashed:
            return Outcome(DONE)
        if self.error:
            return Outcome(FAILED, self.error)
        last = next((s.strip() for s in reversed(stderr.splitlines()) if s.strip()), "")
        if crashed:
            text = _("The computation ended unexpectedly (it crashed, or the system ended it for memory).")
        elif "ModuleNotFoundError" in stderr or "ImportError" in stderr:
            text = _("A Python package is missing or broken; use the button in step 4 that installs it.")
        else:
            text = _("The computation ended with code {code}.").format(code=code)
        return Outcome(FAILED, f"{text} {last[:200]}".strip())


class EngineProcess:
    """One child process at a time.

    The QProcess is made once and used again: Python owns it, and letting go of it inside one of its own
    signals would delete it under Qt's feet.
    """

    def __init__(self, environment: dict[str, str], program: str):
        self.environment, self._program = environment, program
        self.running = False
        self._process = qt.QProcess()
        self._process.connect("readyReadStandardOutput()", self._read)
        self._process.connect("readyReadStandardError()", self._read)
        self._process.connect("finished(int,QProcess::ExitStatus)", self._finished)
        self._process.connect("errorOccurred(QProcess::ProcessError)", self._failed)

    def start(self, arguments: list[str], on_progress, on_end) -> None:
        """Runs Python with `arguments`.

        on_progress(stage, fraction)  as the child tells it
        on_end(Outcome)               once, always, also when the child cannot be started
        """
        self._start(arguments, on_progress, lambda *told: on_end(self._events.outcome(*told)))

    def start_plain(self, arguments: list[str], on_end) -> None:
        """Runs Python with `arguments` that speak no JSON; on_end(exit code, stdout, stderr) follows.

        The exit code is -11 after a crash, as a shell would tell it of most.
        """

        def end(code, crashed, _cancelled, errors):
            on_end(-11 if crashed else code, self._events.other, errors)

        self._start(arguments, lambda *_: None, end)

    def cancel(self) -> None:
        """Asks the child and its children to end, and makes them after GRACE_MS. on_end follows."""
        if not self.running or self._cancelled:
            return
        self._cancelled = True
        self._doomed = process_tree(int(self._process.processId()))
        end_processes(self._doomed, force=os.name == "nt")
        qt.QTimer.singleShot(GRACE_MS, self._force)

    def abandon(self) -> None:
        """Ends the child now, without a further call to on_end: scene or window are being closed."""
        if self.running:
            self.running = False
            end_processes(process_tree(int(self._process.processId())), force=True)
            self._process.kill()
            self._process.waitForFinished(GRACE_MS)

    def _start(self, arguments, on_progress, end):
        if self.running:
            raise RuntimeError("a child process is running already")
        self._on_progress, self._on_end = on_progress, end
        self._events, self._errors, self._cancelled, self._doomed = Events(), "", False, []
        environment = qt.QProcessEnvironment.systemEnvironment()
        for name, value in self.environment.items():
            environment.insert(name, value)
        self._process.setProcessEnvironment(environment)
        self.running = True
        self._process.start(self._program, [str(a) for a in arguments])

    def _force(self):
        # a later child is not meant: it has not been cancelled
        if self.running and self._cancelled:
            end_processes(self._doomed, force=True)
            self._process.kill()

    def _read(self):
        if not self.running:
            return
        self._errors = (self._errors + _text(self._process.readAllStandardError()))[-8000:]
        if self._events.feed(_bytes(self._process.readAllStandardOutput())) and not self._cancelled:
            self._on_progress(*self._events.progress)

    def _finished(self, code, status):
        self._end(int(code), status != qt.QProcess.NormalExit)

    def _failed(self, error):
        if self.running and error == qt.QProcess.FailedToStart:
            self._errors = self._process.errorString()
            self._end(-1, False)

    def _end(self, code, crashed):
        if self.running:
            self._read()
            self.running = False
            self._on_end(code, crashed, self._cancelled, self._errors)


def _bytes(array) -> bytes:
    return bytes(array.data())


def _text(array) -> str:
    return _bytes(array).decode("utf-8", "replace")


def process_tree(root: int) -> list[int]:
    """`root` and all its descendants: Slicer's Python is a launcher, and killing it leaves its child."""
    if root <= 0:
        return []
    if os.name == "nt":
        return [root]  # taskkill /T follows the tree by itself
    parents = _parents_from_proc() if Path("/proc/self/stat").exists() else _parents_from_ps()
    tree = [root]
    for known in tree:
        tree += [child for child, parent in parents if parent == known and child not in tree]
    return tree


def end_processes(tree: list[int], force: bool) -> None:
    """Ends the processes, children first; without `force` they may tidy up."""
    for process in reversed(tree):
        try:
            if os.name == "nt":
                subprocess.run(["taskkill", "/PID", str(process), "/T", "/F"], capture_output=True)
            else:
                os.kill(process, signal.SIGKILL if force else signal.SIGTERM)
        except (ProcessLookupError, PermissionError):
            pass  # it has ended meanwhile


def _parents_from_proc() -> list[tuple[int, int]]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                # the name in parentheses may hold blanks; the parent is the second field after it
                fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
                found.append((int(folder.name), int(fields[1])))
            except (OSError, IndexError, ValueError):
                continue
    return found


def _parents_from_ps() -> list[tuple[int, int]]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True).stdout
    return [tuple(int(v) for v in line.split()) for line in listed.splitlines() if len(line.split()) == 2]


def engine_arguments(command: str, *arguments) -> list[str]:
    """Arguments of Python for `t1diff COMMAND …`, telling its progress as JSON lines."""
    return ["-m", "T1DiffLogic", command, *(str(a) for a in arguments), "--progress", "json"]


def script_arguments(script: Path, *arguments) -> list[str]:
    """Arguments of Python for a script of ours that speaks as `t1diff` does."""
    return [str(script), *(str(a) for a in arguments)]
