"""How results are shown: overlay, difference, hatching of slices not judged, planes of the views."""

from __future__ import annotations

import numpy as np
import slicer

from ..stack_volume import RESAMPLED_NOTE, on_grid, stack_grid
from ..study import RESEARCH_NOTICE, T1_SCALE_NOTICE, Cine, Synthesis
from . import colours, volumes

NOT_JUDGED = 17
"""Value of the hatching in the volume of marks, after the 16 AHA segments."""

_HATCH_PERIOD, _HATCH_WIDTH = 10, 2
_AHA_HUES = np.array(
    [
        (0.90, 0.45, 0.35),
        (0.95, 0.75, 0.35),
        (0.60, 0.75, 0.35),
        (0.35, 0.70, 0.60),
        (0.40, 0.55, 0.85),
        (0.70, 0.50, 0.80),
    ]
)


def slice_views(scene) -> list[tuple]:
    """(slice node, slice composite node) of every slice view that the scene knows."""
    composites = {
        n.GetLayoutName(): n for n in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode", scene)
    }
    views = slicer.util.getNodesByClass("vtkMRMLSliceNode", scene)
    return [(v, composites[v.GetLayoutName()]) for v in views if v.GetLayoutName() in composites]


def show_volumes(
    composite, background=None, foreground=None, label=None, opacity: float | None = None
) -> None:
    """Show volume nodes in one slice view; a layer given as None is emptied."""
    composite.SetBackgroundVolumeID(background.GetID() if background else None)
    composite.SetForegroundVolumeID(foreground.GetID() if foreground else None)
    composite.SetLabelVolumeID(label.GetID() if label else None)
    if opacity is not None:
        composite.SetForegroundOpacity(float(opacity))


def show_overlay(nodes: dict, opacity: float = 0.6, layer: str = "t1", views=None) -> None:
    """Show a map over the cine in all slice views, turned to the plane of the short axis.

    nodes    what `add_to_scene` returned, with `difference` and `marks` where they were added
    opacity  of the map, 0…1
    layer    "t1", "t1_sd", "native" or "difference"
    views    (slice node, composite node) pairs; all of the scene when None
    """
    background, foreground = shown(nodes, "cine_ed"), shown(nodes, layer)
    for view, composite in slice_views(background.GetScene()) if views is None else views:
        show_volumes(composite, background, foreground, nodes.get("marks"), opacity)
        view.SetUseLabelOutline(True)
        turn_to_volume(view, background)


def shown(nodes: dict, key: str):
    """The volume that stands for `key`: the stack itself, or the resampled one of an uneven stack."""
    return nodes.get(f"{key}_resampled") or nodes[key]


def set_opacity(scene, opacity: float) -> None:
    """Set how opaque the map lies over the cine, 0…1, in every slice view that shows one."""
    for _, composite in slice_views(scene):
        if composite.GetForegroundVolumeID():
            composite.SetForegroundOpacity(float(opacity))


def turn_to_volume(slice_node, volume, plane: int | None = None) -> None:
    """Turn a slice view into the image plane of `volume`, as the scanner shows it, at one of its slices.

    plane  slice index along k, the middle one when None

    Rows run to the right and columns down. RotateToVolumePlane is not used: for a stack it takes the
    nearest of the volume's three planes, which may be a reformatted long axis.
    """
    ijk_to_ras = volumes.world_matrix(volume)
    columns, rows, slices = volume.GetImageData().GetDimensions()
    middle = [(columns - 1) / 2, (rows - 1) / 2, (slices - 1) // 2 if plane is None else plane]
    right, down = (ijk_to_ras[:3, axis] / np.linalg.norm(ijk_to_ras[:3, axis]) for axis in (0, 1))
    # row × column in LPS is the side of patient head on transverse images, as in Slicer's axial view
    through = volumes.to_ras(np.cross(volumes.from_ras(right), volumes.from_ras(down)))
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, -down, through], axis=1)
    matrix[:3, 3] = ijk_to_ras[:3, :3] @ middle + ijk_to_ras[:3, 3]
    slicer.util.updateVTKMatrixFromArray(slice_node.GetSliceToRAS(), matrix)
    slice_node.UpdateMatrices()


def turn_views(scene, volume) -> None:
    """Turn every slice view of the scene into the image plane of `volume`."""
    for view, _ in slice_views(scene):
        turn_to_volume(view, volume)


