"""Our own way of putting a cine into the scene: as sequences with a browser, losing nothing."""

from __future__ import annotations

import json

import numpy as np
import slicer

from ..nrrd_files import index_values
from ..stack_volume import RESAMPLED_NOTE, on_grid, slice_grid, stack_grid
from ..study import RESEARCH_NOTICE, Cine
from . import volumes
from .frames import CINE_ATTRIBUTE, RESAMPLED_ATTRIBUTE


def add_cine(cine: Cine, scene, phase: int = 0) -> dict:
    """Add `cine` as sequences with a browser at `phase`, and return the nodes by name.

    cine           sequence of volumes, index: trigger time in ms; a list of one per slice where the
                   stack is not uniform
    cine_browser   plays them
    cine_frame     the volume that follows the browser, to show and to draw on; of a stack that is not
                   uniform it is resampled, as its attribute T1Diff.Resampled says

    `read_cine` gives back every number of it: times of each slice, thickness and source go along as
    an attribute of the sequence. The path and the file names of the source do not.
    """
    grid, times = stack_grid(cine.geometries), index_values(cine.trigger_ms)
    images = compact(cine.images)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Cine browser")
    frames = np.moveaxis(images, 1, 0)
    everything = range(cine.n_slices)
    noticed = {"T1Diff.Notice": RESEARCH_NOTICE}
    if grid.resampled:
        sequences = [
            volumes.add_sequence(
                scene, f"Cine slice {s}", frames[:, s : s + 1], slice_grid(geometry), times, noticed
            )
            for s, geometry in enumerate(cine.geometries)
        ]
        held = [[s] for s in everything]
        whole = np.stack([on_grid(frame, cine.geometries, grid) for frame in frames])
        resampled = noticed | {RESAMPLED_ATTRIBUTE: RESAMPLED_NOTE}
        shown = volumes.add_sequence(scene, "Cine (resampled)", whole, grid, times, resampled)
    else:
        sequences, held = [volumes.add_sequence(scene, "Cine", frames, grid, times, noticed)], [everything]
        shown = sequences[0]
    for sequence, slices in zip(sequences, held, strict=True):
        sequence.SetAttribute(CINE_ATTRIBUTE, _record(cine, slices))
    browser.SetAttribute("T1Diff.Notice", RESEARCH_NOTICE)
    for sequence in dict.fromkeys([shown, *sequences]):
        browser.AddSynchronizedSequenceNodeID(sequence.GetID())
    browser.SetSelectedItemNumber(phase)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    frame = browser.GetProxyNode(shown)
    frame.CreateDefaultDisplayNodes()
    return {
        "cine": sequences if grid.resampled else sequences[0],
        "cine_browser": browser,
        "cine_frame": frame,
    }


def _record(cine: Cine, slices) -> str:
    source = cine.source
    kept = {name: getattr(source, name) for name in ("vendor", "field_strength_t", "heart_rate_bpm")}
    kept |= {"ignored": list(source.ignored), "notes": list(source.notes)}
    record = {
        "trigger_ms": [cine.trigger_ms[s].tolist() for s in slices],
        "thickness_mm": [cine.geometries[s].thickness_mm for s in slices],
        "source": kept,
    }
    return json.dumps(record, ensure_ascii=False)


def compact(images: np.ndarray) -> np.ndarray:
    """Whole numbers as int16, which halves the scene; other values as they are."""
    if images.min() >= -32768 and images.max() <= 32767 and np.array_equal(images, np.rint(images)):
        return images.astype(np.int16)
    return images
