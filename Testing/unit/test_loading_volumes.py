"""4D NIfTI and sequence NRRD against an independent reader and hand-written headers."""

from __future__ import annotations

import gzip

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_cases import oblique_geometries, t1_slices

from T1DiffLogic import StudyError, load_cine, load_t1_map

POSITIONS = (0.0, 8.0, 16.0, 24.0)
GEOMETRIES = oblique_geometries(rows=10, columns=12, positions=POSITIONS)
TIMES = np.array([5.0, 60, 130, 210, 300, 420])
# (S, P, R, C), every voxel another value
IMAGES = np.arange(4 * 6 * 10 * 12).reshape(4, 6, 10, 12).astype(np.int16)


def affine_lps() -> np.ndarray:
    """Columns: step of the column index, of the row index, of the slice; origin. LPS mm."""
    g = GEOMETRIES[0]
    matrix = np.eye(4)
    matrix[:3, 0] = g.row_direction * g.spacing[1]
    matrix[:3, 1] = g.column_direction * g.spacing[0]
    matrix[:3, 2] = g.normal * 8.0
    matrix[:3, 3] = g.origin
    return matrix


def assert_is_the_cine(cine, times=TIMES):
    assert np.array_equal(cine.images, IMAGES)
    corners = np.array([[0, 0], [0, 11], [9, 0]])
    for own, other in zip(cine.geometries, GEOMETRIES):
        assert np.abs(own.to_patient(corners) - other.to_patient(corners)).max() < 1e-3
    assert np.allclose(cine.trigger_ms, times, atol=1e-3)


def write_nifti(path, step, unit, flip=False):
    affine = np.diag([-1.0, -1, 1, 1]) @ affine_lps()  # LPS -> RAS
    data = IMAGES.transpose(3, 2, 0, 1)  # column, row, slice, phase
    if flip:  # the same voxels stored with the slice axis reversed: a left-handed grid
        data = data[:, :, ::-1]
        affine = affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 3], [0, 0, 0, 1.0]])
    image = nibabel.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm", unit)
    image.header.set_zooms([*image.header.get_zooms()[:3], step])
    nibabel.save(image, path)


@pytest.mark.parametrize("name", ["cine.nii", "cine.nii.gz"])
@pytest.mark.parametrize(
    "step, unit", [(35.0, "msec"), (0.035, "sec"), (35000.0, "usec"), (0.035, "unknown")]
)
def test_nifti_geometry_and_time_units(tmp_path, name, step, unit):
    write_nifti(tmp_path / name, step, unit)
    cine = load_cine(tmp_path / name)
    assert_is_the_cine(cine, 35.0 * np.arange(6))
    assert cine.is_uniform()
    assert any("pixdim[4] = 35 ms" in n for n in cine.source.notes)


def test_nifti_with_reversed_slices_is_sorted_along_the_normal(tmp_path):
    write_nifti(tmp_path / "cine.nii.gz", 35.0, "msec", flip=True)
    assert_is_the_cine(load_cine(tmp_path / "cine.nii.gz"), 35.0 * np.arange(6))


def test_nifti_without_time_step_says_so(tmp_path):
    write_nifti(tmp_path / "cine.nii.gz", 1.0, "sec")
    cine = load_cine(tmp_path / "cine.nii.gz")
    assert np.allclose(cine.trigger_ms[0], np.arange(6) * 1000 / 6)
    assert any("1000 ms in equal parts is assumed" in n for n in cine.source.notes)


