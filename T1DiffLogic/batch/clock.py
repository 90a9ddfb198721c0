"""How long a batch will still take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Clock:
    """How long what is left will take, from the last studies that ended."""

    total: int = 0
    finished: int = 0
    recent: list[float] = field(default_factory=list)
    now: Callable[[], float] = time.monotonic

    LAST = 50

    def start(self, total: int) -> None:
        self.total, self.finished, self.recent = total, 0, [self.now()]

    def tick(self) -> None:
        self.finished += 1
        self.recent = [*self.recent, self.now()][-self.LAST :]

    def left(self) -> str:
        """Such as "2 h 05 min"; "…" before the first has ended."""
        if len(self.recent) < 2:
            return "…"
        pace = (self.recent[-1] - self.recent[0]) / (len(self.recent) - 1)
        seconds = max(0.0, pace * (self.total - self.finished) - (self.now() - self.recent[-1]))
        minutes = round(seconds / 60)
        if minutes >= 60:
            return f"{minutes // 60} h {minutes % 60:02d} min"
        return f"{minutes} min" if minutes else f"{seconds:.0f} s"
