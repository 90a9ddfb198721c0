"""What a clinician corrects, as nodes to draw on and to drag, and back as labels and points of the cine."""

from __future__ import annotations

import re

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from ..errors import StudyError
from ..nrrd_files import LABEL_COLOURS, TERMINOLOGY
from ..stack_volume import RESAMPLED_NOTE, TIE, VolumeGrid, on_grid, stack_grid
from ..study import LABEL_NAMES, RESEARCH_NOTICE, Cine
from . import volumes

INSERTIONS = ("anterior", "inferior")
_FARTHEST_POINT_MM = 12.0
"""An insertion point farther than this from every cine slice belongs to another study."""


def add_review(cine: Cine, labels_ed, labels_es, insertions, scene, reference=None) -> dict:
    """Add the segmentation of ED and ES and the RV insertion points, all of them editable.

    labels_ed, labels_es  (S, R, C) labels 0…3 in cine geometry
    insertions            (S, 2, 2) (row, column), NaN where a slice has none
    reference             the volume to draw on (`cine_frame` of add_cine), which the Segment Editor shows

    Nodes: segmentation_ed, segmentation_es, rv_insertion_anterior, rv_insertion_inferior. The
    segmentations have the cine's own grid as reference geometry; of a stack that is not uniform the
    even grid on which each slice has a plane of its own.
    """
    grid = stack_grid(cine.geometries)
    nodes = {
        f"segmentation_{phase}": add_segmentation(
            labels, cine.geometries, grid, scene, f"Heart {phase.upper()}", reference
        )
        for phase, labels in (("ed", labels_ed), ("es", labels_es))
    }
    return nodes | add_insertions(insertions, cine.geometries, scene)


def add_segmentation(labels, geometries, grid: VolumeGrid, scene, name: str, reference=None):
    """Add one segmentation of three named segments, empty ones too, with `grid` as reference geometry.

    reference  a volume node on `grid`; without one the geometry stands for itself
    """
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetAttribute("T1Diff.Notice", RESEARCH_NOTICE)
    if grid.resampled:
        node.SetAttribute("T1Diff.Resampled", RESAMPLED_NOTE)
    labels = on_grid(np.asarray(labels, np.uint8), geometries, grid)
    if reference is None:
        _set_reference_geometry(node, grid)
    else:
        node.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    segmentation = node.GetSegmentation()
    for value, title in LABEL_NAMES.items():
        identifier = segmentation.AddEmptySegment(title.replace(" ", "_"), title, LABEL_COLOURS[value])
        segmentation.GetSegment(identifier).SetTag("TerminologyEntry", TERMINOLOGY[value])
        mask = volumes.oriented_image((labels == value).astype(np.uint8), grid)
        slicer.vtkSlicerSegmentationsModuleLogic.SetBinaryLabelmapToSegment(mask, node, identifier)
    segmentation.CollapseBinaryLabelmaps(False)
    return node


def add_insertions(insertions, geometries, scene) -> dict:
    """Add two point lists, anterior and inferior, one point for each slice that has one."""
    nodes = {}
    for which, name in enumerate(INSERTIONS):
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", f"RV insertion {name}")
        node.CreateDefaultDisplayNodes()
        node.SetAttribute("T1Diff.Notice", RESEARCH_NOTICE)
        for index, geometry in enumerate(geometries):
            pixel = insertions[index][which]
            if np.isfinite(pixel).all():
                point = volumes.to_ras(geometry.to_patient(pixel))
                node.AddControlPoint(vtk.vtkVector3d(*point), f"{name} {index}")
        nodes[f"rv_insertion_{name}"] = node
    return nodes


def reviewed_labels(segmentation_node, cine: Cine) -> np.ndarray:
    """(S, R, C) uint8 labels 0…3 of a segmentation node, read at the cine's own pixels.

    Segments count by their names (RV, LV myocardium, LV cavity). Raises StudyError when segments
    overlap, or a segment of another name holds something.
    """
    labels = np.zeros((cine.n_slices, *cine.images.shape[2:]), np.uint8)
    by_name = {_plain_name(name): value for value, name in LABEL_NAMES.items()}
    segmentation, nearest = segmentation_node.GetSegmentation(), {}
    for number in range(segmentation.GetNumberOfSegments()):
        name = segmentation.GetNthSegment(number).GetName() or ""
        image = slicer.vtkOrientedImageData()
        segmentation_node.GetBinaryLabelmapRepresentation(segmentation.GetNthSegmentID(number), image)
        if image.IsEmpty():
            continue
        mask = _at_pixels(image, cine, nearest)
        value = by_name.get(_plain_name(name))
        if value is None:
            if mask.any():
                raise StudyError(
                    f"segment '{name}' is none of {', '.join(LABEL_NAMES.values())}; rename it or remove it."
                )
            continue
        if (mask & (labels != 0)).any():
            raise StudyError(
                f"segment '{name}' overlaps another; let the Segment Editor overwrite other segments "
                "(Masking), and draw it again."
            )
        labels[mask] = value
    return labels


