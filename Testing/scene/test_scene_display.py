"""What a slice view draws, pixel by pixel, through Slicer's own slice pipeline."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install 't1diff[scene]')")

import slicer  # noqa: E402
import vtk  # noqa: E402
from vtk.util.numpy_support import vtk_to_numpy  # noqa: E402

from T1DiffLogic.report.colours import difference_table, lipari_table, table_index  # noqa: E402
from T1DiffLogic.scene import (  # noqa: E402
    add_aha_preview,
    add_difference,
    add_marks,
    add_results,
    add_to_scene,
    headless_scene,
    load_scene,
    remove_nodes,
    set_opacity,
    show_overlay,
    turn_to_volume,
    volumes,
)
from T1DiffLogic.stack_volume import stack_grid  # noqa: E402
from T1DiffLogic.study import RESEARCH_NOTICE, SliceGeometry  # noqa: E402

SIZE = 500


class View:
    """A slice view without a window."""

    def __init__(self, scene):
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(slicer.modules.application_logics[0])
        self.logic.SetMRMLScene(scene)
        self.node = self.logic.AddSliceNode("Red")
        self.node.SetDimensions(SIZE, SIZE, 1)
        self.composite = self.logic.GetSliceCompositeNode()

    def draw(self) -> np.ndarray:
        """(y up, x, RGBA) uint8 of all layers."""
        self.logic.UpdatePipeline()
        blend = self.logic.GetBlend()
        blend.Update()
        return vtk_to_numpy(blend.GetOutput().GetPointData().GetScalars()).reshape(SIZE, SIZE, -1)

    def at(self, points_lps) -> np.ndarray:
        """(..., RGB) 0…1 drawn at (..., 3) LPS mm."""
        ras_to_xy = np.linalg.inv(slicer.util.arrayFromVTKMatrix(self.node.GetXYToRAS()))
        points = np.asarray(points_lps) * (-1, -1, 1)
        x, y, z = np.moveaxis(points @ ras_to_xy[:3, :3].T + ras_to_xy[:3, 3], -1, 0)
        assert np.abs(z).max() < 0.51, "the points do not lie in the shown plane"
        x, y = np.rint(x).astype(int), np.rint(y).astype(int)
        return self.draw()[y, x, :3] / 255


@pytest.fixture
def scene():
    scene = headless_scene()
    yield scene
    scene.Clear(True)


@pytest.fixture
def shown(scene, synthesis):
    """A view of the middle LV slice of everything that was made."""
    view = View(scene)
    nodes = add_to_scene(synthesis, scene) | add_difference(synthesis, scene)
    show_overlay(nodes, opacity=1.0)
    turn_to_volume(view.node, nodes["cine_ed"], 4)
    return view, nodes


def pixels_of(synthesis, mask, s):
    """Every third pixel of a mask, as (n, 2) pixels and (n, 3) LPS mm."""
    pixels = np.argwhere(mask)[::3]
    return pixels, synthesis.cine.geometries[s].to_patient(pixels)


def test_map_is_drawn_in_its_colours_at_its_place_and_nowhere_else(shown, synthesis):
    view, _ = shown
    pixels, points = pixels_of(synthesis, synthesis.valid[4] > 0, 4)
    values = synthesis.t1_ms[4][tuple(pixels.T)]
    expected = lipari_table()[table_index(values, (700, 2000), values > 0)]
    assert len(pixels) > 1000
    # two table entries, for Slicer rounds to them its own way
    assert np.abs(view.at(points) - expected).max() < 0.05
    _, outside = pixels_of(synthesis, synthesis.valid[4] == 0, 4)
    grey = view.at(outside)
    assert np.ptp(grey, axis=-1).max() == 0


def test_opacity_lets_the_cine_through(shown, scene, synthesis):
    view, _ = shown
    _, points = pixels_of(synthesis, synthesis.aha[4] > 0, 4)
    opaque = view.at(points)
    set_opacity(scene, 0.0)
    cine = view.at(points)
    set_opacity(scene, 0.4)
    np.testing.assert_allclose(view.at(points), 0.4 * opaque + 0.6 * cine, atol=2 / 255)


def test_view_shows_the_image_as_the_scanner_does(scene):
    """On a transverse image: patient left on the right, anterior up, which is Slicer's axial view."""
    grid = stack_grid((SliceGeometry([-50, -60, 10], [1, 0, 0], [0, 1, 0], (1, 1), (40, 30)),))
    volume = volumes.add_volume(scene, "axial", np.zeros(grid.shape, np.uint8), grid)
    view = View(scene)
    turn_to_volume(view.node, volume)
    axial = vtk.vtkMatrix3x3()
    slicer.vtkMRMLSliceNode.GetAxialSliceToRASMatrix(axial)
    expected = np.array([[axial.GetElement(i, j) for j in range(3)] for i in range(3)])
    found = slicer.util.arrayFromVTKMatrix(view.node.GetSliceToRAS())
    np.testing.assert_allclose(found[:3, :3], expected, atol=1e-9)
    np.testing.assert_allclose(found[:3, 3], [50 - 14.5, 60 - 19.5, 10], atol=1e-9)


