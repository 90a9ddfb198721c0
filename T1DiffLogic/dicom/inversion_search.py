"""Which images of a heap of DICOM files make one inversion series, slice by slice.

An inversion series is what a T1 map is fitted to: for each slice some images at different times after an
inversion. Scanners export it as one series, as a series per slice or as a series per inversion time, before
and after motion correction, as magnitude, phase and phase-sensitive images, unsorted, with the maps that
were computed from it and everything else of the examination beside it. Headers alone decide.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import StudyError
from .classify import COMPLEX_TYPES, OTHER_MAP_TYPES, T1_TYPES
from .enhanced import frames_of
from .files import find_images
from .frames import Frame
from .inversion_times import FEWEST, STANDARD, times_of
from .offers import selected
from .placement import placed
from .stacks import group_by_orientation, group_by_position, series_label, words_hint, words_of

_REAL_TYPES = {"R", "REAL", "R_FFE", "PSIR"}
_MAP_WORDS = re.compile(r"\b(t1|t1 ?map\w*|r2|rsquare|gof|sd|err(or)?|std|fitparams?|ecv)$", re.IGNORECASE)
_NO_INVERSION = re.compile(r"sasha|sapphire|satur|smart ?1", re.IGNORECASE)
_SCOUT = re.compile(r"\b(tfi|ti) ?scout|\bcine\b", re.IGNORECASE)
_POST_CONTRAST = re.compile(r"\bpost\b|postcon|\bpost ?gd\b|\bgd\b|\bshort ?t1\b", re.IGNORECASE)
_UNFIT = {
    "colour": "colour images, SamplesPerPixel (0028,0002) = 3, which are no measurements",
    "phase": "phase images by ImageType (0008,0008), not the magnitude",
    "map": "maps by ImageType (0008,0008)",
}
_LAST_TIME_MS = 800.0
"""MOLLI follows the recovery over several heart beats; inversion times of LGE and of TI scouts end before."""
_SCOUT_STEP_MS = 100.0
_SHORTEST_BEAT_MS = 300.0
_NEW_SET_MS = 6 * 60 * 1000.0
"""A pause after which the same slices are another measurement, such as one after contrast."""


@dataclass(frozen=True, eq=False)
class FoundSlice:
    """The images of one slice, ascending in inversion time; `inversion` counts the pulses from 0."""

    frames: tuple[Frame, ...]
    times_ms: tuple[float, ...]
    inversion: tuple[int, ...]
    source: str

    @property
    def geometry(self):
        return self.frames[0].geometry

    @property
    def started(self) -> tuple:
        return min(f.later_key for f in self.frames)

    @property
    def later_key(self) -> tuple:
        return max(f.later_key for f in self.frames)


@dataclass(frozen=True, eq=False)
class FoundSeries:
    """One inversion series, before its pixels are read.

    label             number and description of its first DICOM series, patient identifiers blotted out
    slices            sorted along the normal
    motion_corrected  by ImageType (0008,0008) or description
    phase_sensitive   real or PSIR images by ImageType: signed signals
    post_contrast     by ContrastBolusAgent (0018,0010) or description
    notes             sentences on repeats and on unusual places of the inversion time
    """

    label: str
    slices: tuple[FoundSlice, ...]
    motion_corrected: bool
    phase_sensitive: bool
    post_contrast: bool
    notes: tuple[str, ...] = ()

    @property
    def series_numbers(self) -> tuple[int, ...]:
        return tuple(sorted({int(f.series_number) for s in self.slices for f in s.frames}))


def find_inversion_series(source) -> list[FoundSeries]:
    """Every inversion series among the DICOM files of `source`, the one to fit first.

    source  a folder, a file, `files.SelectedFiles`, or an iterable of file paths
    Native before post-contrast, more slices before fewer, motion-corrected before original, magnitude
    before phase-sensitive, earlier before later. Raises StudyError when there is none, with the reason.
    """
    if isinstance(source, Iterable) and not isinstance(source, (str, Path)):
        source = selected(source)
    listing = find_images(source)
    # anonymised images may each have a study and a series of their own
    if len({str(i.header.get("PatientID", "") or "") for i in listing.images} - {""}) > 1:
        raise StudyError("the folder holds several patients (PatientID differs); give one folder for each.")
    frames, unplaced = placed(frames_of(listing))
    images = [f for f in frames if _why_no_image(f) == ""]
    slices, told = [], []
    for group in _groups(images):
        times, tag = times_of(group)
        timed = [(f, t) for f, t in zip(group, times) if t is not None]
        (slices if len({t for _, t in timed}) >= FEWEST else told).append((timed, tag))
    slices += _pooled(told)
    found = [_slice(timed, tag) for timed, tag in slices if _recovers(timed)]
    if not found:
        raise StudyError(_nothing(listing.root.name, frames, images, told, slices))
    series = [_series(members, unplaced) for members in _sets(found)]
    hint = {id(s): words_hint(s.slices[0].frames[0].description) for s in series}
    return sorted(
        series,
        key=lambda s: (
            s.post_contrast,
            hint[id(s)] < 0,
            -len(s.slices),
            not s.motion_corrected,
            s.phase_sensitive,
            s.slices[0].started,
        ),
    )


def _why_no_image(frame: Frame) -> str:
    """ "" for a grey image that an inversion series may hold, else what it is."""
    a, types = frame.attributes, set(frame.image_type[2:])
    if frame.defect:
        return "damaged"
    if (a.number("SamplesPerPixel") or 1) != 1:
        return "colour"
    if types & OTHER_MAP_TYPES:
        return "map"
    if types & (COMPLEX_TYPES - _REAL_TYPES) or a.text("ComplexImageComponent") in ("PHASE", "IMAGINARY"):
        return "phase"
    words = words_of(frame.description)
    return "other" if _NO_INVERSION.search(words) or _SCOUT.search(words) else ""


def _is_corrected(frame: Frame) -> bool:
    return any("MOCO" in t for t in frame.image_type) or "moco" in words_of(frame.description).lower().split()


def _is_real(frame: Frame) -> bool:
    component = frame.attributes.text("ComplexImageComponent")
    return component == "REAL" or bool(_REAL_TYPES & set(frame.image_type[2:]))


def _version(frame: Frame) -> tuple:
    return _is_corrected(frame), _is_real(frame)


def _groups(frames) -> list[list[Frame]]:
    """Images of one series, one version and one slice."""
    parts = defaultdict(list)
    for frame in frames:
        parts[frame.series_uid, _version(frame)].append(frame)
    return [
        group
        for part in parts.values()
        for parallel in group_by_orientation(part)
        for group in group_by_position(parallel)
    ]


def _pooled(few: list[tuple]) -> list[tuple]:
    """Slices whose images are spread over several series, one or a few inversion times in each.

    A T1 map may carry an inversion time of the images that it was computed from; it is none of them.
    """
    parts = defaultdict(list)
    for timed, tag in few:
        for frame, time in timed:
            is_map = T1_TYPES & set(frame.image_type[2:]) or _MAP_WORDS.search(words_of(frame.description))
            if not is_map:
                a = frame.attributes
                protocol = a.text("SequenceName"), a.number("EchoTime"), a.number("FlipAngle")
                parts[tag, protocol, _version(frame)].append((frame, time))
    pooled = []
    for (tag, *_), part in parts.items():
        for parallel in group_by_orientation(part, lambda item: item[0].geometry):
            for group in group_by_position(parallel, lambda item: item[0].geometry):
                if len({time for _, time in group}) >= FEWEST:
                    pooled.append((group, tag))
    return pooled


def _recovers(timed) -> bool:
    """Whether the times sample a recovery over heart beats, not a scan for the best inversion time."""
    times = sorted({t for _, t in timed})
    scout = len(times) >= 12 and float(np.median(np.diff(times))) < _SCOUT_STEP_MS
    return times[-1] >= _LAST_TIME_MS and not scout


def _slice(timed, tag) -> FoundSlice:
    copies = {}
    for frame, time in timed:  # the same object exported twice
        copies.setdefault(frame.uid, (frame, time))
    timed = sorted(copies.values(), key=lambda item: item[0].later_key)
    inversion, count, last = {}, -1, np.inf
    for frame, time in timed:  # one recovery gives one image a heart beat
        count += time - last < _SHORTEST_BEAT_MS
        inversion[frame.uid], last = count, time
    timed.sort(key=lambda item: (item[1], item[0].later_key))
    frames, times = zip(*timed)
    return FoundSlice(frames, times, tuple(inversion[f.uid] for f in frames), tag)


def _sets(slices: list[FoundSlice]) -> list[list[FoundSlice]]:
    """Slices of one measurement: one version, parallel, taken together; a protocol keeps to its own set."""
    sets: list[list[FoundSlice]] = []
    for parallel in group_by_orientation(slices):
        parts = defaultdict(list)
        for item in sorted(parallel, key=lambda s: s.started):
            parts[_version(item.frames[0]), _is_post(item)].append(item)
        for part in parts.values():
            own: list[list[FoundSlice]] = []
            for item in part:
                home = next((members for members in own if _joins(item, members)), None)
                if home is None:
                    own.append([item])
                else:
                    home.append(item)
            sets += own
    return sets


def _joins(item: FoundSlice, members: list[FoundSlice]) -> bool:
    last = members[-1]
    pause = item.started[0] - last.later_key[0]
    if pause > _NEW_SET_MS or abs(len(item.frames) - len(last.frames)) > 2:
        return False
    same = [m for m in members if len(group_by_position([m, item])) == 1]
    return all(m.frames[0].description == item.frames[0].description for m in same)


def _is_post(item: FoundSlice) -> bool:
    first = item.frames[0]
    words = words_of(first.description)
    return bool(first.attributes.text("ContrastBolusAgent") or _POST_CONTRAST.search(words))


def _series(members: list[FoundSlice], notes: tuple[str, ...]) -> FoundSeries:
    slices, notes = [], list(notes)
    for position in group_by_position(members):
        longest = max(len(m.frames) for m in position)
        whole = [m for m in position if len(m.frames) == longest]
        slices.append(max(whole, key=lambda m: m.later_key))
        if len(position) > 1:
            notes.append(f"slice {len(slices) - 1} was acquired {len(position)} times; the latest is used.")
    first = slices[0].frames[0]
    tags = sorted({s.source for s in slices} - {STANDARD})
    notes += [f"inversion times are those of {tag}, for want of differing {STANDARD}." for tag in tags]
    return FoundSeries(
        series_label(first), tuple(slices), _is_corrected(first), _is_real(first), _is_post(slices[0]),
        tuple(notes),
    )  # fmt: skip


def _nothing(folder, frames, images, told, slices) -> str:
    """Why there is no inversion series, and what to give."""
    remedy = "give the folder of the raw MOLLI images, one image per inversion time"
    if slices:
        last = max(t for timed, _ in slices for _, t in timed)
        return (
            f"the inversion times in {folder} end at {last:.0f} ms, as of a TI scout or of late enhancement; "
            f"{remedy}."
        )
    timed = [item for part, _ in told for item in part]
    if timed:
        most = max(len({t for _, t in part}) for part, _ in told)
        positions = len({tuple(np.round(f.geometry.origin, 1)) for f, _ in timed})
        return (
            f"{folder} holds {len(timed)} images with inversion times at {positions} slice position(s), but "
            f"no slice has {FEWEST} different times ({most} at most), which the fit needs; {remedy}."
        )
    reasons = [_why_no_image(f) for f in frames]
    for why, what in _UNFIT.items():
        if why in reasons and not images:
            return f"{folder} holds {what}; {remedy}."
    damaged = next((f for f, why in zip(frames, reasons) if why == "damaged"), None)
    if damaged is not None and not images:
        return f"{damaged.file.name} {damaged.defect}; export the series again."
    return f"no image of {folder} has an inversion time, {STANDARD}; {remedy}."