def add_difference(synthesis: Synthesis, scene) -> dict:
    """Add synthetic − native T1 in ms with zero-centred colours and its legend; {} without a native map.

    Where either map has no value the volume holds colours.NO_DIFFERENCE, which is not drawn.
    Nodes: difference, difference_colours, difference_legend.
    """
    if synthesis.native_ms is None:
        return {}
    geometries, grid = synthesis.cine.geometries, stack_grid(synthesis.cine.geometries)
    both = (synthesis.valid > 0) & (synthesis.native_ms > 0)
    difference = on_grid(np.where(both, synthesis.t1_ms - synthesis.native_ms, 0.0), geometries, grid)
    there = on_grid(both, geometries, grid)
    values = np.where(there, difference, colours.NO_DIFFERENCE).astype(np.float32)
    node = volumes.add_volume(scene, "T1 difference", values, grid)
    table = colours.add_difference_colours(scene)
    colours.show_as_difference(node, table)
    if grid.resampled:
        node.SetAttribute("T1Diff.Resampled", RESAMPLED_NOTE)
    node.SetAttribute("T1Diff.Scale", T1_SCALE_NOTICE)
    legend = colours.add_legend(node, "Synthetic − native T1 (ms)\nfor research only")
    nodes = {"difference": node, "difference_colours": table, "difference_legend": legend}
    return _noticed(nodes)


def add_marks(synthesis: Synthesis, scene) -> dict:
    """Add the AHA segments 1…16 and, on slices that were not judged, diagonal hatching (17).

    A label volume without values, to be shown as outlines over the map. Nodes: marks, marks_colours.
    """
    marks = synthesis.aha.copy()
    for report in synthesis.slices:
        if not report.valid and report.flags:
            marks[report.index] = hatching(marks.shape[1:])
    return _add_labels(marks, synthesis.cine, scene, "AHA segments, not judged")


def add_aha_preview(cine: Cine, labels_ed, insertions, scene, node=None) -> dict:
    """Draw the AHA segments that reviewed labels and insertion points give; into `node` when there is one.

    labels_ed   (S, R, C) labels at ED;  insertions  (S, 2, 2), as `review` reads them

    Nodes: marks, marks_colours. Nothing is drawn where the LV or the insertions are missing.
    """
    from ..anatomy.aha import aha_labels
    from ..anatomy.levels import slice_levels

    levels = slice_levels(labels_ed, cine.geometries)
    segments = aha_labels(labels_ed, insertions, levels, cine.geometries)
    if node is None:
        return _add_labels(segments, cine, scene, "AHA segments, reviewed")
    grid = stack_grid(cine.geometries)
    slicer.util.updateVolumeFromArray(node, on_grid(segments, cine.geometries, grid))
    return {"marks": node, "marks_colours": node.GetDisplayNode().GetColorNode()}


def hatching(shape: tuple[int, int]) -> np.ndarray:
    """(R, C) uint8: NOT_JUDGED on diagonal stripes, 0 between them."""
    rows, columns = np.indices(shape)
    return np.where((rows + columns) % _HATCH_PERIOD < _HATCH_WIDTH, NOT_JUDGED, 0).astype(np.uint8)


def _add_labels(values, cine: Cine, scene, name: str) -> dict:
    grid = stack_grid(cine.geometries)
    labels = on_grid(np.asarray(values, np.uint8), cine.geometries, grid)
    node = volumes.add_volume(scene, name, labels, grid, "vtkMRMLLabelMapVolumeNode")
    table = _mark_colours(scene)
    node.GetDisplayNode().SetAndObserveColorNodeID(table.GetID())
    if grid.resampled:
        node.SetAttribute("T1Diff.Resampled", RESAMPLED_NOTE)
    return _noticed({"marks": node, "marks_colours": table})


def _mark_colours(scene):
    from ..anatomy.aha import NAMES

    hues = np.concatenate([_AHA_HUES, _AHA_HUES, _AHA_HUES[:4]])
    table = np.concatenate([np.zeros((1, 3)), hues, [(0.85, 0.85, 0.85)]])
    names = ["none", *(f"{i} {name}" for i, name in enumerate(NAMES, 1)), "not judged"]
    return colours.add_colours(scene, "AHA segments", table, names, [0.0] + [1.0] * 17)


def _noticed(nodes: dict) -> dict:
    for node in nodes.values():
        node.SetAttribute("T1Diff.Notice", RESEARCH_NOTICE)
    return nodes
