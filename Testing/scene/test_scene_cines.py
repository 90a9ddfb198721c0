"""Cines found and read in scenes as the importers leave them, against the DICOM files they came from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install 't1diff[scene]')")

import dicom_cases as cases  # noqa: E402
import scene_importers as importers  # noqa: E402
import slicer  # noqa: E402
import vtk  # noqa: E402

from T1DiffLogic.dicom import cine as dicom_cine  # noqa: E402
from T1DiffLogic.errors import StudyError  # noqa: E402
from T1DiffLogic.phantom.dicom_writer import write_cine  # noqa: E402
from T1DiffLogic.scene import (  # noqa: E402
    add_cine,
    find_cines,
    headless_scene,
    load_scene,
    read_cine,
    remove_cine,
    t1_map_of,
    volumes,
)
from T1DiffLogic.stack_volume import stack_grid  # noqa: E402
from T1DiffLogic.study import RESEARCH_NOTICE, Cine, CineSource  # noqa: E402

ROOT = Path(__file__).parents[2]
EVEN = (0.0, 9.0, 18.0, 27.0)


@pytest.fixture
def scene():
    scene = headless_scene()
    yield scene
    scene.Clear(True)


def as_placed(cine):
    """(S, 4, 3) LPS mm of the corners of each slice."""
    rows, columns = cine.images.shape[2:]
    corners = np.array([[0, 0], [0, columns - 1], [rows - 1, 0], [rows - 1, columns - 1]])
    return np.stack([g.to_patient(corners) for g in cine.geometries])


@pytest.mark.parametrize("dialect", ["philips", "ge", "siemens"])
def test_imported_image_sequences_are_the_cine_of_the_files(scene, tmp_path, dialect):
    """Philips numbers instances over slices within a phase; Siemens has a series per slice."""
    paths = write_cine(cases.smooth_cine(), tmp_path, dialect, extras=False)
    made = importers.image_sequences(paths, scene)
    assert len(made) == (5 if dialect == "siemens" else 1)
    expected = dicom_cine.read_cine(tmp_path)

    found = find_cines(scene)
    assert [(c.n_slices, c.n_phases, c.short_axis) for c in found] == [(5, 8, True)]
    assert "5 slices × 8 phases" in found[0].sentence and "trigger time" in found[0].sentence
    assert {n.GetID() for n in found[0].nodes} == {sequence.GetID() for sequence, _ in made}
    for source in (found[0], [browser for _, browser in made]):
        cine = read_cine(source)
        np.testing.assert_allclose(as_placed(cine), as_placed(expected), atol=1e-3)
        np.testing.assert_allclose(cine.images, expected.images, rtol=1e-5, atol=1e-3)
        np.testing.assert_array_equal(cine.trigger_ms, expected.trigger_ms)


def test_long_axis_beside_the_stack_is_told_apart(scene, tmp_path):
    write_cine(cases.smooth_cine(), tmp_path, "siemens")
    paths = [p for p in tmp_path.rglob("*") if p.is_file()]
    importers.image_sequences(paths, scene)
    found = find_cines(scene)
    assert (found[0].n_slices, found[0].short_axis) == (5, True)
    assert [c.short_axis for c in found[1:]] == [False, False]
    with pytest.raises(StudyError, match="no short-axis cine"):
        read_cine(list(found[1].nodes))


def test_missing_trigger_times_are_looked_up_or_said_to_be_missing(scene, tmp_path):
    paths = write_cine(cases.smooth_cine(), tmp_path, "ge", extras=False)
    importers.image_sequences(paths, scene, trigger_times=False)
    files = {(h := pydicom.dcmread(p, stop_before_pixels=True)).SOPInstanceUID: h for p in paths}

    def headers(uid, tag):
        element = files[uid].get(tuple(int(part, 16) for part in tag.split(",")))
        return "" if element is None else str(element.value)

    expected = dicom_cine.read_cine(tmp_path)
    known = read_cine(find_cines(scene, headers)[0], headers)
    np.testing.assert_array_equal(known.trigger_ms, expected.trigger_ms)
    assert known.source.field_strength_t == expected.source.field_strength_t == 3.0
    assert known.source.vendor == expected.source.vendor
    assert any("DICOM database" in note for note in known.source.notes)

    unknown = read_cine(find_cines(scene)[0])
    np.testing.assert_allclose(unknown.images, expected.images, rtol=1e-5, atol=1e-3)
    assert unknown.source.field_strength_t is None
    assert any("TriggerTime" in note for note in unknown.source.notes)
    assert any("1000 ms" in note for note in unknown.source.notes)


def whole(cine) -> Cine:
    """With values that int16 holds."""
    return Cine(np.rint(cine.images), cine.geometries, cine.trigger_ms, cine.source)


def test_multi_volume_keeps_its_trigger_times(scene):
    cine = whole(cases.smooth_cine(positions=EVEN))
    node = importers.multi_volume(cine, scene)
    found = find_cines(scene)
    assert [(c.nodes, c.n_slices, c.n_phases) for c in found] == [((node,), 4, 8)]
    back = read_cine(node)
    np.testing.assert_array_equal(back.images, cine.images)
    np.testing.assert_array_equal(back.trigger_ms, cine.trigger_ms)
    np.testing.assert_allclose(as_placed(back), as_placed(cine), atol=1e-6)


def test_multi_volume_by_another_tag_has_no_trigger_times(scene):
    cine = whole(cases.smooth_cine(positions=EVEN))
    back = read_cine(importers.multi_volume(cine, scene, tag="TemporalPositionIdentifier", unit="count"))
    np.testing.assert_array_equal(back.images, cine.images)
    np.testing.assert_allclose(back.trigger_ms[0], np.arange(8) * 125.0)
    assert any("TemporalPositionIdentifier" in note for note in back.source.notes)


@pytest.mark.parametrize(("tag", "known"), [("AcquisitionTime", True), ("Time", False)])
def test_multi_volume_times_are_cardiac_only_if_their_tag_is(scene, tag, known):
    """'Time' is the importer's count of repetition times, which says nothing of the cardiac cycle."""
    cine = whole(cases.smooth_cine(positions=EVEN))
    back = read_cine(importers.multi_volume(cine, scene, tag=tag))
    times = cine.trigger_ms[0] - cine.trigger_ms[0, 0] if known else np.arange(8) * 125.0
    np.testing.assert_allclose(back.trigger_ms[0], times)


