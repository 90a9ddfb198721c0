"""Short-axis cine from a DICOM folder: which series, which slices, which phases."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from ..errors import StudyError
from ..study import Cine, CineSource
from .assembly import assemble, slices_of, time_notes, usual_count
from .classify import CINE, DAMAGED, LONG_AXIS_CINE, STATIC, Verdict, classify
from .enhanced import frames_of
from .files import Listing, find_images, require_one_study
from .frames import Frame
from .pixels import read_images
from .stacks import Run, Stack, choose_short_axis, runs_of, series_label, stacks_of


def read_cine(path) -> Cine:
    """The short-axis cine stack of the study at `path`, S slices × P phases.

    Slices are grouped by position along the normal, phases by trigger time (`timing` lists the
    fallbacks). Everything set aside is named in `source.ignored`, every fallback in `source.notes`.
    Raises StudyError when there is no short-axis cine, several patients or studies, a single
    phase, or a damaged file without which the stack is incomplete.
    """
    listing = find_images(path)
    require_one_study(listing)
    frames, notes = _without_copies(frames_of(listing))
    if listing.others:
        notes.append(f"{listing.others} files are not DICOM images and were passed over")
    verdicts = classify(frames)
    runs = runs_of(f for v in verdicts if v.kind == CINE for f in v.frames if not f.defect)
    stack, choice = choose_short_axis(stacks_of([r for r in runs if len(r.frames) > 1]))
    if stack is None:
        raise StudyError(_nothing_found(verdicts, listing))
    notes += [choice] if choice else []
    notes += list(stack.replaced) + _lone_notes(stack, runs)
    slices = slices_of(stack)
    notes += time_notes(slices)
    _judge_damage(stack, slices, frames, verdicts, listing, notes)
    cine_slices, usual = usual_count(slices, notes)
    images, times, taken = assemble(cine_slices, usual, notes, read_images)
    first = cine_slices[0].frames[0]
    return Cine(
        images=images,
        geometries=tuple(s.frames[0].geometry for s in cine_slices),
        trigger_ms=times,
        source=CineSource(
            path=str(path),
            vendor=first.attributes.text("Manufacturer"),
            field_strength_t=_plausible(first.attributes.number("MagneticFieldStrength"), 0.01, 25),
            heart_rate_bpm=_heart_rate(first, times[0]),
            files=tuple(
                tuple(str(item.frames[k].file.path) for k in row)
                for item, row in zip(cine_slices, taken, strict=True)
            ),
            frames=tuple(
                tuple(item.frames[k].index for k in row) for item, row in zip(cine_slices, taken, strict=True)
            ),
            ignored=tuple(_ignored(verdicts, runs, stack)),
            notes=tuple(f"{n[0].upper()}{n[1:]}." for n in notes),
        ),
    )


def _without_copies(frames: list[Frame]) -> tuple[list[Frame], list[str]]:
    """Frames with each SOPInstanceUID once; copies of a file are common in exports."""
    seen, kept = set(), []
    for frame in frames:
        if frame.uid.startswith("#") or frame.uid not in seen:
            seen.add(frame.uid)
            kept.append(frame)
    copies = len(frames) - len(kept)
    return kept, [f"{copies} images are copies of others and were passed over"] if copies else []


def _lone_notes(stack: Stack, runs: list[Run]) -> list[str]:
    """Notes on positions of the stack's own series that hold one image only; they are no cine slices."""
    own = {r.series_uid for r in stack.runs}
    lone = [r for r in runs if len(r.frames) == 1 and r.series_uid in own]
    return [f"{series_label(r.frames[0])} holds a slice with a single phase; it is left out" for r in lone]


def _nothing_found(verdicts: list[Verdict], listing: Listing) -> str:
    damaged = [v for v in verdicts if v.kind == DAMAGED]
    if damaged and len(damaged) == len(verdicts):
        return f"no image of the folder can be used: {damaged[0].reason}; export the study again."
    still = [v for v in verdicts if v.kind == STATIC]
    if still and len(still) + len(damaged) == len(verdicts):
        return (
            "the images hold one phase per slice (no position has two times); "
            "give the cine series with the whole cardiac cycle."
        )
    found = "; ".join(_named(v) for v in verdicts[:8])
    unreadable = f"; {listing.unreadable[0]}" if listing.unreadable else ""
    return f"no short-axis cine stack was found; the folder holds {found}{unreadable}. Give the cine series."


def _named(verdict: Verdict) -> str:
    if verdict.kind == DAMAGED:
        return f"{verdict.label}: {verdict.reason}"
    return f"{verdict.label} ({'long-axis or lone cine' if verdict.kind == CINE else verdict.kind})"


def _judge_damage(stack: Stack, slices, frames, verdicts, listing: Listing, notes: list[str]) -> None:
    """Damaged files of the stack are passed over with a note when nothing is missing, else refused."""
    own = {run.series_uid for run in stack.runs}
    own_defects = [f"{f.file.name} {f.defect}" for f in frames if f.defect and f.series_uid in own]
    # Series that are damaged as a whole may be a slice of this stack; unreadable files may be anything.
    other_defects = [f"{f.file.name} {f.defect}" for v in verdicts if v.kind == DAMAGED for f in v.frames]
    suspects = own_defects + other_defects + list(listing.unreadable)
    if not suspects:
        return
    uneven = len({len(s.frames) for s in slices}) > 1
    steps = np.diff(stack.positions)
    gap = len(steps) > 1 and steps.max() > 1.5 * np.median(steps)
    declared = slices[0].frames[0].attributes.number("CardiacNumberOfImages") or 0
    short = bool(own_defects) and declared > len(slices[0].frames)
    if uneven or gap or short:
        raise StudyError(
            f"{suspects[0]} and the cine is incomplete without it; export the file again "
            f"({len(suspects)} files are affected)."
        )
    notes += [f"passed over: {s}" for s in suspects[:5]]
    if len(suspects) > 5:
        notes.append(f"{len(suspects) - 5} more files are damaged and were passed over")


def _heart_rate(frame: Frame, times: np.ndarray) -> float | None:
    rate = _plausible(frame.attributes.number("HeartRate"), 20, 300)
    if rate is not None:
        return rate
    return 60000 / frame.rr_ms if frame.rr_ms else None


def _plausible(value: float | None, low: float, high: float) -> float | None:
    """`value`, or None, which is what is said where a header says nothing, when it cannot be."""
    return value if value is not None and low <= value <= high else None


def _ignored(verdicts: list[Verdict], runs: list[Run], stack: Stack) -> list[str]:
    """A sentence for every series, or part of one, that is not in the cine."""
    sentences = [v.sentence for v in verdicts if v.kind != CINE]
    used = {id(f) for r in stack.runs for f in r.frames}
    normal = stack.runs[0].geometry.normal
    aside = defaultdict(list)
    for run in runs:
        own_lone = len(run.frames) == 1 and any(run.series_uid == r.series_uid for r in stack.runs)
        if id(run.frames[0]) not in used and not own_lone:
            aside[run.series_uid].append(run)
    for group in aside.values():
        parallel = abs(group[0].geometry.normal @ normal) > 0.99
        reason = "parallel to the short axis but not part of the stack" if parallel else (
            f"{len(group)} position(s), not parallel to the short-axis stack")  # fmt: skip
        kind = "cine" if parallel else LONG_AXIS_CINE
        frames = tuple(f for r in group for f in r.frames)
        sentences.append(Verdict(kind, reason, frames).sentence)
    return sentences
