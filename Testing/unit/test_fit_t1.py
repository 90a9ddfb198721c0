"""`t1diff fit-t1`: a digital patient's MOLLI images on disk to the map, against truth and scanner map."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image

from T1DiffLogic.cli import main
from T1DiffLogic.phantom.dicom_inversion import write_inversion_series
from T1DiffLogic.phantom.dicom_writer import write_t1_map
from T1DiffLogic.phantom.patient import digital_patient
from T1DiffLogic.report import colours
from T1DiffLogic.study import LV_CAVITY, LV_MYOCARDIUM

PATIENT = "Quixote-8812"


@pytest.fixture(scope="module")
def patient():
    return digital_patient(9900003, phases=8, t1_slices_only=True, inversion=True)


@pytest.fixture
def study(patient, tmp_path):
    write_inversion_series(patient.inversion, tmp_path / "study", "siemens", seed=3, patient=PATIENT)
    write_t1_map(patient.t1, tmp_path / "study", "siemens", seed=3, patient=PATIENT)
    return tmp_path / "study"


def fit(*argv):
    return main(["fit-t1", *map(str, argv), "--progress", "none", "--device", "cpu"])


def edit(folder, change):
    for number, path in enumerate(sorted(p for p in folder.rglob("IM_07*"))):
        dataset = pydicom.dcmread(path)
        change(dataset, number)
        dataset.save_as(path)


def test_the_phantom_comes_back(patient, study, tmp_path, capsys):
    out = tmp_path / "out"
    assert fit(study, "-o", out) == 0
    said = capsys.readouterr().out
    assert "3 slices, 8 inversion times" in said and "RESEARCH ONLY" in said
    image = sitk.ReadImage(str(out / "t1_map.nrrd"))
    values, r2 = (sitk.GetArrayFromImage(sitk.ReadImage(str(out / f"{n}.nrrd"))) for n in ("t1_map", "r2"))
    assert values.dtype == r2.dtype == np.float32 and 0 <= r2.min() and r2.max() <= 1
    first = patient.t1.geometries[0]
    np.testing.assert_allclose(image.GetOrigin(), first.origin, atol=1e-3)
    np.testing.assert_allclose(image.GetSpacing()[:2], first.spacing[::-1], atol=1e-5)
    for label, share in ((LV_MYOCARDIUM, 0.03), (LV_CAVITY, 0.02)):
        inside = patient.t1_labels == label
        assert (values[inside] > 0).mean() > 0.99
        # noise and the field of the map's own systematic error are all that is between them
        assert np.median(values[inside]) == pytest.approx(np.median(patient.t1_truth_ms[inside]), rel=share)
        ratio = values[inside] / patient.t1.values_ms[inside]
        assert abs(np.median(ratio) - 1) < 0.01 and np.std(ratio) < 0.02
    assert "Quixote" not in (out / "result.json").read_text(encoding="utf-8")


def test_result_tells_what_was_done(study, tmp_path):
    out = tmp_path / "out"
    assert fit(study, "-o", out, "--min-r2", "0.9", "--correction", "1.05") == 0
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert result["status"] == "ok" and "MOLLI" in result["series"]
    assert result["fit"]["min_r2"] == 0.9 and result["fit"]["correction"] == 1.05
    assert all(len(s["inversion_times_ms"]) == 8 for s in result["slices"])
    assert any("1.05" in n for n in result["notes"])
    assert "RESEARCH ONLY" in result["provenance"]["notice"] and result["provenance"]["versions"]["torch"]
    assert all((out / name).is_file() for name in result["files"].values())
    assert sitk.ReadImage(str(out / "t1_map.nrrd")).GetMetaData("T1Diff_notice")


def test_pictures_have_the_colours_of_the_map(study, tmp_path):
    out = tmp_path / "out"
    assert fit(study, "-o", out) == 0
    pictures = sorted(out.glob("t1_*.png"))
    assert len(pictures) == 3
    table = np.round(colours.lipari_table()[1:] * 255).astype(int)
    pixels = np.asarray(Image.open(pictures[1]).convert("RGB")).astype(int)
    left = pixels[110:490, 95:470]  # inside the letters of the patient's sides
    left = left.reshape(-1, 3)
    near = (np.abs(left[::7, None] - table).max(axis=2) <= 2).any(axis=1) | (left[::7].max(axis=1) <= 3)
    assert near.mean() > 0.95


def test_uneven_slices_are_kept_one_by_one(patient, tmp_path):
    own, last = patient.inversion, patient.inversion.geometries[2]
    moved = dataclasses.replace(last, origin=last.origin + 3 * last.normal)
    uneven = dataclasses.replace(own, geometries=(*own.geometries[:2], moved))
    write_inversion_series(uneven, tmp_path / "study", "ge")
    assert fit(tmp_path / "study", "-o", tmp_path / "out") == 0
    assert len(list((tmp_path / "out" / "slices").glob("t1_map_*.nrrd"))) == 3


def test_a_series_can_be_chosen(patient, study, tmp_path, capsys):
    write_inversion_series(
        patient.inversion, study, "siemens", seed=3, patient=PATIENT, motion_corrected=True
    )
    assert fit(study, "-o", tmp_path / "a") == 0
    assert "--series 70" in capsys.readouterr().out
    assert fit(study, "-o", tmp_path / "b", "--series", 70) == 0
    assert not json.loads((tmp_path / "b" / "result.json").read_text())["motion_corrected"]
    assert fit(study, "-o", tmp_path / "c", "--series", 4) == 1
    assert "SeriesNumber 4" in capsys.readouterr().err


def strip_times(d, _):
    del d.InversionTime
    d.ImageComments = ""


def noise(d, n):
    rng = np.random.default_rng(n)
    d.PixelData = rng.integers(0, 4000, (d.Rows, d.Columns)).astype("<u2").tobytes()


def move(d, n):
    d.ImagePositionPatient = [float(v) + 40.0 * n for v in d.ImagePositionPatient]


@pytest.mark.parametrize(
    ("change", "options", "said", "code"),
    [
        (strip_times, (), "InversionTime (0018,0082)", 1),
        (move, (), "no slice has 4", 1),
        (noise, ("--min-r2", "0.999"), "no inversion recovery", 1),
        (None, ("--min-r2", "2"), "--min-r2", 2),
        (None, ("--correction", "0"), "--correction", 2),
    ],
)
def test_failure_is_one_sentence_and_leaves_nothing(study, tmp_path, capsys, change, options, said, code):
    if change:
        edit(study, change)
    out = tmp_path / "out"
    assert fit(study, "-o", out, *options) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.endswith("…")]
    assert len(lines) == 1 and said in lines[0] and "Quixote" not in lines[0]
    assert not out.exists() or not any(out.iterdir())


def test_empty_and_missing_folders(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert fit(tmp_path / "empty", "-o", tmp_path / "out") == 1
    assert "empty" in capsys.readouterr().err
    assert fit(tmp_path / "nowhere", "-o", tmp_path / "out") == 1
    assert "does not exist" in capsys.readouterr().err


def test_the_phantom_command_writes_what_fit_t1_reads(tmp_path):
    out = tmp_path / "phantom"
    options = ("-n", "1", "--phases", "8", "--vendor", "philips", "--molli", "--progress", "none")
    assert main(["phantom", "-o", str(out), *options]) == 0
    (folder,) = out.iterdir()
    assert fit(folder / "dicom", "-o", tmp_path / "fit") == 0
    truth = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "t1_truth.nrrd")))
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "fit" / "t1_map.nrrd")))
    both = (values > 900) & (values < 1500) & (truth > 900) & (truth < 1500)
    assert abs(np.median(values[both] / truth[both]) - 1) < 0.02