def reviewed_insertions(nodes, cine: Cine) -> np.ndarray:
    """(S, 2, 2) float64 (row, column) of the anterior and inferior points, NaN where there is none.

    nodes  what `add_review` returned, or the two point lists

    Each point counts for the slice nearest to it. Raises StudyError when two points of a list fall
    on one slice, or one lies off the cine.
    """
    if isinstance(nodes, dict):
        nodes = [nodes[f"rv_insertion_{name}"] for name in INSERTIONS]
    result = np.full((cine.n_slices, 2, 2), np.nan)
    for which, (name, node) in enumerate(zip(INSERTIONS, nodes, strict=True)):
        for number in range(node.GetNumberOfControlPoints()):
            if node.GetNthControlPointPositionStatus(number) != slicer.vtkMRMLMarkupsNode.PositionDefined:
                continue
            point = volumes.from_ras(node.GetNthControlPointPositionWorld(number))
            distances = [abs(g.distance(point)) for g in cine.geometries]
            index = int(np.argmin(distances))
            geometry = cine.geometries[index]
            pixel = geometry.to_pixel(point)
            outside = (pixel < -0.5) | (pixel > np.array(geometry.shape) - 0.5)
            if outside.any() or distances[index] > _FARTHEST_POINT_MM:
                raise StudyError(f"an {name} RV insertion point lies outside the cine; drag it back onto it.")
            if np.isfinite(result[index, which]).all():
                raise StudyError(f"slice {index} has two {name} RV insertion points; remove one of them.")
            result[index, which] = pixel
    return result


def _set_reference_geometry(node, grid: VolumeGrid) -> None:
    """Tell the Segment Editor the grid to draw on, independent of any volume node."""
    image = volumes.oriented_image(np.zeros(grid.shape, np.uint8), grid)
    text = slicer.vtkSegmentationConverter.SerializeImageGeometry(image)
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    node.GetSegmentation().SetConversionParameter(name, text)


def _at_pixels(image, cine: Cine, known: dict) -> np.ndarray:
    """(S, R, C) bool: is the nearest voxel of a segment's image set, at every pixel centre of the cine?

    known  keeps which voxel is nearest to which pixel, for the next image of the same geometry
    """
    extent = image.GetExtent()
    matrix = vtk.vtkMatrix4x4()
    image.GetWorldToImageMatrix(matrix)
    ras_to_index = slicer.util.arrayFromVTKMatrix(matrix)
    key = (extent, ras_to_index.tobytes())
    if key not in known:
        known[key] = [_nearest_voxels(geometry, ras_to_index, extent) for geometry in cine.geometries]
    values = vtk_to_numpy(image.GetPointData().GetScalars()) != 0
    return np.stack([inside & values[voxel] for voxel, inside in known[key]])


def _nearest_voxels(geometry, ras_to_index, extent) -> tuple[np.ndarray, np.ndarray]:
    """(R, C) number of the voxel nearest to each pixel in an image of that extent, (R, C) is it in there."""
    corner, down, right = volumes.to_ras(geometry.to_patient([[0, 0], [1, 0], [0, 1]]))
    axes, first, size = ras_to_index[:3, :3], np.array(extent[::2]), np.array(extent[1::2]) - extent[::2] + 1
    start = axes @ corner + ras_to_index[:3, 3] - first
    row, column = axes @ (down - corner), axes @ (right - corner)
    rows, columns = np.arange(geometry.shape[0])[:, None], np.arange(geometry.shape[1])
    voxel, inside = np.zeros(geometry.shape, np.int64), np.ones(geometry.shape, bool)
    for axis, stride in enumerate((1, size[0], size[0] * size[1])):
        # ties go up, as stack_volume.on_grid lets them go down: together they undo each other
        index = np.floor(start[axis] + rows * row[axis] + columns * column[axis] + 0.5 + TIE)
        inside &= (index >= 0) & (index < size[axis])
        voxel += stride * np.clip(index, 0, size[axis] - 1).astype(np.int64)
    return voxel, inside


def _plain_name(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()
