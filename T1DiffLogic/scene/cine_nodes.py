"""Cines in the scene: which nodes hold one, whichever importer made them, and what they hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from ..dicom.assembly import assemble, slices_of, time_notes, usual_count
from ..dicom.stacks import Stack, choose_short_axis, runs_of, stacks_of
from ..errors import StudyError
from ..study import Cine, CineSource, T1Map
from .frames import (
    RESAMPLED_ATTRIBUTE,
    Headers,
    frames_of,
    geometries_of,
    is_multi_volume,
    is_sequence_of_images,
    own_record,
)

_FIELD_STRENGTH, _MANUFACTURER = "0018,0087", "0008,0070"


@dataclass(frozen=True, eq=False)
class CineCandidate:
    """What may be a short-axis cine: images in the scene, grouped by position and trigger time.

    name        of the first node
    sentence    how it was grouped, for the user to judge
    nodes       the sequence or multi-volume nodes that hold the images
    short_axis  True when geometry or names speak for a short-axis stack
    """

    name: str
    sentence: str
    nodes: tuple
    short_axis: bool
    stack: Stack
    notes: tuple[str, ...] = ()

    @property
    def n_slices(self) -> int:
        return len(self.stack.runs)

    @property
    def n_phases(self) -> int:
        """The largest phase count of a slice."""
        return max(len(run.frames) for run in self.stack.runs)


def find_cines(scene, headers: Headers | None = None) -> list[CineCandidate]:
    """Every cine that the scene may hold, the likeliest short-axis stack first; empty when there is none.

    headers  looks values up in DICOM files by instance UID; Slicer's DICOM database when None

    A node that holds several slices is a candidate for itself (all slices of a cine flattened into
    one sequence, a sequence of volumes, a MultiVolume). Sequences of one slice each belong together
    when one browser plays them; those that are played alone are pooled (a series per slice).
    """
    headers = headers or _database()
    candidates, loose = [], []
    for nodes in _together(scene):
        try:
            runs, notes = _runs(nodes, headers)
        except StudyError:
            continue  # no cine for this list; read_cine tells why when it is asked for
        stacks = stacks_of(runs)
        if len(nodes) == 1 and all(len(stack.runs) == 1 for stack in stacks):
            loose.append((nodes[0], runs, notes))
        else:
            candidates += [_candidate(stack, nodes, notes) for stack in stacks]
    pooled = stacks_of([run for _, runs, _ in loose for run in runs])
    for stack in pooled:
        ids = {run.series_uid for run in stack.runs}
        own = [(node, notes) for node, _, notes in loose if node.GetID() in ids]
        notes = tuple(dict.fromkeys(note for _, some in own for note in some))
        candidates.append(_candidate(stack, tuple(node for node, _ in own), notes))
    return sorted(candidates, key=lambda c: (not c.short_axis, -c.stack.hint, -c.n_slices))


def read_cine(source, headers: Headers | None = None) -> Cine:
    """The Cine that a CineCandidate, a node or a list of nodes holds.

    Nodes may be sequences, their browsers, the volumes that browsers show, or MultiVolumes; all
    given nodes together make one stack. Every fallback is in `source.notes`.
    Raises StudyError with one sentence when they hold no short-axis cine.
    """
    headers = headers or _database()
    if not isinstance(source, CineCandidate):
        source = _chosen(source, headers)
    notes = [source.sentence, *source.notes, *source.stack.replaced]
    slices = slices_of(source.stack)
    notes += time_notes(slices)
    slices, usual = usual_count(slices, notes)
    images, times, _ = assemble(slices, usual, notes, lambda fs: np.stack([f.pixels() for f in fs]))
    own = own_record(source.nodes[0])
    return Cine(
        images=images,
        geometries=tuple(s.frames[0].geometry for s in slices),
        trigger_ms=times,
        source=_own_source(own) if own is not None else _source(slices[0].frames[0], notes, headers),
    )


def t1_map_of(volumes_given) -> T1Map:
    """The native T1 map in ms of a scalar volume node, or of several (one slice each).

    Vendor scaling is resolved by plausibility and noted. Raises StudyError when the values are no
    T1 in any scale, or the volumes are not parallel images of one size.
    """
    from ..dicom.stacks import group_by_orientation
    from ..dicom.t1map import to_ms

    nodes = volumes_given if isinstance(volumes_given, list | tuple) else [volumes_given]
    slices = []
    for node in nodes:
        if node.GetClassName() not in ("vtkMRMLScalarVolumeNode", "vtkMRMLLabelMapVolumeNode"):
            raise StudyError(
                f"'{node.GetName()}' is no grey volume; give the T1 map itself, not a picture of it."
            )
        geometries = geometries_of(node)
        slices += zip(geometries, np.array(slicer.util.arrayFromVolume(node), np.float32), strict=True)
    if not slices or len(group_by_orientation(slices, lambda item: item[0])) > 1:
        raise StudyError("the T1 volumes are not parallel images of one size; give those of one T1 map.")
    normal = slices[0][0].normal
    slices.sort(key=lambda item: item[0].origin @ normal)
    values, note = to_ms([("values as stored", np.stack([image for _, image in slices]))])
    return T1Map(values, tuple(geometry for geometry, _ in slices), (note,))


def sequences_of(browser) -> list:
    """The sequence nodes that a browser plays, its master first."""
    found = vtk.vtkCollection()
    browser.GetSynchronizedSequenceNodes(found, True)
    return [found.GetItemAsObject(i) for i in range(found.GetNumberOfItems())]


def _together(scene) -> list[tuple]:
    """The image-holding nodes of the scene, those of one browser together, all others alone."""
    sequences = [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLSequenceNode", scene)
        if is_sequence_of_images(node)
    ]
    groups, taken = [], set()
    for browser in slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode", scene):
        own = tuple(n for n in sequences if browser.IsSynchronizedSequenceNode(n, True))
        own = tuple(n for n in own if n.GetID() not in taken)
        if len(own) > 1:
            groups.append(own)
            taken |= {n.GetID() for n in own}
    groups += [(n,) for n in sequences if n.GetID() not in taken]
    volumes_there = slicer.util.getNodesByClass("vtkMRMLVolumeNode", scene)
    return groups + [(node,) for node in volumes_there if is_multi_volume(node)]


def _runs(nodes, headers):
    frames, notes = [], []
    for node in nodes:
        own, told = frames_of(node, headers)
        frames += own
        notes += told
    runs = [run for run in runs_of(frames) if len(run.frames) > 1]
    return runs, tuple(dict.fromkeys(notes))


def _candidate(stack: Stack, nodes, notes) -> CineCandidate:
    used = {run.series_uid for run in stack.runs}
    nodes = tuple(node for node in nodes if node.GetID() in used)
    counts = sorted({len(run.frames) for run in stack.runs})
    phases = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    timed = all(frame.trigger_ms is not None for run in stack.runs for frame in run.frames)
    by = "position and trigger time" if timed else "position and frame number, for trigger times are missing"
    kind = "MultiVolume" if is_multi_volume(nodes[0]) else "sequence"
    which = f"the {kind} '{nodes[0].GetName()}'"
    if len(nodes) > 1:
        which += f" and {len(nodes) - 1} more"
    n = len(stack.runs)
    sentence = f"{n} slice{'s' if n > 1 else ''} × {phases} phases from {which}, grouped by {by}"
    short_axis = stack.hint >= 0 and (n >= 3 or stack.hint > 0)
    return CineCandidate(nodes[0].GetName(), f"{sentence}.", nodes, short_axis, stack, notes)


def _chosen(nodes, headers) -> CineCandidate:
    nodes = nodes if isinstance(nodes, list | tuple) else [nodes]
    holders = tuple(dict.fromkeys(holder for node in nodes for holder in _holders(node)))
    if not holders:
        raise StudyError("no node was given; choose a cine of the scene, or load one.")
    runs, notes = _runs(holders, headers)
    stack, choice = choose_short_axis(stacks_of(runs))
    if stack is None:
        names = "', '".join(node.GetName() for node in holders[:4])
        raise StudyError(f"'{names}' holds no short-axis cine; choose the cine with the short-axis slices.")
    return _candidate(stack, holders, (*notes, *([choice] if choice else [])))


def _holders(node) -> list:
    """The sequences behind a browser or a shown volume; other nodes as they are."""
    if node is None:
        return []
    if node.IsA("vtkMRMLSequenceBrowserNode"):
        return [n for n in sequences_of(node) if is_sequence_of_images(n)]
    if node.IsA("vtkMRMLVolumeNode") and not is_multi_volume(node):
        for browser in slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode", node.GetScene()):
            sequence = browser.GetSequenceNode(node)  # None where the volume is none of its proxies
            if sequence is not None:
                resampled = sequence.GetAttribute(RESAMPLED_ATTRIBUTE) is not None
                return _holders(browser) if resampled else [sequence]
    return [node]


def _source(frame, notes, headers) -> CineSource:
    def value(tag):
        return headers(frame.uid, tag) if headers is not None and frame.uid else ""

    try:
        tesla = float(value(_FIELD_STRENGTH))
    except ValueError:
        tesla = None
    return CineSource(
        vendor=value(_MANUFACTURER),
        field_strength_t=tesla,
        heart_rate_bpm=None if frame.rr_ms is None else 60000 / frame.rr_ms,
        notes=tuple(f"{n[0].upper()}{n[1:].rstrip('.')}." for n in notes),
    )


def _own_source(record) -> CineSource:
    source = record.get("source", {})
    return CineSource(
        vendor=str(source.get("vendor", "")),
        field_strength_t=source.get("field_strength_t"),
        heart_rate_bpm=source.get("heart_rate_bpm"),
        ignored=tuple(source.get("ignored", ())),
        notes=tuple(source.get("notes", ())),
    )


def _database() -> Headers | None:
    """Values of the files in Slicer's DICOM database; None where there is none."""
    database = getattr(slicer, "dicomDatabase", None)
    if database is None:
        return None

    def value(uid: str, tag: str) -> str:
        path = database.fileForInstance(uid)
        return database.fileValue(path, tag) if path else ""

    return value
