"""Corrected masks and RV insertion points handed back in the formats of docs/data-formats.md."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_cases import smooth_cine

from T1DiffLogic import StudyError, load_labels, load_rv_insertions
from T1DiffLogic.study import Cine

UNIFORM = (0.0, 8.0, 16.0, 24.0)


@pytest.fixture(scope="module")
def cine() -> Cine:
    return smooth_cine(phases=2, positions=UNIFORM)


@pytest.fixture(scope="module")
def labels(cine) -> np.ndarray:
    """A heart in the middle of two slices, different in each, asymmetric."""
    y, x = np.mgrid[:40, :48]
    result = np.zeros((4, 40, 48), np.uint8)
    for s in (1, 2):
        radius = np.hypot(y - 18 - s, x - 26)
        result[s][(np.hypot(y - 16, x - 15) < 7)] = 1
        result[s][radius < 9] = 2
        result[s][radius < 5 + s] = 3
    return result


def volume(array, cine, slices=slice(None), rows=slice(None), columns=slice(None), shift=(0, 0, 0)):
    """A SimpleITK image of a part of the cine grid, moved by `shift` mm."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array[slices, rows, columns]))
    first = cine.geometries[slices.start or 0]
    corner = first.to_patient(np.array([rows.start or 0, columns.start or 0]))
    image.SetOrigin((corner + shift).tolist())
    image.SetDirection(
        np.stack([first.row_direction, first.column_direction, first.normal], 1).ravel().tolist()
    )
    image.SetSpacing([first.spacing[1], first.spacing[0], 8.0])
    return image


@pytest.mark.parametrize("name", ["labels.nrrd", "labels.nii.gz"])
def test_labels_in_cine_geometry(tmp_path, cine, labels, name):
    sitk.WriteImage(volume(labels, cine), str(tmp_path / name))
    read = load_labels(tmp_path / name, cine)
    assert read.dtype == np.uint8 and np.array_equal(read, labels)


def test_float_labels_stored_in_reverse_are_put_right(tmp_path, cine, labels):
    flipped = sitk.Flip(volume(labels.astype(np.float32), cine), [True, False, True])
    sitk.WriteImage(flipped, str(tmp_path / "labels.nrrd"))
    assert np.array_equal(load_labels(tmp_path / "labels.nrrd", cine), labels)


def test_labels_that_do_not_fit_are_refused(tmp_path, cine, labels):
    normal = cine.geometries[0].normal
    cases = {
        "shape": (volume(labels, cine, rows=slice(2, 40)), "4 slices of 38 × 48"),
        "shifted": (volume(labels, cine, shift=1.4 * cine.geometries[0].row_direction), "1 mm off"),
        "deeper": (volume(labels, cine, shift=1.2 * normal), "1 mm off"),
        "value": (volume(labels * 2, cine), "the value 4, 6"),
        "frames": (sitk.JoinSeries([volume(labels, cine)] * 2), "2 frames"),
    }
    for name, (image, pattern) in cases.items():
        sitk.WriteImage(image, str(tmp_path / f"{name}.nrrd"))
        with pytest.raises(StudyError, match=pattern):
            load_labels(tmp_path / f"{name}.nrrd", cine)
    near = volume(labels, cine, shift=0.5 * normal)
    sitk.WriteImage(near, str(tmp_path / "near.nrrd"))
    assert np.array_equal(load_labels(tmp_path / "near.nrrd", cine), labels)


def write_segmentation(path, image, segments):
    """`segments`: (name, label value) in order, one layer."""
    for number, (name, value) in enumerate(segments):
        image.SetMetaData(f"Segment{number}_Name", name)
        image.SetMetaData(f"Segment{number}_ID", f"Segment_{number + 1}")
        image.SetMetaData(f"Segment{number}_LabelValue", str(value))
        image.SetMetaData(f"Segment{number}_Layer", "0")
    sitk.WriteImage(image, str(path), useCompression=True)


