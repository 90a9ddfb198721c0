"""How long something takes: the median of repeats after a warm-up, on a device that has been waited for."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

LONGEST_SECONDS = 60.0
"""A pass that would take longer is not run whole: its time is extrapolated, and said to be."""

PROBE_EVALUATIONS = (1, 6)
"""The two short passes that a long one is extrapolated from."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one pass: median, least and most of `repeats`.

    measured  evaluations of the longest pass that was run, where `seconds` is extrapolated; else None
    """

    seconds: float
    least: float
    most: float
    repeats: int
    measured: int | None = None

    @property
    def extrapolated(self) -> bool:
        return self.measured is not None


def wait_for(device: torch.device) -> None:
    """Returns when all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(call: Callable[[], object], device: torch.device, spend: float = 2.0, warm_up: int = 1) -> Timing:
    """Repeats `call` for about `spend` seconds, after `warm_up` calls: at least three times, but a call that
    alone takes longer than `spend` once."""
    for _ in range(warm_up):
        call()
    wait_for(device)
    seconds: list[float] = []
    while not seconds or sum(seconds) < spend or (len(seconds) < 3 and seconds[0] < spend):
        start = time.perf_counter()
        call()
        wait_for(device)
        seconds.append(time.perf_counter() - start)
    return summary(seconds)


def summary(seconds: list[float]) -> Timing:
    """The Timing of passes that were measured one by one."""
    return Timing(statistics.median(seconds), min(seconds), max(seconds), len(seconds))


def sampling_time(
    sample: Callable[[int], object],
    evaluations: int,
    device: torch.device,
    spend: float = 2.0,
    longest: float = LONGEST_SECONDS,
) -> Timing:
    """Time of `sample(evaluations)`, a pass whose cost is that of its conditions and of its evaluations.

    A pass that would take more than `longest` seconds is extrapolated along the straight line through passes
    of PROBE_EVALUATIONS.
    """
    few, more = PROBE_EVALUATIONS
    if evaluations <= more:
        return timed(lambda: sample(evaluations), device, spend)
    short = timed(lambda: sample(few), device, spend / 4)
    long = timed(lambda: sample(more), device, spend / 4, warm_up=0)
    expected = along_line(short.seconds, long.seconds, evaluations)
    if expected <= longest:
        return timed(lambda: sample(evaluations), device, spend, warm_up=0)
    least, most = (
        along_line(getattr(short, name), getattr(long, name), evaluations) for name in ("least", "most")
    )
    return Timing(expected, least, most, long.repeats, measured=more)


def along_line(short: float, long: float, evaluations: int) -> float:
    """What passes of PROBE_EVALUATIONS say of one with more, which costs the same for each more."""
    few, more = PROBE_EVALUATIONS
    return long + max(long - short, 0.0) / (more - few) * (evaluations - more)
