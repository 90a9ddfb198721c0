"""Bad input through the whole command line: exit code 1, one sentence, nothing half-written."""

import os
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from T1DiffLogic.cli import main
from T1DiffLogic.phantom.dicom_writer import write_cine, write_screenshot, write_t1_map
from T1DiffLogic.study import Cine, SliceGeometry, T1Map

PATIENT = "Quixote-8812"


def beating_ring(slices=3, phases=8, size=96) -> Cine:
    """A ring that beats, on an axial stack: cine enough for every check before the network."""
    y, x = np.mgrid[:size, :size] - size / 2
    radius = np.hypot(y, x)
    images = np.full((slices, phases, size, size), 40.0)
    for p in range(phases):
        endo = 16 - 5 * np.sin(np.pi * p / phases)
        images[:, p][:, radius < np.hypot(endo, 16)] = 90
        images[:, p][:, radius < endo] = 240
    images += np.random.default_rng(0).normal(0, 3, images.shape)
    geometries = tuple(
        SliceGeometry([-60, -60, 9.0 * s], [1, 0, 0], [0, 1, 0], (1.5, 1.5), (size, size))
        for s in range(slices)
    )
    return Cine(images.clip(0), geometries, np.tile(np.arange(phases) * 100.0, (slices, 1)))


@pytest.fixture(scope="module")
def ring() -> Cine:
    return beating_ring()


@pytest.fixture
def study(tmp_path, ring) -> Path:
    """A DICOM cine study of a patient whose name must not appear anywhere."""
    write_cine(ring, tmp_path / "study", "siemens", patient=PATIENT, extras=False)
    return tmp_path / "study"


def edit(study: Path, change) -> None:
    for path in sorted(p for p in study.rglob("*") if p.is_file()):
        dataset = pydicom.dcmread(path)
        change(dataset)
        dataset.save_as(path)


def fails(argv, capsys, out: Path, *expected, code=1) -> str:
    """Runs `argv`, holds every promise about failure, and returns the sentence."""
    assert main([str(a) for a in argv]) == code
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if not line.endswith("…")]
    assert len(lines) == 1, captured.err
    (sentence,) = lines
    for word in expected:
        assert word.lower() in sentence.lower(), f"{word!r} is not in: {sentence}"
    assert "Traceback" not in captured.err and "unexpected" not in sentence
    said = (captured.out + captured.err).lower()
    assert not any(part in said for part in PATIENT.lower().split("-"))
    assert not out.exists() or not any(out.iterdir()), f"left behind: {sorted(out.iterdir())}"
    return sentence


def synthesize(study, tmp_path, capsys, *expected, options=(), code=1) -> str:
    out = tmp_path / "out"
    argv = ["synthesize", study, "-o", out, "--progress", "none", *options]
    return fails(argv, capsys, out, *expected, code=code)


def test_missing_folder(tmp_path, capsys):
    synthesize(tmp_path / "nowhere", tmp_path, capsys, "nowhere", "does not exist")


