"""What add_to_scene makes, saved to an .mrb and read back into another scene."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install 't1diff[scene]')")

import slicer  # noqa: E402
from vtk.util.numpy_support import vtk_to_numpy  # noqa: E402

from T1DiffLogic.errors import StudyError  # noqa: E402
from T1DiffLogic.report.colours import lipari_table  # noqa: E402
from T1DiffLogic.scene import add_to_scene, headless_scene, load_scene, save_scene  # noqa: E402
from T1DiffLogic.study import RESEARCH_NOTICE  # noqa: E402


def table_rows():
    rows = [
        {"id": i, "name": f"segment {i}", "mean_ms": 1200.25 + i, "sd_ms": 30.5, "median_ms": 1199.0}
        | {"n": 40 + i, "uncertainty_ms": 7.5, "scar_fraction": 0.25, "thickening_percent": 55.5}
        for i in range(1, 17)
    ]
    rows[4] |= dict.fromkeys(("mean_ms", "sd_ms", "median_ms", "uncertainty_ms", "scar_fraction")) | {"n": 0}
    return rows


@pytest.fixture(scope="module")
def restored(synthesis, tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "scene.mrb"
    save_scene(synthesis, path, {"segments": table_rows()})
    return load_scene(path)


def only(scene, kind, name):
    found = scene.GetNodesByClassByName(kind, name)
    assert found.GetNumberOfItems() == 1, f"{found.GetNumberOfItems()} × {name}"
    return found.GetItemAsObject(0)


def ras_of(node, ijk):
    """(N, 3) column, row, slice -> (N, 3) RAS mm, by the node's own matrix."""
    matrix = slicer.util.vtkMatrixFromArray(np.eye(4))
    node.GetIJKToRASMatrix(matrix)
    matrix = slicer.util.arrayFromVTKMatrix(matrix)
    return np.asarray(ijk) @ matrix[:3, :3].T + matrix[:3, 3]


def expected_ras(geometries, ijk):
    """The same by DICOM's own formula, slice by slice, with the sign of x and y turned."""
    points = []
    for column, row, s in ijk:
        g = geometries[s]
        lps = g.origin + row * g.spacing[0] * g.column_direction + column * g.spacing[1] * g.row_direction
        points.append([-lps[0], -lps[1], lps[2]])
    return np.array(points)


CORNERS = [(0, 0, 0), (103, 0, 0), (0, 91, 0), (50, 40, 4), (103, 91, 8)]


@pytest.mark.parametrize(
    ("name", "attribute"),
    [("Synthetic T1", "t1_ms"), ("Synthetic T1 SD", "sd_ms"), ("Native T1 aligned", "native_ms")],
)
def test_maps_keep_numbers_and_place(restored, synthesis, name, attribute):
    node = only(restored, "vtkMRMLScalarVolumeNode", name)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), getattr(synthesis, attribute))
    np.testing.assert_allclose(
        ras_of(node, CORNERS), expected_ras(synthesis.cine.geometries, CORNERS), atol=1e-4
    )
    assert node.GetAttribute("T1Diff.Notice") == RESEARCH_NOTICE
    assert node.GetVoxelValueUnits().GetCodeValue() == "ms"


def test_t1_is_shown_in_lipari_over_the_consensus_window(restored):
    display = only(restored, "vtkMRMLScalarVolumeNode", "Synthetic T1").GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (700, 2000)
    assert display.GetApplyThreshold() and 0 < display.GetLowerThreshold() <= 1
    colours = display.GetColorNode()
    assert colours.GetNumberOfColors() == 256
    assert not colours.GetHideFromEditors(), "Slicer does not save hidden colour nodes"
    shown = np.array([[colours.GetLookupTable().GetTableValue(i)[c] for c in range(3)] for i in range(256)])
    np.testing.assert_allclose(shown[1:], lipari_table()[1:], atol=1 / 255)
    # what lies under the window must not look like a hole
    np.testing.assert_allclose(shown[0], lipari_table()[1], atol=1 / 255)


def test_legend_names_the_unit_and_belongs_to_the_map(restored):
    node = only(restored, "vtkMRMLScalarVolumeNode", "Synthetic T1")
    legend = slicer.modules.colors.logic().GetColorLegendDisplayNode(node)
    assert legend is not None
    assert "ms" in legend.GetTitleText() and "research only" in legend.GetTitleText()


def test_cine_sequence_keeps_every_phase_and_its_time(restored, synthesis):
    sequence = only(restored, "vtkMRMLSequenceNode", "Cine")
    cine = synthesis.cine
    assert sequence.GetNumberOfDataNodes() == cine.n_phases
    assert (sequence.GetIndexName(), sequence.GetIndexUnit()) == ("TriggerTime", "ms")
    times = [float(sequence.GetNthIndexValue(p)) for p in range(cine.n_phases)]
    np.testing.assert_allclose(times, np.median(cine.trigger_ms, axis=0), atol=1e-3)
    for phase in range(cine.n_phases):
        frame = sequence.GetNthDataNode(phase)
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(frame), cine.images[:, phase])
    np.testing.assert_allclose(ras_of(frame, CORNERS), expected_ras(cine.geometries, CORNERS), atol=1e-4)


def test_browser_follows_the_sequence(restored, synthesis):
    browser = only(restored, "vtkMRMLSequenceBrowserNode", "Cine browser")
    sequence = only(restored, "vtkMRMLSequenceNode", "Cine")
    assert browser.GetNumberOfItems() == synthesis.cine.n_phases
    browser.SetSelectedItemNumber(synthesis.phases.es)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    shown = slicer.util.arrayFromVolume(browser.GetProxyNode(sequence))
    np.testing.assert_array_equal(shown, synthesis.cine.images[:, synthesis.phases.es])


