"""What a clinician edits comes back as it was drawn: labels pixel by pixel, points in mm."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install 't1diff[scene]')")

import slicer  # noqa: E402
import vtk  # noqa: E402
from vtk.util.numpy_support import vtk_to_numpy  # noqa: E402

from T1DiffLogic.errors import StudyError  # noqa: E402
from T1DiffLogic.scene import (  # noqa: E402
    add_cine,
    add_review,
    headless_scene,
    load_scene,
    reviewed_insertions,
    reviewed_labels,
    volumes,
)
from T1DiffLogic.stack_volume import on_grid, stack_grid  # noqa: E402
from T1DiffLogic.study import Cine, SliceGeometry  # noqa: E402

ROWS, COLUMNS = 30, 36
STACKS = {
    "even": ((0, 9, 18, 27, 36), (0, 0, 0, 0, 0)),
    "one wide gap": ((0, 9, 18, 31, 40), (0, 0, 0, 0, 0)),
    "two slices close together": ((0, 9, 13, 22, 31), (0, 0, 0, 0, 0)),
    "half way between planes": ((0, 9, 13.5, 22.5, 31.5), (0, 0, 0, 0, 0)),
    "each moved by part of a pixel": ((0, 9, 18, 27, 36), (0, 0.5, 1.5, -0.3, 2.7)),
    "uneven and moved": ((0, 7.5, 18, 29.2, 36), (0, -0.5, 0.25, 3.5, 1)),
}


def cine_of(stack: str) -> Cine:
    """Oblique slices, rows and columns of unequal spacing, each moved in its plane by parts of a pixel."""
    positions, moved = STACKS[stack]
    q, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    row, column, normal = q[:, 0], q[:, 1], np.cross(q[:, 0], q[:, 1])
    geometries = tuple(
        SliceGeometry(
            [-40, 25, 60] + z * normal + m * 1.4 * row - m * 1.5 * column,
            row, column, (1.5, 1.4), (ROWS, COLUMNS), 8.0,
        )
        for z, m in zip(positions, moved)
    )  # fmt: skip
    times = np.tile(np.arange(4) * 200.0, (len(positions), 1))
    return Cine(np.zeros((len(positions), 4, ROWS, COLUMNS)), geometries, times)


def drawn(cine, seed) -> np.ndarray:
    """(S, R, C) labels without any order, so that no shift, flip or lost pixel goes unseen."""
    return np.random.default_rng(seed).integers(0, 4, (cine.n_slices, ROWS, COLUMNS)).astype(np.uint8)


def paint(node, identifier, mask, cine) -> None:
    """Give a segment another mask, cropped to what is set, as the Segment Editor's effects leave it."""
    image = volumes.oriented_image(mask.astype(np.uint8), stack_grid(cine.geometries))
    effective = [0] * 6
    slicer.vtkOrientedImageDataResample.CalculateEffectiveExtent(image, effective)
    cropped = slicer.vtkOrientedImageData()
    cropped.DeepCopy(image)
    cropped.Crop(effective)
    slicer.vtkSlicerSegmentationsModuleLogic.SetBinaryLabelmapToSegment(cropped, node, identifier)


def points_of(cine) -> np.ndarray:
    points = np.random.default_rng(5).uniform(2, 25, (cine.n_slices, 2, 2))
    points[1, 0], points[3] = np.nan, np.nan
    return points


@pytest.fixture
def scene():
    scene = headless_scene()
    yield scene
    scene.Clear(True)


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("with_volume", [True, False])
def test_labels_and_points_come_back_exactly(scene, stack, with_volume):
    cine = cine_of(stack)
    ed, es, points = drawn(cine, 1), drawn(cine, 2), points_of(cine)
    reference = add_cine(cine, scene)["cine_frame"] if with_volume else None
    nodes = add_review(cine, ed, es, points, scene, reference)
    np.testing.assert_array_equal(reviewed_labels(nodes["segmentation_ed"], cine), ed)
    np.testing.assert_array_equal(reviewed_labels(nodes["segmentation_es"], cine), es)
    np.testing.assert_allclose(reviewed_insertions(nodes, cine), points, atol=1e-9)