def test_empty_folder(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    synthesize(tmp_path / "empty", tmp_path, capsys, "empty")


def test_folder_without_dicom(tmp_path, capsys):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to_the_editor.txt").write_text("no image in here")
    synthesize(tmp_path / "letters", tmp_path, capsys, "letters")


@pytest.mark.parametrize(
    "keyword, said",
    [
        ("ImagePositionPatient", "0020,0032"),
        ("ImageOrientationPatient", "0020,0037"),
        ("PixelSpacing", "0028,0030"),
    ],
)
def test_missing_geometry_names_the_tag(study, tmp_path, capsys, keyword, said):
    edit(study, lambda dataset: delattr(dataset, keyword))
    synthesize(study, tmp_path, capsys, said)


def test_truncated_files(study, tmp_path, capsys):
    for path in (p for p in study.rglob("*") if p.is_file()):
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * 2 // 3])
    synthesize(study, tmp_path, capsys, "cut short")


def test_one_phase(study, tmp_path, capsys):
    for path in (p for p in study.rglob("*") if p.is_file()):
        if pydicom.dcmread(path).TriggerTime > 0:
            path.unlink()
    synthesize(study, tmp_path, capsys, "one phase")


def test_mixed_orientations(study, tmp_path, capsys):
    turned = iter(np.linspace(0, np.pi, 24, endpoint=False))

    def turn(dataset):
        angle = next(turned)
        dataset.ImageOrientationPatient = [1, 0, 0, 0, float(np.cos(angle)), float(np.sin(angle))]

    edit(study, turn)
    synthesize(study, tmp_path, capsys, "no short-axis cine")


def test_not_a_number(tmp_path, capsys, ring):
    sitk = pytest.importorskip("SimpleITK")
    values = np.moveaxis(ring.images, 1, 0).copy()
    values[2, 1, 40, 40] = np.nan
    image = sitk.JoinSeries([sitk.GetImageFromArray(v) for v in values])
    sitk.WriteImage(image, str(tmp_path / "cine.nrrd"))
    synthesize(tmp_path / "cine.nrrd", tmp_path, capsys, "NaN")


def test_screenshot_in_place_of_a_native_map(study, tmp_path, capsys, ring):
    maps = T1Map(ring.images[:, 0] * 8, ring.geometries)
    write_screenshot(maps, tmp_path / "native", patient=PATIENT)
    synthesize(study, tmp_path, capsys, "colour image", options=("--native", tmp_path / "native"))


def test_native_map_in_no_plausible_unit(study, tmp_path, capsys, ring):
    maps = T1Map(ring.images[:, 0] * 0 + 7, ring.geometries)
    write_t1_map(maps, tmp_path / "native", "siemens", patient=PATIENT)
    synthesize(study, tmp_path, capsys, "plausible scale", options=("--native", tmp_path / "native"))


@pytest.mark.parametrize(
    "options, expected, code",
    [
        (("--ed", 8), "--ed 8", 1),
        (("--es", 99), "--es 99", 1),
        (("--ed", 3, "--es", 3), "same phase", 2),
        (("--ed", -1), "counts from 0|count from 0", 2),
        (("--samples", 0), "--samples 0", 2),
        (("--steps", 0), "--steps 0", 2),
        (("--seed", -4), "--seed -4", 2),
    ],
)
def test_options_out_of_range(study, tmp_path, capsys, options, expected, code):
    """What no study could make right is wrong usage; a phase that this study lacks is its failure."""
    sentence = synthesize(study, tmp_path, capsys, options=options, code=code)
    assert any(part in sentence for part in expected.split("|")), sentence


def test_model_folder_without_a_model(study, tmp_path, capsys):
    (tmp_path / "model").mkdir()
    synthesize(study, tmp_path, capsys, "model", "config.json", options=("--model", tmp_path / "model"))


def test_segmenter_in_place_of_the_model(study, tmp_path, capsys):
    from T1DiffLogic.resources import installed_segmenter

    synthesize(study, tmp_path, capsys, "GF-UNet", options=("--model", installed_segmenter()))


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_damaged_weights(study, tmp_path, capsys, damage):
    from T1DiffLogic.resources import model_folder

    shutil.copytree(model_folder("fast"), tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 0xFF
    weights.write_bytes(data[: len(data) // 2] if damage == "cut" else data)
    if damage == "gone":
        weights.unlink()
    synthesize(study, tmp_path, capsys, "model.safetensors", options=("--model", tmp_path / "model"))


def test_labels_that_are_no_volume_of_this_cine(study, tmp_path, capsys):
    sitk = pytest.importorskip("SimpleITK")
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 30, 30), np.uint8)), str(tmp_path / "labels.nrrd"))
    synthesize(study, tmp_path, capsys, "labels", options=("--labels-ed", tmp_path / "labels.nrrd"))


def test_missing_labels_file(study, tmp_path, capsys):
    synthesize(study, tmp_path, capsys, "gone.nrrd", options=("--labels-es", tmp_path / "gone.nrrd"))


def test_output_is_a_file(study, tmp_path, capsys):
    (tmp_path / "taken").write_text("mine")
    assert main(["synthesize", str(study), "-o", str(tmp_path / "taken"), "--progress", "none"]) == 1
    assert "taken" in capsys.readouterr().err
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_output_in_a_read_only_folder(study, tmp_path, capsys):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    fails(["synthesize", study, "-o", locked / "out", "--progress", "none"], capsys, locked / "out", "locked")


def test_output_below_a_path_that_cannot_be_made(study, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "out"
    assert main(["synthesize", str(study), "-o", str(out), "--progress", "none"]) == 1
    err = capsys.readouterr().err
    assert "file" in err and "Traceback" not in err and "unexpected" not in err


@pytest.mark.parametrize("command", ["segment", "synthesize"])
def test_images_without_a_heart_are_refused(command, tmp_path, capsys, ring):
    noise = np.random.default_rng(4).gamma(2, 30, ring.images.shape)
    write_cine(Cine(noise, ring.geometries, ring.trigger_ms), tmp_path / "study", "siemens", extras=False)
    out = tmp_path / "out"
    fails([command, tmp_path / "study", "-o", out, "--progress", "none"], capsys, out, "left ventricle")


def test_frozen_heart_is_refused(tmp_path, capsys, ring):
    still = np.repeat(ring.images[:, :1], ring.n_phases, axis=1)
    write_cine(Cine(still, ring.geometries, ring.trigger_ms), tmp_path / "study", "siemens", extras=False)
    synthesize(tmp_path / "study", tmp_path, capsys, "does not move")
