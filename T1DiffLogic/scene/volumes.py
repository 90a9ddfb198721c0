"""Volumes, sequences and colours in MRML. The one place where LPS becomes RAS."""

from __future__ import annotations

import numpy as np
import slicer
import vtk

from ..report.colours import SD_WINDOW_MS, T1_WINDOW_MS, lipari_table, sd_table
from ..stack_volume import VolumeGrid

_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


def to_ras(points) -> np.ndarray:
    """(..., 3) LPS mm -> RAS mm."""
    return np.asarray(points, dtype=np.float64) * _LPS_TO_RAS


def ijk_to_ras(grid: VolumeGrid) -> vtk.vtkMatrix4x4:
    """The 4×4 matrix from voxel index (column, row, slice) to RAS mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = to_ras(grid.axes).T
    matrix[:3, 3] = to_ras(grid.origin)
    return slicer.util.vtkMatrixFromArray(matrix)


def add_volume(scene, name, values, grid: VolumeGrid, kind="vtkMRMLScalarVolumeNode"):
    """Add a volume node holding (K, R, C) `values` on `grid`."""
    node = scene.AddNewNodeByClass(kind, name)
    _fill(node, values, grid)
    node.CreateDefaultDisplayNodes()
    return node


def add_sequence(scene, name, frames, grid: VolumeGrid, index_values):
    """Add a sequence node of (P, K, R, C) `frames` on `grid`, indexed by trigger time in ms."""
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetIndexName("TriggerTime")
    sequence.SetIndexUnit("ms")
    sequence.SetIndexType(slicer.vtkMRMLSequenceNode.NumericIndex)
    frame_node = slicer.vtkMRMLScalarVolumeNode()
    for phase, (frame, value) in enumerate(zip(frames, index_values, strict=True)):
        frame_node.SetName(f"{name} phase {phase}")
        _fill(frame_node, frame, grid)
        sequence.SetDataNodeAtValue(frame_node, value)  # keeps a deep copy
    return sequence


def oriented_image(values, grid: VolumeGrid) -> slicer.vtkOrientedImageData:
    """(K, R, C) uint8 `values` on `grid` as the image type that segmentations take."""
    node = slicer.vtkMRMLLabelMapVolumeNode()
    _fill(node, values, grid)
    return slicer.vtkSlicerSegmentationsModuleLogic.CreateOrientedImageDataFromVolumeNode(node)


def add_t1_colours(scene):
    """Add Lipari as a colour node.

    Its first entry is the darkest *valid* colour, because Slicer gives it to every value under
    the window; pixels without a value are hidden by the display threshold instead.
    """
    return _add_colours(scene, "T1 Lipari", np.vstack([lipari_table()[1], lipari_table()[1:]]))


def add_sd_colours(scene):
    """Add the colours of the standard deviation."""
    return _add_colours(scene, "T1 SD Devon", sd_table())


def show_as_t1(node, colours) -> None:
    """Show a T1 volume in ms through `colours` over 700–2000 ms; 0 = no value is not drawn."""
    _show(node, colours, T1_WINDOW_MS)


def show_as_sd(node, colours) -> None:
    """Show a volume of standard deviations in ms; 0 = no value is not drawn."""
    _show(node, colours, SD_WINDOW_MS)


def add_legend(node, title: str):
    """Add a colour legend in ms to a displayed volume node."""
    legend = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(node)
    legend.SetTitleText(title)
    legend.SetLabelFormat("%.0f ms")
    return legend


def _fill(node, values, grid: VolumeGrid) -> None:
    # a writable copy in this byte order: VTK shares the memory that it is given
    slicer.util.updateVolumeFromArray(node, np.array(values, order="C"))
    node.SetIJKToRASMatrix(ijk_to_ras(grid))


def _add_colours(scene, name, table):
    node = scene.AddNewNodeByClass("vtkMRMLColorTableNode", name)
    node.SetTypeToUser()
    node.SetHideFromEditors(False)  # hidden colour nodes are not saved with the scene
    node.SetNumberOfColors(len(table))
    for index, (red, green, blue) in enumerate(table):
        node.SetColor(index, f"{name} {index}", red, green, blue, 1.0)
    node.AddDefaultStorageNode()
    return node


def _show(node, colours, window) -> None:
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(colours.GetID())
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(*window)
    display.InterpolateOff()
    display.AutoThresholdOff()
    display.SetLowerThreshold(0.5)
    display.SetUpperThreshold(1e5)
    display.ApplyThresholdOn()