def test_multi_volume_whose_labels_do_not_count_its_frames_is_refused(scene):
    node = importers.multi_volume(cases.smooth_cine(positions=EVEN), scene)
    node.SetAttribute("MultiVolume.FrameLabels", "0,50,100")
    assert find_cines(scene) == []
    with pytest.raises(StudyError, match="8 frames and 3 frame labels"):
        read_cine(node)


def test_sequence_of_volumes_by_frame_number_takes_an_assumed_cycle(scene):
    cine = cases.smooth_cine(positions=EVEN)
    sequence, browser = importers.volume_sequence(cine, scene)
    for source in (sequence, browser, browser.GetProxyNode(sequence)):
        back = read_cine(source)
        np.testing.assert_array_equal(back.images, cine.images)
        np.testing.assert_allclose(back.trigger_ms[0], np.arange(8) * 125.0)
        np.testing.assert_allclose(as_placed(back), as_placed(cine), atol=1e-6)


def timed(uniform: bool) -> Cine:
    """Each slice with times of its own, a source, and a thickness that is not the distance of slices."""
    cine = cases.smooth_cine(positions=EVEN if uniform else cases.POSITIONS_MM)
    times = cine.trigger_ms + np.linspace(0, 7.25, cine.n_slices)[:, None] ** 2
    source = CineSource("/home/someone", "GE", 1.5, 63.5, (("a",),), ("Set aside.",), ("A note.",))
    return Cine(np.rint(cine.images), cine.geometries, times, source)


def assert_same(back: Cine, cine: Cine):
    np.testing.assert_array_equal(back.images, cine.images)
    np.testing.assert_array_equal(back.trigger_ms, cine.trigger_ms)
    np.testing.assert_allclose(as_placed(back), as_placed(cine), atol=1e-6)
    assert [g.thickness_mm for g in back.geometries] == [8.0] * cine.n_slices
    for name in ("vendor", "field_strength_t", "heart_rate_bpm", "ignored", "notes"):
        assert getattr(back.source, name) == getattr(cine.source, name), name


