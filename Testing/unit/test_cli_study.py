"""`t1diff segment` and `t1diff synthesize` on a study on disk: every file that is promised."""

import csv
import json

import numpy as np
import pytest
import SimpleITK as sitk

from T1DiffLogic.cli import main
from T1DiffLogic.loading import load_cine
from T1DiffLogic.phantom.dicom_writer import write_cine, write_t1_map
from T1DiffLogic.phantom.draws import patient_seed
from T1DiffLogic.phantom.patient import digital_patient
from T1DiffLogic.study import Cine

NAME = "Dulcinea-4471"
FAST = ("--samples", "2", "--steps", "3", "--seed", "5", "--device", "cpu")


@pytest.fixture(scope="module")
def patient():
    return digital_patient(patient_seed("test", 41), phases=12, infarcted=True)


@pytest.fixture(scope="module")
def study(patient, tmp_path_factory):
    """Every other slice of a digital patient as GE DICOM, with its native map."""
    folder = tmp_path_factory.mktemp("study")
    full, keep = patient.cine, slice(0, None, 2)
    cine = Cine(full.images[keep], full.geometries[keep], full.trigger_ms[keep], full.source)
    write_cine(cine, folder / "cine", "ge", patient=NAME, extras=False)
    write_t1_map(patient.t1, folder / "t1", "ge", patient=NAME)
    return folder


@pytest.fixture(scope="module")
def segmented(study, tmp_path_factory):
    out = tmp_path_factory.mktemp("segmented")
    assert main(["segment", str(study / "cine"), "-o", str(out), "--all-phases", "--progress", "none"]) == 0
    return out


@pytest.fixture(scope="module")
def synthesized(study, tmp_path_factory):
    out = tmp_path_factory.mktemp("synthesized")
    argv = ["synthesize", str(study / "cine"), "-o", str(out), "--native", str(study / "t1"), *FAST]
    assert main([*argv, "--progress", "none"]) == 0
    return out


@pytest.fixture(scope="module")
def result(synthesized):
    return json.loads((synthesized / "result.json").read_text(encoding="utf-8"))


def same_grid(image: sitk.Image, cine: Cine) -> bool:
    """Whether voxel (c, r, s) of the image lies where pixel (r, c) of cine slice s does, within 0.01 mm."""
    size = (cine.images.shape[3], cine.images.shape[2], cine.n_slices)
    if image.GetSize() != size:
        return False
    corners = [(c, r, s) for c in (0, size[0] - 1) for r in (0, size[1] - 1) for s in range(size[2])]
    at = [image.TransformIndexToPhysicalPoint(corner) for corner in corners]
    expected = [cine.geometries[s].to_patient(np.array([r, c])) for c, r, s in corners]
    return np.allclose(at, expected, atol=0.01)


def test_segment_leaves_what_is_promised(segmented, study):
    assert sorted(p.name for p in segmented.iterdir()) == [
        "function.json",
        "labels.seq.nrrd",
        "labels_ed.nrrd",
        "labels_es.nrrd",
    ]
    cine = load_cine(study / "cine")
    for name in ("labels_ed.nrrd", "labels_es.nrrd"):
        image = sitk.ReadImage(str(segmented / name))
        assert image.GetPixelID() == sitk.sitkUInt8
        assert same_grid(image, cine)
        assert set(np.unique(sitk.GetArrayFromImage(image))) == {0, 1, 2, 3}


def test_function_is_that_of_the_patient(segmented, patient):
    function = json.loads((segmented / "function.json").read_text(encoding="utf-8"))
    assert {"ed", "es", "edv_ml", "esv_ml", "ef_percent", "mass_g", "slices"} <= set(function)
    # every other slice, so twice the slice distance: a coarse integral of the same heart
    assert function["edv_ml"] == pytest.approx(patient.edv_ml, rel=0.25)
    assert function["esv_ml"] < function["edv_ml"]
    ef = 100 * (function["edv_ml"] - function["esv_ml"]) / function["edv_ml"]
    assert function["ef_percent"] == pytest.approx(ef, abs=0.01)
    for entry in function["slices"]:
        assert {"index", "quality", "flags"} <= set(entry)
        assert entry["quality"] is None or 0 <= entry["quality"] <= 1