def test_segmentation_keeps_its_segments(restored, synthesis):
    node = only(restored, "vtkMRMLSegmentationNode", "Segmentation ED")
    segmentation = node.GetSegmentation()
    reference = only(restored, "vtkMRMLScalarVolumeNode", "Cine ED")
    names = {1: "RV", 2: "LV myocardium", 3: "LV cavity"}
    assert segmentation.GetNumberOfSegments() == 3
    labels = synthesis.segmentation.labels_ed
    for index, (value, name) in enumerate(names.items()):
        segment = segmentation.GetNthSegment(index)
        assert segment.GetName() == name
        image = slicer.vtkOrientedImageData()
        node.GetBinaryLabelmapRepresentation(segmentation.GetNthSegmentID(index), image)
        # count and centre of mass in RAS, by the image's own geometry
        extent = image.GetExtent()
        array = vtk_to_numpy(image.GetPointData().GetScalars())
        shape = [extent[5] - extent[4] + 1, extent[3] - extent[2] + 1, extent[1] - extent[0] + 1]
        array = array.reshape(shape)
        assert np.count_nonzero(array) == np.count_nonzero(labels == value)
        found = np.argwhere(array)[:, ::-1] + [extent[0], extent[2], extent[4]]
        matrix = slicer.util.vtkMatrixFromArray(np.eye(4))
        image.GetImageToWorldMatrix(matrix)
        matrix = slicer.util.arrayFromVTKMatrix(matrix)
        centre = (found @ matrix[:3, :3].T + matrix[:3, 3]).mean(axis=0)
        expected = ras_of(reference, np.argwhere(labels == value)[:, ::-1]).mean(axis=0)
        np.testing.assert_allclose(centre, expected, atol=1e-3)


def test_aha_label_map(restored, synthesis):
    node = only(restored, "vtkMRMLLabelMapVolumeNode", "AHA segments")
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), synthesis.aha)


@pytest.mark.parametrize(("which", "name"), [(0, "anterior"), (1, "inferior")])
def test_insertion_points_lie_where_the_pixels_are(restored, synthesis, which, name):
    node = only(restored, "vtkMRMLMarkupsFiducialNode", f"RV insertion {name}")
    pixels = synthesis.segmentation.rv_insertions[:, which]
    with_point = np.flatnonzero(np.isfinite(pixels[:, 0]))
    assert node.GetNumberOfControlPoints() == len(with_point)
    found = [node.GetNthControlPointPositionWorld(i) for i in range(len(with_point))]
    ijk = [(pixels[s, 1], pixels[s, 0], s) for s in with_point]
    np.testing.assert_allclose(found, expected_ras(synthesis.cine.geometries, ijk), atol=1e-3)


def test_table_rows_and_empty_segment(restored):
    table = only(restored, "vtkMRMLTableNode", "AHA-16 synthetic T1").GetTable()
    assert (table.GetNumberOfRows(), table.GetNumberOfColumns()) == (16, 9)
    assert table.GetValueByName(6, "mean_ms").ToDouble() == pytest.approx(1207.25)
    assert table.GetValueByName(6, "name").ToString() == "segment 7"
    assert table.GetValueByName(4, "n").ToInt() == 0
    assert np.isnan(table.GetValueByName(4, "mean_ms").ToDouble())


def test_provenance_text(restored, synthesis):
    text = json.loads(only(restored, "vtkMRMLTextNode", "T1Diff provenance").GetText())
    assert text["provenance"]["notice"] == RESEARCH_NOTICE
    assert text["provenance"]["seed"] == synthesis.provenance["seed"]
    assert text["phases"] == {"ed": 0, "es": 6, "count": 12}


def test_uneven_stack_survives_saving(non_uniform_synthesis, tmp_path):
    save_scene(non_uniform_synthesis, tmp_path / "scene.mrb")
    scene = load_scene(tmp_path / "scene.mrb")
    whole = only(scene, "vtkMRMLScalarVolumeNode", "Synthetic T1 (resampled)")
    assert "resampled" in whole.GetAttribute("T1Diff.Resampled")
    piece = only(scene, "vtkMRMLScalarVolumeNode", "Synthetic T1 slice 6")
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(piece)[0], non_uniform_synthesis.t1_ms[6])
    assert only(scene, "vtkMRMLSequenceNode", "Cine slice 6").GetNumberOfDataNodes() == 12


def test_unwritable_scene_is_told_in_one_sentence(synthesis, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StudyError, match="could not be written"):
        save_scene(synthesis, tmp_path / "file" / "scene.mrb")


def test_uneven_stack_has_exact_slices_and_a_volume_that_says_it_is_resampled(non_uniform_synthesis):
    scene = headless_scene()
    nodes = add_to_scene(non_uniform_synthesis, scene)
    geometries = non_uniform_synthesis.cine.geometries
    assert len(nodes["t1"]) == len(nodes["cine"]) == len(geometries)
    for s, node in enumerate(nodes["t1"]):
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(node)[0], non_uniform_synthesis.t1_ms[s])
        found = ras_of(node, [(0, 0, 0), (103, 91, 0)])
        np.testing.assert_allclose(found, expected_ras(geometries, [(0, 0, s), (103, 91, s)]), atol=1e-6)
    assert "resampled" in nodes["t1_resampled"].GetAttribute("T1Diff.Resampled")
    assert "table" not in nodes
    scene.Clear(True)