def write_sequence(path, axis, kind="list", lines=(), ras=True):
    """A Slicer-like sequence NRRD with its time axis first (0) or last (3)."""
    matrix = (np.diag([-1.0, -1, 1, 1]) if ras else np.eye(4)) @ affine_lps()
    vectors = ["(" + ",".join(f"{v:.17g}" for v in matrix[:3, k]) + ")" for k in range(4)]
    directions, kinds, sizes = vectors[:3], ["domain"] * 3, ["12", "10", "4"]
    directions.insert(axis, "none")
    kinds.insert(axis, kind)
    sizes.insert(axis, "6")
    # NRRD lists the fastest axis first, NumPy the slowest.
    data = IMAGES.transpose(0, 2, 3, 1) if axis == 0 else IMAGES.transpose(1, 0, 2, 3)
    header = [
        "NRRD0004",
        "# Complete NRRD file format specification at:",
        "type: short",
        "dimension: 4",
        f"space: {'right-anterior' if ras else 'left-posterior'}-superior",
        f"sizes: {' '.join(sizes)}",
        f"space directions: {' '.join(directions)}",
        f"kinds: {' '.join(kinds)}",
        "endian: little",
        "encoding: gzip",
        f"space origin: {vectors[3]}",
        *lines,
    ]
    path.write_bytes(("\n".join(header) + "\n\n").encode() + gzip.compress(data.astype("<i2").tobytes()))


def index_lines(axis, values, label="time", unit=None):
    blanks = [""] * 4
    labels = blanks.copy()
    labels[axis] = label
    lines = ["labels: " + " ".join(f'"{v}"' for v in labels)]
    if unit:
        units = blanks.copy()
        units[axis] = unit
        lines.append("units: " + " ".join(f'"{v}"' for v in units))
    values = " ".join(f"{v:g}" for v in values)
    return [*lines, f"axis {axis} index type:=numeric", f"axis {axis} index values:={values}"]


@pytest.mark.parametrize("ras", [True, False])
@pytest.mark.parametrize("axis, kind", [(0, "list"), (3, "list"), (3, "time")])
def test_sequence_nrrd_with_either_axis_order(tmp_path, axis, kind, ras):
    path = tmp_path / "cine.seq.nrrd"
    write_sequence(path, axis, kind, index_lines(axis, TIMES, unit="ms"), ras)
    assert_is_the_cine(load_cine(path))


@pytest.mark.parametrize("kind", ["list", "time"])
def test_declared_sizes_beyond_reason_are_refused_unread(tmp_path, kind):
    path = tmp_path / "cine.seq.nrrd"
    write_sequence(path, 3, kind)
    path.write_bytes(path.read_bytes().replace(b"sizes: 12 10 4 6", b"sizes: 60000 60000 4 6"))
    with pytest.raises(StudyError, match="cine.seq.nrrd declares .60000"):
        load_cine(path)


@pytest.mark.parametrize("kind, field", [("list", "data file"), ("time", "data file"), ("time", "datafile")])
def test_detached_header(tmp_path, kind, field):
    """Read as it is; with a 'time' axis, for which the header has to be changed, refused."""
    path = tmp_path / "cine.nhdr"
    write_sequence(path, 3, kind, index_lines(3, TIMES, unit="ms"))
    header, values = path.read_bytes().split(b"\n\n", 1)
    (tmp_path / "cine.raw.gz").write_bytes(values)
    path.write_bytes(header + f"\n{field}: cine.raw.gz\n".encode())
    if kind == "list":
        assert_is_the_cine(load_cine(path))
    else:
        with pytest.raises(StudyError, match="cine.nhdr .* another file; save it as one .nrrd file"):
            load_cine(path)


@pytest.mark.parametrize(
    "lines, times, note",
    [
        (index_lines(0, TIMES / 1000, unit="s"), TIMES, "in s."),
        (index_lines(0, TIMES, label="TriggerTime"), TIMES, "taken as ms"),
        (index_lines(0, TIMES / 1000), TIMES, "taken as seconds"),
        (index_lines(0, range(6), label="frame"), np.arange(6) * 1000 / 6, "frame number"),
        ((), np.arange(6) * 1000 / 6, "gives no times"),
    ],
)
def test_sequence_times(tmp_path, lines, times, note):
    path = tmp_path / "cine.seq.nrrd"
    write_sequence(path, 0, lines=lines)
    cine = load_cine(path)
    assert_is_the_cine(cine, times)
    assert any(note in n for n in cine.source.notes)


