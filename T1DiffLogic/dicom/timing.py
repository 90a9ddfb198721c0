"""The order of a slice's images in the cardiac cycle, and slices of differing phase counts made alike."""

from __future__ import annotations

from collections import Counter

import numpy as np

from .frames import Frame

ASSUMED_CYCLE_MS = 1000.0
_LONGEST_CYCLE_MS = 3000.0

# Whether the value is a time, from most to least trustworthy. Philips numbers InstanceNumber over
# slices and phases in any order (dcm2niix issues 529 and 533), so it comes last.
_CLOCKS = (
    ("TriggerTime (0018,1060)", "trigger_ms", True),
    ("Philips PhaseNumber (2001,1008)", "phase", False),
    ("TemporalPositionIdentifier (0020,0100)", "temporal", False),
    ("AcquisitionTime (0008,0032)", "acquired_ms", True),
    ("InstanceNumber (0020,0013)", "instance", False),
)


def order_in_cycle(frames: list[Frame]) -> tuple[list[Frame], np.ndarray, list[str]]:
    """One slice's frames in cardiac order, (n,) float64 ms after the R wave, and notes on fallbacks.

    The first clock that all frames have and that tells them apart decides. A clock on which every
    value stands several times means that the slice was acquired as often: the latest stays. When
    the clock is only a count, times are equal parts of the R-R interval.
    """
    notes = []
    frames, repeats = _latest_of_repeats(list(frames))
    if repeats:
        notes.append(f"images acquired {repeats} times over; the latest are used")
    name, field, is_time = _clock(frames)
    ordered = sorted(frames, key=lambda f: getattr(f, field) if getattr(f, field) is not None else np.inf)
    values = np.array([getattr(f, field) for f in ordered], dtype=np.float64)
    if field == "trigger_ms":
        return ordered, values, notes
    notes.append(f"ordered by {name}, for TriggerTime (0018,1060) is missing or tells no phases of one cycle")
    values = values - values[0]
    n = len(ordered)
    if is_time and 20.0 * (n - 1) / 2 <= values[-1] <= _LONGEST_CYCLE_MS:
        return ordered, values, notes
    cycle = ordered[0].rr_ms
    if cycle is None:
        cycle = ASSUMED_CYCLE_MS
        notes.append(f"no R-R interval is given; {cycle:.0f} ms is assumed")
    return ordered, np.arange(n) * cycle / n, notes


def _latest_of_repeats(frames: list[Frame]) -> tuple[list[Frame], int]:
    for _, field, _ in _CLOCKS[:3]:
        counts = Counter(getattr(f, field) for f in frames)
        times = set(counts.values())
        if None in counts or len(counts) < 2 or len(times) != 1 or times == {1}:
            continue
        latest = {}
        for frame in sorted(frames, key=lambda f: f.later_key):
            latest[getattr(frame, field)] = frame
        return list(latest.values()), times.pop()
    return frames, 0


def _clock(frames: list[Frame]) -> tuple[str, str, bool]:
    for clock in _CLOCKS:
        values = [getattr(f, clock[1]) for f in frames]
        if None in values or len(set(values)) < len(values):
            continue
        # acquisition times may lie in several heart beats; what counts from an R wave may not
        if clock[1] == "trigger_ms" and max(values) - min(values) > _LONGEST_CYCLE_MS:
            continue
        return clock
    # Frames of an enhanced object without any time: their order in the file is all there is.
    return ("frame order", "index", False)


def cycle_ms(frame: Frame, times: np.ndarray) -> float:
    """The R-R interval of a slice: as declared, but never shorter than its images span."""
    n = len(times)
    sampled = (times[-1] - times[0]) * n / (n - 1)
    declared = frame.rr_ms
    # Prospective gating samples less than the cycle; a declared interval far off is not believed.
    return declared if declared is not None and 0.95 * sampled <= declared <= 1.5 * sampled else sampled


def resample_cycle(images: np.ndarray, times: np.ndarray, cycle: float, parts: np.ndarray) -> np.ndarray:
    """(n, R, C) images at `times` (n,) ms -> (P, R, C) at `parts` (P,) of the cycle after the first image.

    Linear between neighbours in normalised cycle time; the cycle closes, so beyond the last image
    the next one is the first again.
    """
    phase = np.append((times - times[0]) / cycle, 1.0)
    where = np.asarray(parts) % 1.0
    right = np.clip(np.searchsorted(phase, where, side="right"), 1, len(phase) - 1)
    left = right - 1
    weight = ((where - phase[left]) / (phase[right] - phase[left]))[:, None, None]
    closed = np.concatenate([images, images[:1]])
    return ((1 - weight) * closed[left] + weight * closed[right]).astype(np.float32)
