"""Files on disk: numbers, place in the patient, labels and names, read by other libraries."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from T1DiffLogic.nrrd_files import (
    index_values,
    write_label_sequence,
    write_segmentation,
    write_stack,
)
from T1DiffLogic.stack_volume import on_grid, stack_grid


def place_of(geometry, row, column):
    """DICOM PS3.3 C.7.6.2.1.1, written out."""
    return (
        geometry.origin
        + row * geometry.spacing[0] * geometry.column_direction
        + (column * geometry.spacing[1] * geometry.row_direction)
    )


def test_uniform_stack_is_one_file_with_its_numbers_at_their_place(synthesis, tmp_path):
    geometries = synthesis.cine.geometries
    assert write_stack(synthesis.t1_ms, geometries, tmp_path, "t1_map", {"key": "value"}) == ["t1_map.nrrd"]
    image = sitk.ReadImage(str(tmp_path / "t1_map.nrrd"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), synthesis.t1_ms)
    assert image.GetPixelID() == sitk.sitkFloat32
    assert image.GetMetaData("key") == "value"
    for s, row, column in ((0, 0, 0), (8, 91, 103), (4, 10, 70)):
        found = image.TransformIndexToPhysicalPoint((column, row, s))
        np.testing.assert_allclose(found, place_of(geometries[s], row, column), atol=1e-4)


def test_uneven_stack_has_a_file_per_slice_and_a_resampled_volume_that_says_so(
    non_uniform_synthesis, tmp_path
):
    geometries, values = non_uniform_synthesis.cine.geometries, non_uniform_synthesis.t1_ms
    written = write_stack(values, geometries, tmp_path, "t1_map")
    assert written == ["t1_map.nrrd", *(f"slices/t1_map_{s:02d}.nrrd" for s in range(9))]
    for s, geometry in enumerate(geometries):
        image = sitk.ReadImage(str(tmp_path / written[1 + s]))
        assert "T1Diff_resampled" not in image.GetMetaDataKeys()
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image)[0], values[s])
        found = image.TransformIndexToPhysicalPoint((103, 91, 0))
        np.testing.assert_allclose(found, place_of(geometry, 91, 103), atol=1e-4)
    whole = sitk.ReadImage(str(tmp_path / "t1_map.nrrd"))
    assert "resampled" in whole.GetMetaData("T1Diff_resampled")
    # what lies at a point in the patient is what the nearest slice holds there
    for s in (0, 3, 6):
        point = place_of(geometries[s], 40, 60)
        assert whole[whole.TransformPhysicalPointToIndex(point)] == pytest.approx(values[s, 40, 60])


def test_resampling_never_mixes_labels_or_fills_wide_gaps(non_uniform_synthesis):
    import dataclasses

    geometries = list(non_uniform_synthesis.cine.geometries)
    # a slice 40 mm away: nothing was measured between
    geometries[8] = dataclasses.replace(
        geometries[8], origin=geometries[8].origin + 40 * geometries[8].normal
    )
    grid = stack_grid(tuple(geometries))
    labels = np.full((9, 92, 104), 3, np.uint8)
    labels[::2] = 1
    volume = on_grid(labels, tuple(geometries), grid)
    assert set(np.unique(volume)) == {0, 1, 3}
    empty = [k for k in range(len(volume)) if not volume[k].any()]
    assert len(empty) >= 2


def test_tilted_slices_are_found_on_the_even_grid(synthesis):
    """Brute force over all pixels: a voxel's value is that of the pixel nearest to it in space."""
    import dataclasses

    geometries = []
    for s, g in enumerate(synthesis.cine.geometries[:4]):
        angle = np.radians(0.4 * s)
        row = np.cos(angle) * g.row_direction + np.sin(angle) * g.normal
        geometries.append(dataclasses.replace(g, row_direction=row, shape=(20, 24), thickness_mm=30.0))
    rng = np.random.default_rng(3)
    values = rng.uniform(900, 1500, (4, 20, 24)).astype(np.float32)
    grid = stack_grid(tuple(geometries))
    assert grid.resampled
    volume = on_grid(values, tuple(geometries), grid)
    pixels = np.stack(np.meshgrid(range(20), range(24), indexing="ij"), axis=-1)
    points = np.stack([g.to_patient(pixels) for g in geometries]).reshape(-1, 3)
    filled = np.argwhere(volume > 0)
    for k, r, c in filled[rng.choice(len(filled), 60, replace=False)]:
        voxel = grid.origin + c * grid.axes[0] + r * grid.axes[1] + k * grid.axes[2]
        distance = np.linalg.norm(points - voxel, axis=1)
        candidates = values.reshape(-1)[distance < distance.min() + 0.1]
        assert volume[k, r, c] in candidates