def test_cropped_segmentation_with_renumbered_segments(tmp_path, cine, labels):
    """Slicer crops to the segments and may number them anew; names keep their meaning."""
    renumbered = np.array([0, 3, 1, 2], np.uint8)[labels]
    image = volume(renumbered, cine, slice(1, 3), slice(7, 33), slice(5, 39))
    names = [("LV myocardium", 1), ("LV cavity", 2), ("RV", 3)]
    write_segmentation(tmp_path / "a.seg.nrrd", image, names)
    assert np.array_equal(load_labels(tmp_path / "a.seg.nrrd", cine), labels)


def test_segmentation_with_foreign_names_counts_by_label_value(tmp_path, cine, labels):
    image = volume(labels, cine, slice(1, 3))
    names = [("Segment_1", 3), ("Segment_2", 2), ("Segment_3", 1)]
    write_segmentation(tmp_path / "b.seg.nrrd", image, names)
    assert np.array_equal(load_labels(tmp_path / "b.seg.nrrd", cine), labels)
    write_segmentation(tmp_path / "c.seg.nrrd", volume(labels * 3, cine), [("scar", 9)])
    with pytest.raises(StudyError, match="segment of value 9"):
        load_labels(tmp_path / "c.seg.nrrd", cine)


def test_segmentation_in_layers(tmp_path, cine, labels):
    """Layers as Slicer writes them: a list axis first, each segment valued 1 in a layer of its own."""
    layers = np.stack([labels == 1, labels == 2, labels == 3], axis=-1).astype(np.uint8)
    g = cine.geometries[0]
    vectors = [g.row_direction * g.spacing[1], g.column_direction * g.spacing[0], g.normal * 8.0]
    directions = " ".join("(" + ",".join(f"{v:.15g}" for v in d) + ")" for d in vectors)
    keys = [
        f"Segment{k}_{key}:={value}"
        for k, name in enumerate(("RV", "LV myocardium", "LV cavity"))
        for key, value in (("Name", name), ("LabelValue", 1), ("Layer", k))
    ]
    header = [
        "NRRD0004", "type: uint8", "dimension: 4", "space: left-posterior-superior", "sizes: 3 48 40 4",
        f"space directions: none {directions}", "kinds: list domain domain domain", "encoding: gzip",
        "space origin: (" + ",".join(f"{v:.15g}" for v in g.origin) + ")", *keys,
    ]  # fmt: skip
    content = ("\n".join(header) + "\n\n").encode() + gzip.compress(layers.tobytes())
    (tmp_path / "layers.seg.nrrd").write_bytes(content)
    assert np.array_equal(load_labels(tmp_path / "layers.seg.nrrd", cine), labels)


def test_segmentation_of_another_study_is_refused(tmp_path, cine, labels):
    far = volume(labels, cine, shift=(0, 0, 300))
    write_segmentation(tmp_path / "far.seg.nrrd", far, [("RV", 1)])
    with pytest.raises(StudyError, match="mm off|outside"):
        load_labels(tmp_path / "far.seg.nrrd", cine)
    beside = volume(labels, cine, shift=60 * cine.geometries[0].row_direction)
    write_segmentation(tmp_path / "beside.seg.nrrd", beside, [("RV", 1)])
    with pytest.raises(StudyError, match="outside"):
        load_labels(tmp_path / "beside.seg.nrrd", cine)


def test_one_file_per_slice_for_a_stack_that_no_volume_holds(tmp_path, labels):
    uneven = smooth_cine(phases=2, positions=(0.0, 8.0, 18.0, 27.0))
    for k, s in enumerate((2, 0, 3, 1)):
        image = volume(labels, uneven, slice(s, s + 1))
        sitk.WriteImage(image, str(tmp_path / f"slice_{k}.nrrd"))
    assert np.array_equal(load_labels(tmp_path, uneven), labels)
    (tmp_path / "twice.nrrd").write_bytes((tmp_path / "slice_0.nrrd").read_bytes())
    with pytest.raises(StudyError, match="another file labels"):
        load_labels(tmp_path, uneven)


ANTERIOR, INFERIOR = np.array([12.0, 14.0]), np.array([27.5, 15.25])