def test_synthesize_leaves_what_is_promised(synthesized, result):
    promised = {
        "t1_map.nrrd", "t1_sd.nrrd", "valid.nrrd", "segmentation.seg.nrrd", "segments.csv", "overlay.png",
        "bullseye.png", "report.html", "result.json",
    }  # fmt: skip
    found = {p.name for p in synthesized.iterdir()}
    assert promised <= found
    assert found == {str(name).split("/")[0] for name in result["files"].values()}


def test_result_json_keeps_its_contract(result):
    assert result["status"] == "ok"
    assert set(result["phases"]) == {"ed", "es", "count"} and result["phases"]["count"] == 12
    assert [s["index"] for s in result["slices"]] == list(range(len(result["slices"])))
    assert {s["level"] for s in result["slices"]} <= {"basal", "mid", "apical", None}
    assert [row["id"] for row in result["segments"]] == list(range(1, 17))
    for row in result["segments"]:
        assert (row["mean_ms"] is None) == (row["n"] == 0)
    assert {"pearson_r", "bias_ms", "loa_ms"} <= set(result["agreement"])
    assert {"model", "weights_sha256", "seed", "sampler", "steps", "samples", "device", "versions"} <= set(
        result["provenance"]
    )
    assert (result["provenance"]["seed"], result["provenance"]["samples"]) == (5, 2)
    assert {"read", "segment", "synthesize", "write"} <= set(result["seconds"])


def test_maps_are_floats_in_cine_geometry_and_zero_without_value(synthesized, study, result):
    cine = load_cine(study / "cine")
    names = ("t1_map", "t1_sd", "valid")
    volumes = {name: sitk.ReadImage(str(synthesized / f"{name}.nrrd")) for name in names}
    assert all(same_grid(image, cine) for image in volumes.values())
    assert volumes["t1_map"].GetPixelID() == volumes["t1_sd"].GetPixelID() == sitk.sitkFloat32
    assert volumes["valid"].GetPixelID() == sitk.sitkUInt8
    t1, sd, valid = (sitk.GetArrayFromImage(volumes[name]) for name in names)
    assert not t1[valid == 0].any() and not sd[valid == 0].any()
    for entry in result["slices"]:
        assert valid[entry["index"]].any() == entry["valid"]


def test_table_and_json_say_the_same(synthesized, result):
    with (synthesized / "segments.csv").open(newline="", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(line for line in file if not line.startswith("#"))]
    assert len(rows) == 16
    for row, expected in zip(rows, result["segments"]):
        assert int(row["id"]) == expected["id"]
        if expected["n"]:
            assert float(row["mean_ms"]) == pytest.approx(expected["mean_ms"], abs=0.1)


def test_patient_appears_nowhere_but_in_the_objects_for_the_archive(synthesized, segmented):
    for folder in (synthesized, segmented):
        for path in folder.rglob("*"):
            filed = path.parent.name == "dicom"
            data = path.read_bytes().lower() if path.is_file() and not filed else b""
            assert not any(part in path.name.lower() for part in NAME.lower().split("-"))
            assert not any(part.encode() in data for part in NAME.lower().split("-")), path.name


def test_labels_of_segment_are_taken_by_synthesize(study, segmented, tmp_path, capsys):
    argv = ["synthesize", str(study / "cine"), "-o", str(tmp_path / "out"), "--progress", "json", *FAST]
    for phase in ("ed", "es"):
        argv += [f"--labels-{phase}", str(segmented / f"labels_{phase}.nrrd")]
    assert main(argv) == 0
    captured = capsys.readouterr()
    events = [json.loads(line) for line in captured.out.splitlines()]
    assert events[-1]["event"] == "done" and captured.err == ""
    stages = {e["stage"] for e in events if e["event"] == "progress"}
    assert stages >= {"read", "segment", "synthesize", "write"}
    result = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert sum("reviewed" in note for note in result["notes"]) == 2
    assert result["agreement"] is None


def test_phantom_writes_patients_that_load(tmp_path, capsys):
    argv = ["phantom", "-o", str(tmp_path), "-n", "1", "--vendor", "enhanced", "--phases", "8", "--healthy"]
    assert main([*argv, "--progress", "none"]) == 0
    (folder,) = tmp_path.iterdir()
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    cine = load_cine(folder / "dicom")
    assert cine.n_phases == 8 and not truth["infarcted"]
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "labels_ed.nrrd")))
    assert labels.shape == (cine.n_slices, *cine.images.shape[2:])
    assert main([*argv, "--progress", "none"]) == 1
    assert "exists already" in capsys.readouterr().err
