"""Cine written as DICOM by the phantom and read back: geometry, order, values, dialects."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_cases import POSITIONS_MM, edit, smooth_cine
from hypothesis import given, settings
from hypothesis import strategies as st

from T1DiffLogic import load_cine
from T1DiffLogic.phantom.dicom_writer import DIALECTS, write_cine
from T1DiffLogic.study import Cine

PIG = Path(__file__).parents[2].parent / "shared" / "data" / "pig_sax_cine_dicom.tar.xz"


def assert_same_cine(read: Cine, written: Cine, factor: float):
    assert read.images.shape == written.images.shape
    scaled = read.images * factor
    assert np.abs(scaled - written.images).max() <= 0.5 * written.images.max() / 4095 * 1.001
    for own, other in zip(read.geometries, written.geometries):
        corners = np.array([[0, 0], [0, other.shape[1] - 1], [other.shape[0] - 1, 0]])
        assert np.abs(own.to_patient(corners) - other.to_patient(corners)).max() < 1e-3
        assert own.thickness_mm == other.thickness_mm
    assert np.allclose(read.trigger_ms, written.trigger_ms, atol=1e-3)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_comes_back(tmp_path, dialect):
    cine = smooth_cine()
    write_cine(cine, tmp_path, dialect, seed=5)
    read = load_cine(tmp_path)
    # Siemens and GE hold arbitrary units, the largest value as 4095.
    factor = cine.images.max() / 4095 if dialect in ("siemens", "ge") else 1.0
    assert_same_cine(read, cine, factor)
    depth = [g.origin @ read.geometries[0].normal for g in read.geometries]
    assert np.allclose(np.diff(depth), np.diff(POSITIONS_MM), atol=1e-3)
    assert read.source.field_strength_t == 3.0
    assert read.source.heart_rate_bpm == pytest.approx(75, abs=0.5)
    assert len(read.source.files) == 5 and all(len(f) == 8 for f in read.source.files)
    ignored = " ".join(read.source.ignored)
    assert ignored.count("scout") == 1 and ignored.count("long-axis cine") == 2
    assert read.source.notes == ()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_files_are_named_per_slice_and_phase(tmp_path, dialect):
    cine = smooth_cine(phases=4)
    write_cine(cine, tmp_path, dialect, extras=False)
    read = load_cine(tmp_path)
    if dialect == "enhanced":
        assert len({name for names in read.source.files for name in names}) == 1
        return
    for s in range(5):
        for p in range(4):
            header = pydicom.dcmread(read.source.files[s][p], stop_before_pixels=True)
            assert float(header.TriggerTime) == pytest.approx(cine.trigger_ms[s, p])
            assert np.allclose(header.ImagePositionPatient, cine.geometries[s].origin, atol=1e-6)


def test_descriptions_and_instance_numbers_are_not_needed(tmp_path):
    """Geometry alone tells the stack from the long-axis views."""
    cine = smooth_cine()
    write_cine(cine, tmp_path, "philips")

    def strip(dataset, number):
        for keyword in ("SeriesDescription", "CardiacNumberOfImages", "NominalInterval", "HeartRate"):
            if keyword in dataset:
                delattr(dataset, keyword)
        dataset.InstanceNumber = 1

    edit(sorted(tmp_path.iterdir()), strip)
    assert_same_cine(load_cine(tmp_path), cine, 1.0)


def test_nesting_names_and_copies_do_not_matter(tmp_path):
    cine = smooth_cine(phases=4)
    paths = write_cine(cine, tmp_path / "a", "ge", extras=False)
    for number, path in enumerate(paths):
        deep = tmp_path / "a" / f"x{number % 3}" / "y"
        deep.mkdir(parents=True, exist_ok=True)
        path.rename(deep / f"{number * 7 % 20}.jpg")
    copy = next((tmp_path / "a").rglob("*.jpg"))
    (tmp_path / "a" / "copy").write_bytes(copy.read_bytes())
    (tmp_path / "a" / "notes.txt").write_text("not an image")
    read = load_cine(tmp_path)
    assert_same_cine(read, cine, cine.images.max() / 4095)
    assert any("1 images are copies" in n for n in read.source.notes)
    assert any("1 files are not DICOM" in n for n in read.source.notes)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), reverse=st.booleans())
def test_any_orientation_comes_back(tmp_path_factory, seed, reverse):
    positions = POSITIONS_MM[::-1] if reverse else POSITIONS_MM
    cine = smooth_cine(phases=3, positions=positions, rows=12, columns=14, seed=seed)
    folder = tmp_path_factory.mktemp("any")
    write_cine(cine, folder, "siemens", seed=seed, extras=False)
    order = slice(None, None, -1) if reverse else slice(None)
    expected = Cine(cine.images[order], cine.geometries[order], cine.trigger_ms[order])
    assert_same_cine(load_cine(folder), expected, cine.images.max() / 4095)


@pytest.mark.skipif(not PIG.exists(), reason="real pig series is not beside the checkout")
def test_pig_series_has_seven_slices_of_twenty_phases(tmp_path):
    with tarfile.open(PIG) as archive:
        archive.extractall(tmp_path, filter="data")
    cine = load_cine(tmp_path)
    assert cine.images.shape == (7, 20, 256, 256)
    assert cine.is_uniform()
    assert cine.trigger_ms.min() == 10 and cine.trigger_ms.max() == 610
    assert (np.diff(cine.trigger_ms, axis=1) > 0).all()
    depth = [g.origin @ cine.geometries[0].normal for g in cine.geometries]
    assert np.allclose(np.diff(depth), 10.0, atol=0.01)  # every other slice of a 5 mm prescription
    assert cine.source.vendor == "GE MEDICAL SYSTEMS"
    assert cine.source.field_strength_t == 1.5
    assert cine.source.ignored == ()
    # The pixels are the file's own: RescaleSlope is absent.
    first = pydicom.dcmread(cine.source.files[3][11])
    assert np.array_equal(cine.images[3, 11], first.pixel_array)
