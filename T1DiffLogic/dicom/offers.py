"""What a heap of DICOM files offers to a person who browses it: short-axis cines and T1 maps.

Headers alone are read, so that a whole study is examined before anything is loaded. Which images
make a stack is decided by the same functions that `cine` and `t1map` read with.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from ..errors import StudyError
from .classify import CINE, T1_MAP, classify
from .enhanced import frames_of
from .files import SelectedFiles, find_images
from .frames import Frame
from .stacks import choose_short_axis, runs_of, series_label, stacks_of


@dataclass(frozen=True, eq=False)
class Offer:
    """Something that can be loaded.

    kind        'cine' for `cine.read_cine`, 'T1 map' for `t1map.read_t1_map`
    label       series number and description, patient identifiers blotted out
    parts       the files of each series it is made of; a stack may be one series per slice
    n_slices    positions; `n_phases` the largest phase count of a slice, 1 for a map
    confirmed   False for a cine that is taken as short axis without a stack or a name to confirm it,
                and for a stack beside the one that would be chosen
    note        how it was chosen among others, "" when there was no choice
    """

    kind: str
    label: str
    parts: tuple[tuple[Path, ...], ...]
    n_slices: int
    n_phases: int
    confirmed: bool
    note: str = ""

    @property
    def source(self) -> SelectedFiles:
        """What `read_cine` and `read_t1_map` take."""
        return selected([path for part in self.parts for path in part])


def selected(paths) -> SelectedFiles:
    """Some DICOM files, wherever they lie, as one source. StudyError when they share no folder."""
    paths = [Path(os.path.abspath(path)) for path in paths]
    if not paths:
        raise StudyError("no DICOM file was given.")
    try:
        root = Path(os.path.commonpath([path.parent for path in paths]))
    except ValueError:  # drives of Windows
        raise StudyError("the files lie on several drives; copy the study into one folder.") from None
    return SelectedFiles(root, tuple(str(path.relative_to(root)) for path in paths))


def offers_in(paths) -> list[Offer]:
    """Every cine and T1 map among the files `paths`, study by study; empty when there is none."""
    if not paths:
        return []
    try:
        listing = find_images(selected(paths))
    except StudyError:  # no image among them
        return []
    studies = defaultdict(list)
    for frame in frames_of(listing):
        key = frame.attributes.text("PatientID"), frame.attributes.text("StudyInstanceUID")
        studies[key].append(frame)
    return [offer for frames in studies.values() for offer in (*_cines(frames), *_maps(frames))]


def _cines(frames: list[Frame]) -> list[Offer]:
    verdicts = [v for v in classify(frames) if v.kind == CINE]
    runs = runs_of(f for v in verdicts for f in v.frames if not f.defect)
    stacks = stacks_of([run for run in runs if len(run.frames) > 1])
    best, note = choose_short_axis(stacks)
    offers = []
    for stack in stacks:
        own = [frame for run in stack.runs for frame in run.frames]
        if stack is best:
            # whole series: what is damaged in them decides whether the stack is complete
            series = {frame.series_uid for frame in own}
            own = [frame for frame in frames if frame.series_uid in series]
            confirmed, why = len(stack.runs) >= 3 or stack.hint > 0, note
        elif len(stack.runs) >= 3 and stack.hint >= 0:
            confirmed, why = False, "another parallel stack of the study is the likelier short axis"
        else:
            continue
        offers.append(
            Offer(
                kind="cine",
                label=series_label(stack.runs[0].frames[0]),
                parts=_by_series(own),
                n_slices=len(stack.runs),
                n_phases=max(len(run.frames) for run in stack.runs),
                confirmed=confirmed,
                note=why,
            )
        )
    return offers


def _maps(frames: list[Frame]) -> list[Offer]:
    offers = []
    for verdict in classify(frames):
        if verdict.kind != T1_MAP:
            continue
        sound = [frame for frame in verdict.frames if not frame.defect]
        positions = len(runs_of(sound))
        if positions:
            parts = _by_series(verdict.frames)
            offers.append(Offer("T1 map", verdict.label, parts, positions, 1, True, verdict.reason))
    return offers


def _by_series(frames) -> tuple[tuple[Path, ...], ...]:
    """Files of each series once, series in order of their number."""
    series = defaultdict(dict)
    for frame in sorted(frames, key=lambda f: (f.series_number, f.series_uid)):
        series[frame.series_uid][frame.file.path] = None
    return tuple(tuple(files) for files in series.values())