def test_sequence_written_by_slicer(tmp_path):
    """Slicer's own storage node as the writer, where slicer-core is installed."""
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    vtk = pytest.importorskip("vtk")
    numpy_support = pytest.importorskip("vtk.util.numpy_support")
    if not hasattr(slicer, "vtkMRMLSequenceNode"):
        pytest.skip("slicer-core has no sequences")
    scene = slicer.vtkMRMLScene()
    sequence = slicer.vtkMRMLSequenceNode()
    scene.AddNode(sequence)
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("ms")
    to_ras = np.diag([-1.0, -1, 1, 1]) @ affine_lps()
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(to_ras.ravel().tolist())
    for p, time in enumerate(TIMES):
        image = vtk.vtkImageData()
        image.SetDimensions(12, 10, 4)
        scalars = numpy_support.numpy_to_vtk(IMAGES[:, p].ravel(), deep=True, array_type=vtk.VTK_SHORT)
        image.GetPointData().SetScalars(scalars)
        volume = slicer.vtkMRMLScalarVolumeNode()
        volume.SetAndObserveImageData(image)
        volume.SetIJKToRASMatrix(matrix)
        sequence.SetDataNodeAtValue(volume, f"{time:g}")
    storage = slicer.vtkMRMLVolumeSequenceStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(str(tmp_path / "cine.seq.nrrd"))
    assert storage.WriteData(sequence)
    assert_is_the_cine(load_cine(tmp_path / "cine.seq.nrrd"))


def test_what_is_no_cine_volume_is_refused(tmp_path):
    (tmp_path / "broken.nii.gz").write_bytes(b"no image")
    (tmp_path / "broken.nrrd").write_bytes(b"no image")
    sitk.WriteImage(sitk.GetImageFromArray(IMAGES[:, 0]), str(tmp_path / "one.nrrd"))
    colour = sitk.GetImageFromArray(np.zeros((4, 10, 12, 3), np.uint8), isVector=True)
    sitk.WriteImage(colour, str(tmp_path / "colour.nii.gz"))
    values = IMAGES.transpose(1, 0, 2, 3).astype(np.float32)
    values[2, 1, 4, 4] = np.nan
    sitk.WriteImage(sitk.JoinSeries([sitk.GetImageFromArray(v) for v in values]), str(tmp_path / "nan.nii"))
    for name, pattern in [
        ("broken.nii.gz", "broken.nii.gz cannot be read"),
        ("broken.nrrd", "no NRRD"),
        ("one.nrrd", "one phase"),
        ("colour.nii.gz", "colour"),
        ("nan.nii", "NaN"),
        ("absent.nii", "does not exist"),
    ]:
        with pytest.raises(StudyError, match=pattern):
            load_cine(tmp_path / name)


def test_t1_volume_in_seconds(tmp_path):
    t1 = t1_slices(positions=POSITIONS)
    image = sitk.GetImageFromArray((t1.values_ms / 1000).astype(np.float32))
    first = t1.geometries[0]
    directions = np.stack([first.row_direction, first.column_direction, first.normal], axis=1)
    image.SetOrigin(first.origin.tolist())
    image.SetDirection(directions.ravel().tolist())
    image.SetSpacing([first.spacing[1], first.spacing[0], 8.0])
    sitk.WriteImage(image, str(tmp_path / "t1.nrrd"))
    read = load_t1_map(tmp_path / "t1.nrrd")
    assert np.abs(read.values_ms - t1.values_ms.clip(0)).max() < 0.01
    assert "× 1000" in read.notes[0]
    for own, other in zip(read.geometries, t1.geometries):
        assert np.abs(own.origin - other.origin).max() < 1e-3