@pytest.mark.parametrize("stack", ["even", "uneven and moved"])
def test_nodes_lie_where_the_pixels_are(scene, stack):
    """Against DICOM's own formula: voxel centres of each segment and the points, in RAS mm."""
    cine = cine_of(stack)
    points = points_of(cine)
    labels = np.zeros((cine.n_slices, ROWS, COLUMNS), np.uint8)
    labels[2, 10:14, 20:25] = 2
    nodes = add_review(cine, labels, labels, points, scene)
    image = slicer.vtkOrientedImageData()
    nodes["segmentation_ed"].GetBinaryLabelmapRepresentation("LV_myocardium", image)
    extent = image.GetExtent()
    array = vtk_to_numpy(image.GetPointData().GetScalars())
    array = array.reshape(extent[5] - extent[4] + 1, extent[3] - extent[2] + 1, extent[1] - extent[0] + 1)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    matrix = slicer.util.arrayFromVTKMatrix(matrix)
    index = np.argwhere(array)[:, ::-1] + extent[::2]
    found = index @ matrix[:3, :3].T + matrix[:3, 3]
    g = cine.geometries[2]
    expected = g.to_patient(np.argwhere(labels[2])) * (-1, -1, 1)
    # on the even grid of an uneven stack the plane and the pixel may be up to half a step off
    step = stack_grid(cine.geometries).spacing[2] / 2 + 1.5
    nearest = np.linalg.norm(found[:, None] - expected[None], axis=-1).min(axis=1)
    assert len(found) >= len(expected)
    assert nearest.max() < (1e-6 if stack == "even" else step)

    for which, name in enumerate(("anterior", "inferior")):
        node = nodes[f"rv_insertion_{name}"]
        slices = np.flatnonzero(np.isfinite(points[:, which, 0]))
        placed = [node.GetNthControlPointPositionWorld(i) for i in range(node.GetNumberOfControlPoints())]
        expected = [cine.geometries[s].to_patient(points[s, which]) * (-1, -1, 1) for s in slices]
        np.testing.assert_allclose(placed, expected, atol=1e-9)


def test_edits_are_read_and_nothing_else_changes(scene):
    """A brush stroke as the Segment Editor leaves it: overwrites other segments, crops the image."""
    cine = cine_of("even")
    ed = np.zeros((5, ROWS, COLUMNS), np.uint8)
    ed[1:4, 10:20, 10:20] = 2
    ed[1:4, 13:17, 13:17] = 3
    frame = add_cine(cine, scene)["cine_frame"]
    nodes = add_review(cine, ed, ed, points_of(cine), scene, frame)
    node = nodes["segmentation_ed"]
    expected = ed.copy()
    expected[2, 9:12, 18:24] = 2  # beyond what was there before, so that the image has to grow
    expected[3, 13, 13] = 2
    for identifier, value in (("LV_myocardium", 2), ("LV_cavity", 3)):
        paint(node, identifier, expected == value, cine)
    np.testing.assert_array_equal(reviewed_labels(node, cine), expected)
    np.testing.assert_array_equal(reviewed_labels(nodes["segmentation_es"], cine), ed)


def test_all_three_segments_are_there_to_draw_even_when_empty(scene):
    cine = cine_of("even")
    nodes = add_review(cine, np.zeros((5, ROWS, COLUMNS)), drawn(cine, 1), points_of(cine), scene)
    segmentation = nodes["segmentation_ed"].GetSegmentation()
    names = [segmentation.GetNthSegment(i).GetName() for i in range(segmentation.GetNumberOfSegments())]
    assert names == ["RV", "LV myocardium", "LV cavity"]
    assert not reviewed_labels(nodes["segmentation_ed"], cine).any()
    geometry = segmentation.GetConversionParameter("Reference image geometry")
    assert geometry, "the Segment Editor would draw on a grid of its own"


