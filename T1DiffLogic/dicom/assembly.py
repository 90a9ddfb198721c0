"""Slices of a stack, each with its own images and times, made into one array of S slices × P phases."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from ..errors import StudyError
from .frames import Frame
from .stacks import Stack
from .timing import cycle_ms, order_in_cycle, resample_cycle

MIN_SHARE_OF_PHASES = 1 / 3
"""A slice with fewer phases than this share of the usual count is left out rather than resampled."""


@dataclass(frozen=True, eq=False)
class CineSlice:
    """The frames of one slice in cardiac order, their times in ms, and notes on how those were found."""

    frames: list[Frame]
    times: np.ndarray
    notes: list[str]


def slices_of(stack: Stack) -> list[CineSlice]:
    """The slices of `stack` along its normal, each ordered by `timing.order_in_cycle`."""
    return [CineSlice(*order_in_cycle(list(run.frames))) for run in stack.runs]


def time_notes(slices: list[CineSlice]) -> list[str]:
    """The notes of all slices; one that not every slice has names its slices."""
    where = defaultdict(list)
    for index, item in enumerate(slices):
        for note in item.notes:
            where[note].append(index)
    every = len(slices)
    return [
        note if len(indices) == every else f"slices {', '.join(map(str, indices))} along the normal: {note}"
        for note, indices in where.items()
    ]


def usual_count(slices: list[CineSlice], notes: list[str]) -> tuple[list[CineSlice], int]:
    """Slices with enough phases, and the phase count that most of them have (the larger on a tie)."""
    counts = Counter(len(s.frames) for s in slices)
    usual = max(counts, key=lambda c: (counts[c], c))
    if usual < 2:
        raise StudyError("the short-axis stack holds one phase per slice; give the whole cardiac cycle.")
    kept = []
    for index, item in enumerate(slices):
        n = len(item.frames)
        if n < max(2, MIN_SHARE_OF_PHASES * usual):
            notes.append(f"slice {index} along the normal has {n} of {usual} phases and is left out")
        else:
            kept.append(item)
    return kept, usual


def assemble(slices: list[CineSlice], usual: int, notes: list[str], read_images):
    """(S, P, R, C) float32 images, (S, P) times in ms, and (S, P) which frame of its slice each one is.

    read_images  makes the (n, R, C) images of a list of frames

    Slices of another phase count are resampled in normalised cycle time and noted; there the frame
    is the nearest one.
    """
    images = np.empty((len(slices), usual, *slices[0].frames[0].shape), dtype=np.float32)
    times = np.empty((len(slices), usual))
    taken = np.tile(np.arange(usual), (len(slices), 1))
    regular = [s for s in slices if len(s.frames) == usual]
    parts = np.median(
        [(s.times - s.times[0]) / cycle_ms(s.frames[0], s.times) for s in regular], axis=0
    )  # (P,) of the cycle
    for index, item in enumerate(slices):
        own = read_images(item.frames)
        if len(item.frames) == usual:
            images[index], times[index] = own, item.times
            continue
        cycle = cycle_ms(item.frames[0], item.times)
        images[index] = resample_cycle(own, item.times, cycle, parts)
        times[index] = item.times[0] + parts * cycle
        taken[index] = np.abs((item.times - item.times[0])[None] / cycle - parts[:, None]).argmin(axis=1)
        notes.append(
            f"slice {index} along the normal has {len(item.frames)} phases and was resampled to {usual} "
            "in normalised cycle time"
        )
    return images, times, taken
