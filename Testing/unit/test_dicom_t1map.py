"""Native T1 maps: vendor scales, what is refused, what is set aside."""

from __future__ import annotations

import numpy as np
import pytest
from dicom_cases import edit, oblique_geometries, smooth_cine, t1_slices

from T1DiffLogic import StudyError, load_t1_map
from T1DiffLogic.dicom.frames import PHILIPS_MR
from T1DiffLogic.dicom.t1map import tissue_medians, to_ms
from T1DiffLogic.phantom import DIALECTS
from T1DiffLogic.phantom.dicom_headers import Identity, mr_image, save_shuffled
from T1DiffLogic.phantom.dicom_writer import write_cine, write_screenshot, write_t1_map
from T1DiffLogic.study import T1Map


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_comes_back_in_ms(tmp_path, dialect):
    t1 = t1_slices()
    write_t1_map(t1, tmp_path, dialect)
    write_cine(smooth_cine(phases=3), tmp_path, dialect)
    read = load_t1_map(tmp_path)
    assert np.abs(read.values_ms - t1.values_ms).max() <= 0.51
    for own, other in zip(read.geometries, t1.geometries):
        assert np.abs(own.origin - other.origin).max() < 1e-3
    assert "RescaleSlope" in read.notes[0] and "×" in read.notes[0]
    assert sum("cine" in n for n in read.notes) >= 1


@pytest.mark.parametrize("factor", [10.0, 0.1, 1e-3])
def test_other_units_are_found_and_noted(tmp_path, factor):
    """Stored in tenths of ms, tens of ms, or with a slope that gives seconds."""
    t1 = t1_slices()
    paths = write_t1_map(t1, tmp_path, "siemens")

    def change(dataset, number):
        dataset.RescaleSlope, dataset.RescaleIntercept = factor, 0

    edit(paths, change)
    read = load_t1_map(tmp_path)
    assert np.abs(read.values_ms - t1.values_ms).max() < 0.6
    assert f"× {1 / factor:g}" in read.notes[0]


def test_philips_floating_point_scale_when_the_public_one_is_for_display(tmp_path):
    t1 = t1_slices()
    paths = write_t1_map(t1, tmp_path, "philips")

    def change(dataset, number):
        dataset.RescaleSlope, dataset.RescaleIntercept = 0.0371, 0
        block = dataset.private_block(0x2005, PHILIPS_MR)
        block[0x0E].value, block[0x0D].value = 2.0, 0.0  # stored values are ms × 2

    edit(paths, change)
    read = load_t1_map(tmp_path)
    assert np.abs(read.values_ms - t1.values_ms).max() < 0.6
    assert "2005,100E" in read.notes[0]


@pytest.mark.parametrize("factor", [0.37, 3.0, 40.0])
def test_no_plausible_scale_fails_loudly(tmp_path, factor):
    t1 = t1_slices()
    write_t1_map(T1Map(t1.values_ms * factor, t1.geometries), tmp_path, "ge")
    with pytest.raises(StudyError, match="no plausible scale"):
        load_t1_map(tmp_path)


def test_screenshot_is_refused_with_the_reason(tmp_path):
    write_screenshot(t1_slices(), tmp_path)
    with pytest.raises(StudyError, match=r"SamplesPerPixel \(0028,0002\) = 3"):
        load_t1_map(tmp_path)


def test_grey_secondary_capture_is_refused(tmp_path):
    paths = write_t1_map(t1_slices(), tmp_path, "siemens")

    def change(dataset, number):
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"

    edit(paths, change)
    with pytest.raises(StudyError, match="Secondary Capture"):
        load_t1_map(tmp_path)


def test_inversion_images_are_no_map(tmp_path):
    identity = Identity(0, None, "SIEMENS")
    series = identity.uid("series", 7)
    datasets = []
    for k, inversion in enumerate((100, 180, 260, 1100, 1180)):
        dataset = mr_image(np.full((40, 48), 900.0), oblique_geometries()[0], identity, series, 7, k)
        dataset.SeriesDescription, dataset.InversionTime = "T1Map_MOLLI", inversion
        datasets.append(dataset)
    save_shuffled(datasets, tmp_path, identity, 7)
    with pytest.raises(StudyError, match="inversion images; give"):
        load_t1_map(tmp_path)


def test_map_after_contrast_is_not_native(tmp_path):
    t1 = t1_slices()
    write_t1_map(t1, tmp_path, "siemens")
    other = write_t1_map(T1Map(t1.values_ms * 0.9, t1.geometries), tmp_path / "post", "siemens")

    def change(dataset, number):
        dataset.SeriesDescription = "T1Map_postcon_MOCO_T1"
        dataset.SeriesInstanceUID += ".1"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = (
            dataset.SOPInstanceUID[:-3] + ".9"
        )
        dataset.AcquisitionTime = "120000"

    edit(other, change)
    read = load_t1_map(tmp_path)
    assert np.abs(read.values_ms - t1.values_ms).max() <= 0.51
    assert any("after contrast" in n for n in read.notes)


def test_medians_see_two_classes_whatever_lies_around():
    values = np.zeros((1, 80, 80))
    rng = np.random.default_rng(1)
    values[0] = rng.uniform(0, 4000, (80, 80))  # air in a fitted map is noise
    values[0, 20:60, 20:60] = rng.normal(1190, 40, (40, 40))
    values[0, 32:48, 32:48] = rng.normal(1830, 40, (16, 16))
    low, high = tissue_medians(values)
    assert abs(low - 1190) < 15 and abs(high - 1830) < 15
    assert tissue_medians(values * 0) is None


def test_liver_in_view_does_not_hide_the_heart():
    rng = np.random.default_rng(2)
    values = rng.normal(690, 70, (1, 80, 80))
    values[0, 26:54, 26:54] = rng.normal(1210, 60, (28, 28))
    values[0, 31:49, 31:49] = rng.normal(1720, 60, (18, 18))
    low, high = tissue_medians(values)
    assert abs(low - 1210) < 30 and abs(high - 1720) < 30
    assert all(tissue_medians(values * k) is None for k in (0.01, 0.1, 10, 100))


def test_negative_and_missing_values_become_no_value():
    t1 = t1_slices().values_ms.copy()
    t1[0, 0, 0], t1[0, 0, 1] = -50, np.nan
    values, _ = to_ms([("as stored", t1)])
    assert values[0, 0, 0] == 0 and values[0, 0, 1] == 0