def markups(points, system):
    sign = np.array([-1, -1, 1]) if system == "RAS" else 1
    controls = [{"label": label, "position": (p * sign).tolist()} for label, p in points]
    return json.dumps(
        {"markups": [{"type": "Fiducial", "coordinateSystem": system, "controlPoints": controls}]}
    )


def assert_insertions(found, index, cine):
    assert found.shape == (cine.n_slices, 2, 2)
    assert np.allclose(found[index], [ANTERIOR, INFERIOR], atol=1e-6)
    assert np.isnan(np.delete(found, index, axis=0)).all()


@pytest.mark.parametrize("system", ["LPS", "RAS"])
@pytest.mark.parametrize("labelled", [True, False])
def test_markups_are_projected_on_the_nearest_slice(tmp_path, cine, system, labelled):
    g = cine.geometries[2]
    points = [
        ("RV anterior", g.to_patient(ANTERIOR) + 2 * g.normal),
        ("F-2", g.to_patient(INFERIOR) - g.normal),
    ]
    points[1] = ("inferior insertion", points[1][1])
    if labelled:
        points.reverse()  # the labels, not the order, decide
    else:
        points = [(f"F-{k}", p) for k, (_, p) in enumerate(points)]
    (tmp_path / "rv.mrk.json").write_text(markups(points, system))
    assert_insertions(load_rv_insertions(tmp_path / "rv.mrk.json", cine), 2, cine)


def test_tables_in_mm_and_in_pixels(tmp_path, cine):
    a, i = (cine.geometries[1].to_patient(p).tolist() for p in (ANTERIOR, INFERIOR))
    lps = [f"{name},{p[0]},{p[1]},{p[2]},1" for name, p in (("inferior", i), ("anterior", a))]
    ras = [f"F, {-p[0]}, {-p[1]}, {p[2]}" for p in (a, i)]
    tables = {
        "lps": ["label,l,p,s,defined", *lps],
        "ras": ["label, r, a, s", *ras],
        "pixel": ["slice,label,row,column", "1,anterior,12,14", "1,inferior,27.5,15.25"],
    }
    for name, lines in tables.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
        assert_insertions(load_rv_insertions(tmp_path / f"{name}.csv", cine), 1, cine)


def test_pairs_on_several_slices(tmp_path, cine):
    lines = ["slice,label,row,column"]
    lines += [f"{s},{n},{10 + s},{20 + k}" for s in (3, 1) for k, n in enumerate(("anterior", "inferior"))]
    (tmp_path / "many.csv").write_text("\n".join(lines))
    found = load_rv_insertions(tmp_path / "many.csv", cine)
    assert np.isnan(found[[0, 2]]).all()
    assert np.allclose(found[1], [[11, 20], [11, 21]]) and np.allclose(found[3], [[13, 20], [13, 21]])


@pytest.mark.parametrize(
    "name, content, pattern",
    [
        ("a.mrk.json", "{}", "no Slicer markups"),
        ("b.mrk.json", markups([("F", np.zeros(3))], "LPS"), "1 points"),
        ("c.mrk.json", markups([("F", np.full(3, 900.0)), ("F", np.full(3, 900.0))], "LPS"), "outside"),
        ("d.mrk.json", markups([("F", np.zeros(3))] * 2, "XYZ"), "coordinate system"),
        ("e.csv", "slice,label,row,column\n9,anterior,1,1\n9,inferior,2,2", "slices 0 to 3"),
        ("f.csv", "a,b\n1,2\n", "line 2"),
        ("g.csv", "slice,label,row,column\n1,anterior,nan,1\n1,inferior,2,2", "finite"),
        ("h.csv", "slice,row,column\n1,1,1\n1,2,2\n1,3,3\n1,4,4", "two pairs"),
        ("i.csv", "", "0 points"),
    ],
)
def test_files_that_are_no_insertions_are_refused(tmp_path, cine, name, content, pattern):
    (tmp_path / name).write_text(content)
    with pytest.raises(StudyError, match=pattern):
        load_rv_insertions(tmp_path / name, cine)
