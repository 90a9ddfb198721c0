"""Parallel stacks of positions, and which of them is the short-axis one."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from .frames import Frame

PARALLEL_DEGREES = 3.0
SAME_POSITION_MM = 1.0
"""Two images closer than this along the normal show the same slice: less than any slice spacing,
more than the rounding of ImagePositionPatient."""

SHORT_AXIS_WORDS = re.compile(r"\b(sax|sa|short ?ax(is|e)?|shortaxis|kurze? achse|ksa)\b|sax", re.IGNORECASE)
LONG_AXIS_WORDS = re.compile(
    r"\b(lax|la|long ?ax(is|e)?|longaxis|hla|vla|[234] ?ch(amber)?s?|lvot|rvot|3ch|lpa|rpa)\b", re.IGNORECASE
)


@dataclass(frozen=True, eq=False)
class Run:
    """The images of one series at one position: the phases of one slice, unordered."""

    frames: tuple[Frame, ...]

    @property
    def geometry(self):
        return self.frames[0].geometry

    @property
    def series_uid(self) -> str:
        return self.frames[0].series_uid

    @property
    def later_key(self) -> tuple:
        return max(f.later_key for f in self.frames)


@dataclass(frozen=True, eq=False)
class Stack:
    """Parallel runs, sorted along the normal; `replaced` are sentences on repeated slices."""

    runs: tuple[Run, ...]
    replaced: tuple[str, ...] = ()

    @property
    def positions(self) -> np.ndarray:
        """(S,) mm along the normal of the first run."""
        normal = self.runs[0].geometry.normal
        return np.array([r.geometry.origin @ normal for r in self.runs])

    @property
    def description(self) -> str:
        return self.runs[0].frames[0].description

    @property
    def hint(self) -> int:
        """+1 when the descriptions speak of short axis, -1 of long axis, 0 of neither."""
        votes = [words_hint(r.frames[0].description) for r in self.runs]
        return int(np.sign(sum(votes)))


def words_of(description: str) -> str:
    """A series description with every separator as a blank, so that word patterns apply."""
    return re.sub(r"[\W_]+", " ", description)


def words_hint(description: str) -> int:
    words = words_of(description)
    if SHORT_AXIS_WORDS.search(words):
        return 1
    return -1 if LONG_AXIS_WORDS.search(words) else 0


def same_plane_directions(a, b) -> bool:
    """True when two SliceGeometry have parallel rows and parallel columns."""
    cosine = np.cos(np.radians(PARALLEL_DEGREES))
    return a.row_direction @ b.row_direction > cosine and a.column_direction @ b.column_direction > cosine


def group_by_orientation(items, geometry=lambda item: item.geometry) -> list[list]:
    """Items whose image planes are parallel and of one shape, in order of appearance."""
    groups: list[list] = []
    for item in items:
        own = geometry(item)
        for group in groups:
            first = geometry(group[0])
            if first.shape == own.shape and same_plane_directions(first, own):
                group.append(item)
                break
        else:
            groups.append([item])
    return groups


def group_by_position(items, geometry=lambda item: item.geometry) -> list[list]:
    """Parallel items that show the same slice, sorted along the normal of the first item."""
    normal = geometry(items[0]).normal
    ordered = sorted(items, key=lambda item: geometry(item).origin @ normal)
    groups = [[ordered[0]]]
    for item in ordered[1:]:
        start = geometry(groups[-1][0]).origin @ normal
        if geometry(item).origin @ normal - start < SAME_POSITION_MM:
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups


def runs_of(frames) -> list[Run]:
    """Frames with geometry, split by series, orientation and position."""
    by_series = defaultdict(list)
    for frame in frames:
        by_series[frame.series_uid].append(frame)
    return [
        Run(tuple(group))
        for series in by_series.values()
        for parallel in group_by_orientation(series)
        for group in group_by_position(parallel)
    ]


def stacks_of(runs: list[Run]) -> list[Stack]:
    """Parallel stacks, the largest first.

    Series that lie on the same slices (a repeat) or beside them (a series per slice, a stack
    acquired in parts) make one stack; of a repeated slice the later acquisition stays. A series
    that interleaves with the slices of another is a stack of its own.
    """
    stacks = []
    for parallel in group_by_orientation(runs):
        by_series = defaultdict(list)
        for run in parallel:
            by_series[run.series_uid].append(run)
        series = _join_series_per_phase(list(by_series.values()))
        largest_first = sorted(series, key=lambda s: (-len(s), min(r.later_key for r in s)))
        while largest_first:
            kept, aside = _merge(largest_first)
            stacks.append(kept)
            largest_first = aside
    return sorted(stacks, key=lambda s: -len(s.runs))


def _join_series_per_phase(series: list[list[Run]]) -> list[list[Run]]:
    """Series with one image per position at differing trigger times are the phases of one cine."""
    if len(series) < 3 or any(len(run.frames) > 1 for runs in series for run in runs):
        return series
    groups = group_by_position([run for runs in series for run in runs])
    triggers = [[run.frames[0].trigger_ms for run in group] for group in groups]
    if not all(len(t) == len(series) and None not in t and len(set(t)) == len(t) for t in triggers):
        return series
    return [[Run(tuple(run.frames[0] for run in group)) for group in groups]]


def _merge(series: list[list[Run]]) -> tuple[Stack, list[list[Run]]]:
    """The stack that grows from the first series, and the series that do not belong to it."""
    normal = series[0][0].geometry.normal
    slices = {float(r.geometry.origin @ normal): r for r in series[0]}
    # A series per slice is laid out in no order: the spacing is known only from all of them.
    single = all(len(s) == 1 for s in series)
    aside, replaced = [], []
    for runs in series[1:]:
        known = np.sort(list(slices))
        gap = np.median(np.diff(known)) if len(known) > 1 and not single else 0.0
        offsets = [float(r.geometry.origin @ normal) for r in runs]
        nearest = [known[np.abs(known - o).argmin()] for o in offsets]
        distance = np.abs(np.array(offsets) - nearest)
        if any(SAME_POSITION_MM <= d < 0.6 * gap for d in distance):
            aside.append(runs)
            continue
        for run, offset, old, d in zip(runs, offsets, nearest, distance):
            if d >= SAME_POSITION_MM:
                slices[offset] = run
                continue
            previous = slices[old]
            slices[old] = _preferred(previous, run)
            replaced.append(
                f"the slice at {old:.1f} mm was acquired twice; {series_label(slices[old].frames[0])} is used"
            )
    return Stack(tuple(slices[o] for o in sorted(slices)), tuple(replaced)), aside


def _preferred(a: Run, b: Run) -> Run:
    """The later of two acquisitions, unless it was broken off before half of the phases."""
    earlier, later = sorted((a, b), key=lambda r: r.later_key)
    return later if 2 * len(later.frames) > len(earlier.frames) else earlier


def series_label(frame: Frame) -> str:
    text = f"series {frame.series_number:.0f}"
    return f"{text} '{frame.description}'" if frame.description else text


def is_cardinal(geometry) -> bool:
    """True for transverse, coronal and sagittal planes, which no short axis of the heart is."""
    return bool(np.abs(geometry.normal).max() > np.cos(np.radians(8)))


def choose_short_axis(stacks: list[Stack]) -> tuple[Stack | None, str]:
    """The short-axis stack among cine stacks, and a note on the choice ("" when there was none).

    Geometry decides: three or more parallel slices at different positions are a stack, long-axis
    cines are single slices of differing orientation. Descriptions, then the number of slices, then
    obliqueness decide between stacks. A lone slice counts as short axis unless its description
    says otherwise. None when every candidate is a long-axis view.
    """
    full = [s for s in stacks if len(s.runs) >= 3 and s.hint >= 0]
    if full:
        best = max(full, key=_rank)
        rivals = [s for s in full if s is not best]
        if not rivals:
            return best, ""
        return best, (
            f"{len(rivals) + 1} parallel cine stacks were found; the one with {len(best.runs)} slices "
            f"({series_label(best.runs[0].frames[0])}) is used"
        )
    candidates = [s for s in stacks if s.hint >= 0]
    named = [s for s in candidates if s.hint > 0]
    pool = named or candidates
    if not pool:
        return None, ""
    best = max(pool, key=_rank)
    if len([s for s in pool if len(s.runs) == len(best.runs)]) > 1:
        return None, ""
    return best, f"the cine has {len(best.runs)} slice(s); taken as short axis without a stack to confirm it"


def _rank(stack: Stack) -> tuple:
    return (
        stack.hint,
        len(stack.runs),
        not is_cardinal(stack.runs[0].geometry),
        max(r.later_key for r in stack.runs),
    )
