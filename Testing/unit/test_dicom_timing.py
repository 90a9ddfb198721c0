"""Phase order without trigger times, and slices of differing phase counts."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from dicom_cases import edit, smooth_cine

from T1DiffLogic import StudyError, load_cine
from T1DiffLogic.dicom.timing import resample_cycle
from T1DiffLogic.phantom.dicom_headers import Identity
from T1DiffLogic.phantom.dicom_writer import write_cine


def remove(dataset, *keywords):
    for keyword in keywords:
        if keyword in dataset:
            delattr(dataset, keyword)


def assert_phases_in_order(read, cine):
    """Written and read phases agree one to one, whatever the clock."""
    for s in range(cine.n_slices):
        for p in range(cine.n_phases):
            r = np.corrcoef(read.images[s, p].ravel(), cine.images[s, p].ravel())[0, 1]
            assert r > 0.9999


@pytest.mark.parametrize("trigger", ["missing", "equal"])
def test_philips_phase_number_replaces_trigger_times(tmp_path, trigger):
    cine = smooth_cine()
    paths = write_cine(cine, tmp_path, "philips", extras=False)

    def change(dataset, number):
        if trigger == "missing":
            remove(dataset, "TriggerTime")
        else:
            dataset.TriggerTime = 0

    edit(paths, change)
    read = load_cine(tmp_path)
    assert_phases_in_order(read, cine)
    assert np.allclose(read.trigger_ms, np.arange(8) * 100)  # eight parts of NominalInterval 800
    assert any("PhaseNumber (2001,1008)" in n for n in read.source.notes)


def test_temporal_position_then_acquisition_time_then_instance_number(tmp_path):
    cine = smooth_cine()
    rng = np.random.default_rng(3)

    def without_trigger(dataset, number):
        remove(dataset, "TriggerTime", "NominalInterval", "HeartRate")
        dataset.TemporalPositionIdentifier = number % 8 + 1
        dataset.AcquisitionTime = "100000"
        dataset.InstanceNumber = int(rng.integers(10**6))

    paths = write_cine(cine, tmp_path / "temporal", "ge", extras=False)
    edit(paths, without_trigger)
    read = load_cine(tmp_path / "temporal")
    assert_phases_in_order(read, cine)
    assert np.allclose(read.trigger_ms, np.arange(8) * 125)  # eight parts of an assumed second
    assert any("TemporalPositionIdentifier" in n for n in read.source.notes)
    assert any("1000 ms is assumed" in n for n in read.source.notes)

    def with_acquisition_time(dataset, number):
        without_trigger(dataset, number)
        remove(dataset, "TemporalPositionIdentifier")
        dataset.AcquisitionTime = Identity.clock(number // 8 * 20 + number % 8 * 0.06)

    paths = write_cine(cine, tmp_path / "acquired", "ge", extras=False)
    edit(paths, with_acquisition_time)
    read = load_cine(tmp_path / "acquired")
    assert_phases_in_order(read, cine)
    assert np.allclose(read.trigger_ms, np.arange(8) * 60, atol=0.01)
    assert any("AcquisitionTime" in n for n in read.source.notes)

    def with_instance_number(dataset, number):
        remove(dataset, "TriggerTime", "AcquisitionTime")

    paths = write_cine(cine, tmp_path / "instance", "ge", extras=False)
    edit(paths, with_instance_number)
    read = load_cine(tmp_path / "instance")
    assert_phases_in_order(read, cine)
    assert any("InstanceNumber" in n for n in read.source.notes)


def test_enhanced_without_delays_uses_dimension_indices(tmp_path):
    cine = smooth_cine()
    paths = write_cine(cine, tmp_path, "enhanced", extras=False)

    def change(dataset, number):
        groups = dataset.PerFrameFunctionalGroupsSequence
        for group in groups:
            del group.CardiacSynchronizationSequence
        # Frames in the reverse order, pixels with them: only the indices tell the phase.
        frames = np.frombuffer(dataset.PixelData, "<u2").reshape(len(groups), -1)
        dataset.PixelData = frames[::-1].tobytes()
        dataset.PerFrameFunctionalGroupsSequence = list(groups)[::-1]

    edit(paths, change)
    assert_phases_in_order(load_cine(tmp_path), cine)


def test_slice_acquired_twice_in_one_series(tmp_path):
    cine = smooth_cine()
    paths = write_cine(cine, tmp_path, "ge", extras=False)
    repeats = write_cine(cine, tmp_path / "again", "ge", seed=1, extras=False)
    first = pydicom.dcmread(paths[0], stop_before_pixels=True)

    def join(dataset, number):
        for keyword in ("SeriesInstanceUID", "StudyInstanceUID", "PatientID", "PatientName"):
            setattr(dataset, keyword, first[keyword].value)
        dataset.AcquisitionTime = "120000"
        dataset.PixelData = np.full((40, 48), 77, "<i2").tobytes()

    edit(repeats, join)
    read = load_cine(tmp_path)
    assert read.images.shape == cine.images.shape
    assert (read.images == 77).all()
    assert any("acquired 2 times over" in n for n in read.source.notes)


def test_differing_phase_counts_are_resampled_in_cycle_time(tmp_path):
    """A slice with 12 phases among slices with 8: its motion is the same cosine, so it must match."""
    usual, dense = smooth_cine(phases=8), smooth_cine(phases=12)
    for path in write_cine(usual, tmp_path, "siemens", extras=False)[16:24]:
        path.unlink()
    paths = write_cine(dense, tmp_path / "dense", "siemens", extras=False)
    for path in paths[:24] + paths[36:]:
        path.unlink()
    read = load_cine(tmp_path)
    assert read.images.shape == usual.images.shape
    scaled = read.images * usual.images.max() / 4095
    assert np.abs(scaled[2] - usual.images[2]).max() < 0.05 * 420  # linear interpolation of a cosine
    assert np.allclose(read.trigger_ms[2] - read.trigger_ms[2, 0], np.arange(8) * 100, atol=0.5)
    assert np.allclose(scaled[1], usual.images[1], atol=0.2)
    assert any("12 phases and was resampled to 8" in n for n in read.source.notes), read.source.notes


def test_resampling_is_exact_for_piecewise_linear_motion():
    times = np.array([5.0, 105, 205, 305])
    images = np.array([0.0, 4, 8, 4])[:, None, None]
    result = resample_cycle(images, times, 400.0, np.arange(8) / 8)
    assert np.allclose(result[:, 0, 0], [0, 2, 4, 6, 8, 6, 4, 2])


def test_slice_with_one_phase_is_left_out(tmp_path):
    paths = write_cine(smooth_cine(), tmp_path, "ge", extras=False)
    for path in paths[-7:]:
        path.unlink()
    read = load_cine(tmp_path)
    assert read.n_slices == 4
    assert any("single phase" in n for n in read.source.notes)


def test_one_phase_everywhere_is_refused(tmp_path):
    paths = write_cine(smooth_cine(), tmp_path, "ge", extras=False)
    for number, path in enumerate(paths):
        if number % 8:
            path.unlink()
    with pytest.raises(StudyError, match="one phase"):
        load_cine(tmp_path)