def test_overlap_and_foreign_segments_are_told(scene):
    cine = cine_of("even")
    ed = np.zeros((5, ROWS, COLUMNS), np.uint8)
    ed[2, 10:20, 10:20] = 2
    frame = add_cine(cine, scene)["cine_frame"]
    node = add_review(cine, ed, ed, points_of(cine), scene, frame)["segmentation_ed"]
    segmentation = node.GetSegmentation()
    scratch = segmentation.AddEmptySegment("scratch", "scratch")
    np.testing.assert_array_equal(reviewed_labels(node, cine), ed)  # empty: no harm
    paint(node, scratch, ed == 0, cine)
    with pytest.raises(StudyError, match="'scratch' is none of RV, LV myocardium, LV cavity"):
        reviewed_labels(node, cine)
    segmentation.RemoveSegment(scratch)
    paint(node, "LV_cavity", ed == 2, cine)  # with overlap allowed
    with pytest.raises(StudyError, match="overlaps another"):
        reviewed_labels(node, cine)


def test_a_dragged_point_counts_where_it_was_dropped(scene):
    cine = cine_of("even")
    points = points_of(cine)
    nodes = add_review(cine, drawn(cine, 1), drawn(cine, 2), points, scene)
    node = nodes["rv_insertion_inferior"]
    target = np.array([7.25, 20.5])
    node.SetNthControlPointPositionWorld(2, cine.geometries[2].to_patient(target) * (-1, -1, 1))
    points[2, 1] = target
    np.testing.assert_allclose(reviewed_insertions(nodes, cine), points, atol=1e-9)
    # a point that is removed, and one that is not placed yet, are none
    node.RemoveNthControlPoint(0)
    points[0, 1] = np.nan
    node.UnsetNthControlPointPosition(0)
    points[1, 1] = np.nan
    np.testing.assert_allclose(reviewed_insertions(nodes, cine), points, atol=1e-9)


def test_points_that_cannot_count_are_told(scene):
    cine = cine_of("even")
    nodes = add_review(cine, drawn(cine, 1), drawn(cine, 2), points_of(cine), scene)
    node = nodes["rv_insertion_anterior"]
    second = cine.geometries[2].to_patient([3.0, 4.0]) * (-1, -1, 1)
    node.AddControlPointWorld(vtk.vtkVector3d(*second), "again")
    with pytest.raises(StudyError, match="slice 2 has two anterior"):
        reviewed_insertions(nodes, cine)
    node.SetNthControlPointPositionWorld(node.GetNumberOfControlPoints() - 1, 500.0, 0.0, 0.0)
    with pytest.raises(StudyError, match="outside the cine"):
        reviewed_insertions(nodes, cine)


@pytest.mark.parametrize("stack", ["even", "uneven and moved"])
def test_a_saved_scene_keeps_the_review(tmp_path, stack):
    cine, scene = cine_of(stack), headless_scene()
    ed, es, points = drawn(cine, 1), drawn(cine, 2), points_of(cine)
    frame = add_cine(cine, scene)["cine_frame"]
    names = {key: node.GetName() for key, node in add_review(cine, ed, es, points, scene, frame).items()}
    scene.SetRootDirectory(str(tmp_path))
    scene.SetURL(str(tmp_path / "review.mrml"))
    assert scene.WriteToMRB(str(tmp_path / "review.mrb"), None)
    scene.Clear(True)
    restored = load_scene(tmp_path / "review.mrb")
    nodes = {key: restored.GetFirstNodeByName(name) for key, name in names.items()}
    np.testing.assert_array_equal(reviewed_labels(nodes["segmentation_ed"], cine), ed)
    np.testing.assert_array_equal(reviewed_labels(nodes["segmentation_es"], cine), es)
    np.testing.assert_allclose(reviewed_insertions(nodes, cine), points, atol=1e-3)
    restored.Clear(True)


@pytest.mark.parametrize("stack", [s for s in STACKS if s != "even"])
def test_every_slice_has_a_plane_of_its_own(stack):
    cine = cine_of(stack)
    numbered = np.broadcast_to(np.arange(1, 6)[:, None, None], (5, ROWS, COLUMNS)).astype(np.uint8)
    grid = stack_grid(cine.geometries)
    assert grid.resampled
    assert set(np.unique(on_grid(numbered, cine.geometries, grid))) >= {1, 2, 3, 4, 5}