def test_view_follows_an_oblique_volume_under_a_transform(scene, synthesis):
    volume = add_to_scene(synthesis, scene)["cine_ed"]
    turned = vtk.vtkTransform()
    turned.RotateWXYZ(40, 1, -2, 0.5)
    turned.Translate(3, 4, 5)
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(turned.GetMatrix())
    volume.SetAndObserveTransformNodeID(transform.GetID())
    view = View(scene)
    turn_to_volume(view.node, volume, 2)
    g = synthesis.cine.geometries[2]
    # three pixels of the slice, in RAS under the transform, then in the view's own frame
    ras = np.array(
        [turned.TransformPoint(p) for p in g.to_patient([[20, 30], [20, 31], [21, 30]]) * (-1, -1, 1)]
    )
    to_view = np.linalg.inv(slicer.util.arrayFromVTKMatrix(view.node.GetSliceToRAS()))
    in_view = ras @ to_view[:3, :3].T + to_view[:3, 3]
    np.testing.assert_allclose(in_view[:, 2], 0, atol=1e-6)
    np.testing.assert_allclose(in_view[1] - in_view[0], [g.spacing[1], 0, 0], atol=1e-6)  # column: right
    np.testing.assert_allclose(in_view[2] - in_view[0], [0, -g.spacing[0], 0], atol=1e-6)  # row: down


def test_difference_is_white_at_zero_and_absent_where_a_map_is(scene, synthesis):
    native = synthesis.t1_ms.copy()
    native[4, :, 55:] += 250  # synthetic lower: blue
    native[4, :46, :55] -= 250 * (native[4, :46, :55] > 0)  # synthetic higher: red
    native[4, 60:] = 0
    made = type(synthesis)(
        **{f: getattr(synthesis, f) for f in synthesis.__dataclass_fields__} | {"native_ms": native}
    )
    view = View(scene)
    nodes = add_to_scene(made, scene) | add_difference(made, scene)
    show_overlay(nodes, 1.0, "difference")
    turn_to_volume(view.node, nodes["cine_ed"], 4)
    g = synthesis.cine.geometries[4]
    zero, low, high = view.at(g.to_patient([[52, 30], [40, 80], [20, 30]]))
    np.testing.assert_allclose(zero, difference_table()[128], atol=0.03)
    assert low[2] > low[0] + 0.2 and high[0] > high[2] + 0.2
    missing, outside = view.at(g.to_patient([[70, 50], [3, 3]]))
    assert np.ptp(missing) == 0 and np.ptp(outside) == 0
    legend = slicer.modules.colors.logic().GetColorLegendDisplayNode(nodes["difference"])
    assert "−" in legend.GetTitleText() and "research only" in legend.GetTitleText()


def test_results_can_be_taken_out_again(scene, synthesis):
    before = {scene.GetNthNode(i).GetID() for i in range(scene.GetNumberOfNodes())}
    nodes = add_results(synthesis, scene, {"segments": []})
    nodes |= add_difference(synthesis, scene) | add_marks(synthesis, scene)
    remove_nodes(nodes.values())
    assert {scene.GetNthNode(i).GetID() for i in range(scene.GetNumberOfNodes())} == before


def test_no_difference_without_a_native_map(scene, synthesis_without_native):
    assert add_difference(synthesis_without_native, scene) == {}