@pytest.mark.parametrize("uniform", [True, False])
def test_own_cine_comes_back_whole(scene, uniform):
    cine = timed(uniform)
    nodes = add_cine(cine, scene, phase=3)
    found = find_cines(scene)
    assert [(c.n_slices, c.n_phases) for c in found] == [(cine.n_slices, 8)]
    for source in (found[0], nodes["cine_browser"], nodes["cine_frame"], nodes["cine"]):
        assert_same(read_cine(source), cine)
    frame = nodes["cine_frame"]
    assert frame.GetDisplayNode() is not None
    for phase in (0, 5, 3):  # what the browser shows says what it is, however it moves on
        nodes["cine_browser"].SetSelectedItemNumber(phase)
        assert frame.GetAttribute("T1Diff.Notice") == RESEARCH_NOTICE
        assert ("resampled" in (frame.GetAttribute("T1Diff.Resampled") or "")) is not uniform
    if uniform:
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(frame), cine.images[:, 3])
    for sequence in slicer.util.getNodesByClass("vtkMRMLSequenceNode", scene):
        assert "/home/someone" not in (sequence.GetAttribute("T1Diff.Cine") or "")


@pytest.mark.parametrize("uniform", [True, False])
def test_own_cine_survives_a_saved_scene(tmp_path, uniform):
    cine, scene = timed(uniform), headless_scene()
    add_cine(cine, scene)
    scene.SetRootDirectory(str(tmp_path))
    scene.SetURL(str(tmp_path / "cine.mrml"))
    assert scene.WriteToMRB(str(tmp_path / "cine.mrb"), None)
    scene.Clear(True)
    restored = load_scene(tmp_path / "cine.mrb")
    (found,) = find_cines(restored)
    assert_same(read_cine(found), cine)
    restored.Clear(True)


@pytest.mark.parametrize("uniform", [True, False])
def test_removed_cine_leaves_nothing_behind(scene, uniform):
    other = add_cine(cases.smooth_cine(seed=4), scene)
    before = {scene.GetNthNode(i).GetID() for i in range(scene.GetNumberOfNodes())}
    remove_cine(add_cine(timed(uniform), scene)["cine_browser"])
    after = {scene.GetNthNode(i).GetID() for i in range(scene.GetNumberOfNodes())}
    assert after == before
    assert read_cine(other["cine_browser"]).n_slices == 5


def test_two_cines_in_one_scene_are_not_mixed(scene, tmp_path):
    """Not even on the same slices: an own copy lies beside what the importer made."""
    cine = timed(False)
    add_cine(cine, scene)
    importers.image_sequences(write_cine(cine, tmp_path, "siemens", extras=False), scene)
    found = find_cines(scene)
    assert [(c.n_slices, len(c.nodes)) for c in found] == [(5, 5), (5, 5)]
    assert {c.name.startswith("Cine slice") for c in found} == {True, False}
    for candidate in found:
        names = {node.GetName().startswith("Cine slice") for node in candidate.nodes}
        assert names == {candidate.name.startswith("Cine slice")}
        assert not candidate.stack.replaced