def test_segmentation_file_names_its_segments(synthesis, tmp_path):
    labels = synthesis.segmentation.labels_ed
    write_segmentation(labels, synthesis.cine.geometries, tmp_path / "s.seg.nrrd")
    image = sitk.ReadImage(str(tmp_path / "s.seg.nrrd"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), labels)
    for index, (value, name) in enumerate([(1, "RV"), (2, "LV myocardium"), (3, "LV cavity")]):
        assert image.GetMetaData(f"Segment{index}_Name") == name
        assert image.GetMetaData(f"Segment{index}_LabelValue") == str(value)
        extent = [int(v) for v in image.GetMetaData(f"Segment{index}_Extent").split()]
        found = np.argwhere(labels == value)
        assert extent == [v for axis in (2, 1, 0) for v in (found[:, axis].min(), found[:, axis].max())]


def test_segmentation_and_sequence_open_in_slicer(synthesis, tmp_path):
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    from T1DiffLogic.scene import headless_scene

    labels, geometries = synthesis.segmentation.labels_ed, synthesis.cine.geometries
    scene = headless_scene()
    write_segmentation(labels, geometries, tmp_path / "s.seg.nrrd")
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(tmp_path / "s.seg.nrrd"))
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert storage.ReadData(node)
    segmentation = node.GetSegmentation()
    names = [segmentation.GetNthSegment(i).GetName() for i in range(3)]
    assert names == ["RV", "LV myocardium", "LV cavity"]
    values = [segmentation.GetNthSegment(i).GetLabelValue() for i in range(3)]
    assert values == [1, 2, 3]

    every = np.stack([np.roll(labels, p, axis=1) for p in range(12)], axis=1)
    path = tmp_path / "labels.seq.nrrd"
    write_label_sequence(every, geometries, synthesis.cine.trigger_ms, path)
    storage = scene.AddNewNodeByClass("vtkMRMLVolumeSequenceStorageNode")
    storage.SetFileName(str(path))
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode")
    assert storage.ReadData(sequence)
    assert sequence.GetNumberOfDataNodes() == 12
    assert (sequence.GetIndexName(), sequence.GetIndexUnit()) == ("TriggerTime", "ms")
    times = [float(sequence.GetNthIndexValue(p)) for p in range(12)]
    np.testing.assert_allclose(times, np.median(synthesis.cine.trigger_ms, axis=0), atol=1e-3)
    for p in (0, 5, 11):
        frame = sequence.GetNthDataNode(p)
        assert frame.IsA("vtkMRMLLabelMapVolumeNode")
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(frame), every[:, p])
    ras = np.array(frame.GetOrigin()) * (-1, -1, 1)
    np.testing.assert_allclose(ras, geometries[0].origin, atol=1e-4)
    scene.Clear(True)


def test_phases_without_ascending_times_stay_distinct():
    assert index_values(np.zeros((3, 4))) == ["0", "1", "2", "3"]
    assert index_values([[0.0, 40.25, 80.5], [0.0, 40.25, 80.5]]) == ["0", "40.25", "80.5"]