def test_flagged_slice_is_hatched_and_shows_no_value(shown, scene, synthesis):
    view, nodes = shown
    nodes |= add_marks(synthesis, scene)
    show_overlay(nodes, 1.0)
    turn_to_volume(view.node, nodes["cine_ed"], 7)
    g = synthesis.cine.geometries[7]
    rows, columns = np.mgrid[10:80, 10:90]
    drawn = view.at(g.to_patient(np.stack([rows, columns], -1)))
    assert np.ptp(drawn, axis=-1).max() < 0.02, "a flagged slice shows colours"
    stripes = np.abs(drawn - 0.85).max(axis=-1) < 0.02
    assert 0.1 < stripes.mean() < 0.5
    # diagonal: along a stripe nothing changes, across it does
    marks = slicer.util.arrayFromVolume(nodes["marks"])
    assert (marks[7, 1:, :-1] == marks[7, :-1, 1:]).all() and np.ptp(marks[7][0]) > 0
    np.testing.assert_array_equal(marks[:7], synthesis.aha[:7])
    # a slice outside the LV is not flagged, and not hatched
    assert not marks[8].any()


def test_aha_preview_follows_the_points(scene, synthesis):
    masks = synthesis.segmentation
    nodes = add_aha_preview(synthesis.cine, masks.labels_ed, masks.rv_insertions, scene)
    before = slicer.util.arrayFromVolume(nodes["marks"]).copy()
    assert set(np.unique(before)) == set(range(17))
    turned = masks.rv_insertions[:, ::-1]  # anterior and inferior changed over: the septum turns round
    again = add_aha_preview(synthesis.cine, masks.labels_ed, turned, scene, nodes["marks"])
    assert again["marks"] is nodes["marks"]
    after = slicer.util.arrayFromVolume(nodes["marks"])
    assert (before != after).sum() > 0.2 * np.count_nonzero(before)
    empty = np.zeros_like(masks.labels_ed)
    add_aha_preview(synthesis.cine, empty, masks.rv_insertions, scene, nodes["marks"])
    assert not slicer.util.arrayFromVolume(nodes["marks"]).any()


def test_results_alone_add_nothing_that_is_edited(scene, non_uniform_synthesis):
    """The module's scene holds the cine, contours and points already."""
    nodes = add_results(non_uniform_synthesis, scene, {"segments": []})
    for kind in ("Sequence", "SequenceBrowser", "Segmentation", "MarkupsFiducial"):
        assert not slicer.util.getNodesByClass(f"vtkMRML{kind}Node", scene)
    assert {"cine_ed_resampled", "t1_resampled", "native_legend", "aha", "table", "provenance"} <= set(nodes)
    assert add_to_scene(non_uniform_synthesis, scene).keys() >= nodes.keys() - {"table"}


def test_uneven_stack_is_shown_through_its_resampled_volumes(scene, non_uniform_synthesis):
    view = View(scene)
    nodes = add_to_scene(non_uniform_synthesis, scene)
    nodes |= add_difference(non_uniform_synthesis, scene) | add_marks(non_uniform_synthesis, scene)
    for layer in ("t1", "t1_sd", "native", "difference"):
        show_overlay(nodes, 0.5, layer)
        node = scene.GetNodeByID(view.composite.GetForegroundVolumeID())
        assert "resampled" in node.GetAttribute("T1Diff.Resampled")
    assert "resampled" in nodes["marks"].GetAttribute("T1Diff.Resampled")


def test_difference_and_marks_survive_a_saved_scene(tmp_path, synthesis):
    scene = headless_scene()
    nodes = add_to_scene(synthesis, scene) | add_difference(synthesis, scene) | add_marks(synthesis, scene)
    before = {key: slicer.util.arrayFromVolume(nodes[key]).copy() for key in ("difference", "marks")}
    names = {key: nodes[key].GetName() for key in before}
    scene.SetRootDirectory(str(tmp_path))
    scene.SetURL(str(tmp_path / "s.mrml"))
    assert scene.WriteToMRB(str(tmp_path / "s.mrb"), None)
    scene.Clear(True)
    restored = load_scene(tmp_path / "s.mrb")
    for key, name in names.items():
        node = restored.GetFirstNodeByName(name)
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), before[key])
        assert node.GetAttribute("T1Diff.Notice") == RESEARCH_NOTICE
    colours = restored.GetFirstNodeByName("AHA segments, not judged").GetDisplayNode().GetColorNode()
    assert colours.GetColorName(17) == "not judged" and colours.GetNumberOfColors() == 18
    display = restored.GetFirstNodeByName(names["difference"]).GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (-300, 300)
    assert display.GetApplyThreshold() and -32768 < display.GetLowerThreshold() < -5000
    restored.Clear(True)