def test_cine_and_review_need_nothing_that_slicer_does_not_bring():
    """Before anything is installed into Slicer: load, find, read, review, table."""
    code = (
        "import sys\n"
        "for name in ('torch', 'cmcrameri', 'matplotlib', 'safetensors'): sys.modules[name] = None\n"
        f"sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'Testing' / 'unit')!r}]\n"
        "import numpy as np\n"
        "from dicom_cases import smooth_cine\n"
        "from T1DiffLogic import scene as room\n"
        "cine, scene = smooth_cine(), room.headless_scene()\n"
        "room.add_cine(cine, scene)\n"
        "back = room.read_cine(room.find_cines(scene)[0])\n"
        "labels = np.ones(back.images[:, 0].shape, np.uint8)\n"
        "nodes = room.add_review(back, labels, labels, np.full((5, 2, 2), 9.0), scene)\n"
        "assert (room.reviewed_labels(nodes['segmentation_ed'], back) == 1).all()\n"
        "room.add_aha_preview(back, labels, room.reviewed_insertions(nodes, back), scene)\n"
        "room.add_area_curve(back.trigger_ms[0], np.ones(8), 0, 3, scene)\n"
        "scene.Clear(True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_linear_transform_moves_the_cine_another_is_refused(scene):
    cine = timed(True)
    nodes = add_cine(cine, scene)
    turned = vtk.vtkTransform()
    turned.RotateWXYZ(30, 1, 2, 3)
    turned.Translate(5, -7, 11)
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(turned.GetMatrix())
    nodes["cine_frame"].SetAndObserveTransformNodeID(transform.GetID())
    back = read_cine(nodes["cine"])
    ras = as_placed(cine).reshape(-1, 3) * (-1, -1, 1)
    expected = np.array([turned.TransformPoint(p) for p in ras]) * (-1, -1, 1)
    np.testing.assert_allclose(as_placed(back).reshape(-1, 3), expected, atol=1e-6)

    bent = scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
    grid = vtk.vtkThinPlateSplineTransform()
    points = vtk.vtkPoints()
    for p in np.eye(4)[:, :3] * 50:
        points.InsertNextPoint(p)
    grid.SetSourceLandmarks(points)
    grid.SetTargetLandmarks(points)
    bent.SetAndObserveTransformToParent(grid)
    nodes["cine_frame"].SetAndObserveTransformNodeID(bent.GetID())
    with pytest.raises(StudyError, match="not linear"):
        read_cine(nodes["cine"])


def test_other_sequences_are_no_cine(scene):
    cine = timed(True)
    grid = stack_grid(cine.geometries)
    labels = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "labels")
    node = slicer.vtkMRMLLabelMapVolumeNode()
    slicer.util.updateVolumeFromArray(node, np.ones(grid.shape, np.uint8))
    for phase in range(3):
        labels.SetDataNodeAtValue(node, str(phase))
    transforms = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "positions")
    for phase in range(3):
        transforms.SetDataNodeAtValue(slicer.vtkMRMLLinearTransformNode(), str(phase))
    assert find_cines(scene) == []
    for wrong in (labels, transforms, volumes.add_volume(scene, "T1", np.ones(grid.shape, np.float32), grid)):
        with pytest.raises(StudyError, match="holds no cine"):
            read_cine(wrong)
    with pytest.raises(StudyError, match="no node was given"):
        read_cine([])


def test_t1_map_of_volumes(scene):
    t1 = cases.t1_slices(positions=EVEN)
    node = volumes.add_volume(scene, "T1", t1.values_ms, stack_grid(t1.geometries))
    back = t1_map_of(node)
    np.testing.assert_array_equal(back.values_ms, np.maximum(t1.values_ms, 0))
    np.testing.assert_allclose(as_placed_t1(back), as_placed_t1(t1), atol=1e-6)

    seconds = volumes.add_volume(scene, "T1", t1.values_ms / 1000, stack_grid(t1.geometries))
    scaled = t1_map_of(seconds)
    np.testing.assert_allclose(scaled.values_ms, np.maximum(t1.values_ms, 0), rtol=1e-4)
    assert "× 1000" in scaled.notes[0]


def as_placed_t1(t1):
    return np.stack([[g.to_patient([0, 0]), g.to_patient([39, 47])] for g in t1.geometries])


def test_t1_map_of_single_slices_in_any_order_and_of_wrong_volumes(scene):
    t1 = cases.t1_slices()
    nodes = []
    for geometry, values in reversed(list(zip(t1.geometries, t1.values_ms))):
        nodes.append(volumes.add_volume(scene, "T1", values[None], stack_grid((geometry,))))
    back = t1_map_of(nodes)
    np.testing.assert_array_equal(back.values_ms, np.maximum(t1.values_ms, 0))
    np.testing.assert_allclose(as_placed_t1(back), as_placed_t1(t1), atol=1e-6)

    noise = volumes.add_volume(
        scene, "noise", np.ones((3, 40, 48), np.float32), stack_grid(t1.geometries[:3])
    )
    with pytest.raises(StudyError, match="no plausible scale"):
        t1_map_of(noise)
    coloured = volumes.add_volume(
        scene,
        "shot",
        np.zeros((3, 40, 48, 3), np.uint8),
        stack_grid(t1.geometries[:3]),
        "vtkMRMLVectorVolumeNode",
    )
    with pytest.raises(StudyError, match="no grey volume"):
        t1_map_of(coloured)
