"""Volumes and sequences in MRML. The one place where LPS becomes RAS, and back."""

from __future__ import annotations

import numpy as np
import slicer
import vtk

from ..errors import StudyError
from ..stack_volume import VolumeGrid

_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


def to_ras(points) -> np.ndarray:
    """(..., 3) LPS mm -> RAS mm."""
    return np.asarray(points, dtype=np.float64) * _LPS_TO_RAS


def from_ras(points) -> np.ndarray:
    """(..., 3) RAS mm -> LPS mm."""
    return np.asarray(points, dtype=np.float64) * _LPS_TO_RAS


def ijk_to_ras(grid: VolumeGrid) -> vtk.vtkMatrix4x4:
    """The 4×4 matrix from voxel index (column, row, slice) to RAS mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = to_ras(grid.axes).T
    matrix[:3, 3] = to_ras(grid.origin)
    return slicer.util.vtkMatrixFromArray(matrix)


def world_matrix(volume) -> np.ndarray:
    """(4, 4) from voxel index (column, row, slice) to RAS mm, linear parent transforms included.

    Raises StudyError under a transform that is not linear.
    """
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return under_transform(slicer.util.arrayFromVTKMatrix(matrix), volume)


def under_transform(matrix: np.ndarray, node) -> np.ndarray:
    """(4, 4) `matrix` followed by the parent transform of `node`, if it has one. Raises StudyError."""
    transform = node.GetParentTransformNode()
    if transform is None:
        return matrix
    if not transform.IsTransformToWorldLinear():
        raise StudyError(
            f"'{node.GetName()}' lies under a transform that is not linear; take it out of the transform."
        )
    world = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(world)
    return slicer.util.arrayFromVTKMatrix(world) @ matrix


def add_volume(scene, name, values, grid: VolumeGrid, kind="vtkMRMLScalarVolumeNode"):
    """Add a volume node holding (K, R, C) `values` on `grid`."""
    node = scene.AddNewNodeByClass(kind, name)
    _fill(node, values, grid)
    node.CreateDefaultDisplayNodes()
    return node


def add_sequence(scene, name, frames, grid: VolumeGrid, index_values, attributes=None):
    """Add a sequence node of (P, K, R, C) `frames` on `grid`, indexed by trigger time in ms.

    attributes  of the sequence and of every frame: the volume that a browser shows takes all its
                attributes from the frame, each time it moves on
    """
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetIndexName("TriggerTime")
    sequence.SetIndexUnit("ms")
    sequence.SetIndexType(slicer.vtkMRMLSequenceNode.NumericIndex)
    frame_node = slicer.vtkMRMLScalarVolumeNode()
    for node in (sequence, frame_node):
        for key, value in (attributes or {}).items():
            node.SetAttribute(key, value)
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


def _fill(node, values, grid: VolumeGrid) -> None:
    # a writable copy in this byte order: VTK shares the memory that it is given
    slicer.util.updateVolumeFromArray(node, np.array(values, order="C"))
    node.SetIJKToRASMatrix(ijk_to_ras(grid))
