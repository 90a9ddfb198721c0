"""What long work says while it runs: a bar for people, one JSON line per event for programs.

Long work takes a `progress` callback, `progress(stage, fraction, message="")`: `stage` is one word,
`fraction` runs from 0 to 1 within the stage. To stop the work, raise errors.Cancelled from it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

Progress = Callable[..., None]


def silent(stage: str, fraction: float, message: str = "") -> None:
    """Says nothing."""


def within(progress: Progress | None, stage: str) -> Callable[[float], None]:
    """A callback of the fraction alone, for work that does not know which stage it is."""
    report = progress or silent
    return lambda fraction, message="": report(stage, fraction, message)


class Stopwatch:
    """Seconds by stage, in the order in which the stages were first entered.

    with watch("segment"):
        …
    watch.seconds   # {"segment": 1.24}
    """

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self._open: list[tuple[str, float]] = []

    def __call__(self, stage: str) -> Stopwatch:
        self._open.append((stage, time.perf_counter()))
        return self

    def __enter__(self) -> Stopwatch:
        return self

    def __exit__(self, *_):
        stage, start = self._open.pop()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


class Reporter:
    """How one command speaks. `mode` is "bar", "json" or "none".

    An instance is itself the progress callback. `say` is for the readable summary, which the JSON
    mode leaves out: there a program reads the same from the event's fields.
    """

    def __init__(self, mode: str = "none", out=None, err=None):
        self.mode = mode
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        self._stage = None
        self._line_open = False
        self._shown = -1.0

    def __call__(self, stage: str, fraction: float, message: str = "") -> None:
        fraction = min(max(float(fraction), 0.0), 1.0)
        if self.mode == "json":
            # half a per cent is finer than any bar; a thousand diffusion steps need no thousand lines
            if stage != self._stage or fraction >= 1 or fraction - self._shown >= 0.005:
                self.event("progress", stage=stage, fraction=round(fraction, 4), message=message)
                self._shown = fraction
        elif self.mode == "bar":
            self._bar(stage, fraction, message)
        self._stage = stage

    def event(self, kind: str, **fields) -> None:
        """One JSON line; nothing in the other modes."""
        if self.mode == "json":
            print(json.dumps({"event": kind, **fields}), file=self.out, flush=True)

    def say(self, text: str = "") -> None:
        """A line of the readable summary."""
        self.end_line()
        if self.mode != "json":
            print(text, file=self.out, flush=True)

    def end_line(self) -> None:
        """Leaves an unfinished bar where it is and starts a new line."""
        if self._line_open:
            print(file=self.err, flush=True)
            self._line_open = False

    def _bar(self, stage, fraction, message):
        if stage != self._stage:
            self.end_line()
            self._shown = -1.0
        if not self.err.isatty():
            # a log file gets a line when a stage begins and none while it runs
            if stage != self._stage:
                print(f"{stage} …", file=self.err, flush=True)
            return
        if fraction < 1 and fraction - self._shown < 0.01:
            return
        self._shown = fraction
        filled = round(30 * fraction)
        print(
            f"\r{stage:<12} {'█' * filled}{'·' * (30 - filled)} {fraction:4.0%} {message:<20.20}",
            end="",
            file=self.err,
            flush=True,
        )
        self._line_open = True
