"""MOLLI series from DICOM: the vendors' inversion times, and telling them from all that lies beside them."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from dicom_cases import edit, oblique_geometries, smooth_cine
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from T1DiffLogic.dicom.cine import read_cine
from T1DiffLogic.dicom.molli import InversionSeries, find_inversion_series, fit_series, load_inversion_series
from T1DiffLogic.dicom.t1map import read_t1_map
from T1DiffLogic.errors import StudyError
from T1DiffLogic.phantom.dicom_inversion import write_inversion_series
from T1DiffLogic.phantom.dicom_writer import write_cine, write_screenshot, write_t1_map
from T1DiffLogic.study import T1Map

TIMES = np.array([120.0, 200, 1100, 1180, 2080, 2160, 3060, 4040])
INVERSION = np.array([0, 1, 0, 1, 0, 1, 0, 0])
POSITIONS = (0.0, 9.0, 21.0)


def t1_truth():
    y, x = np.mgrid[:40, :48]
    radius = np.hypot(y - 20, x - 24)
    return np.select([radius < 7, radius < 14], [1830.0, 1215.0], 0) + np.arange(3)[:, None, None] * 10.0


def molli(positions=POSITIONS, signed=False, seed=3) -> InversionSeries:
    """A blood pool in muscle, a little longer T1 and a little later images from slice to slice; 12 bits."""
    truth = t1_truth()[: len(positions)]
    times = TIMES + 7.0 * np.arange(len(positions))[:, None]
    signal = 1 - (1 + 1 / 0.86) * np.exp(-times[:, :, None, None] / (0.86 * np.maximum(truth[:, None], 1)))
    signal = 2000 * signal * (truth[:, None] > 100)
    images = np.round(signal if signed else np.abs(signal))
    geometries = oblique_geometries(positions=positions, seed=seed)
    inversion = np.tile(INVERSION, (len(positions), 1))
    return InversionSeries(images, times, inversion, geometries, signed)


def scanner_map() -> T1Map:
    return T1Map(np.where(t1_truth() > 100, t1_truth(), 0), molli().geometries)


def check(series: InversionSeries, t1, r2) -> None:
    truth = t1_truth()[: series.n_slices]
    inside = truth > 100
    np.testing.assert_allclose(t1.values_ms[inside], truth[inside], atol=3)  # images are integers
    assert not t1.values_ms[~inside].any() and not r2[~inside].any() and r2[inside].min() > 0.999


@pytest.mark.parametrize("dialect", ["siemens", "philips", "ge", "enhanced"])
def test_every_dialect_gives_images_times_and_t1_back(tmp_path, dialect):
    own = molli()
    write_inversion_series(own, tmp_path, dialect)
    (found,) = find_inversion_series(tmp_path)
    series = load_inversion_series(found)
    np.testing.assert_array_equal(series.images, own.images)
    np.testing.assert_allclose(series.times_ms, own.times_ms, atol=0.05)
    for a, b in zip(series.geometries, own.geometries):
        np.testing.assert_allclose(a.origin, b.origin, atol=1e-3)
        np.testing.assert_allclose(a.normal, b.normal, atol=1e-6)
    if dialect != "enhanced":  # whose frames tell no time of acquisition
        assert [series.trains(s) for s in range(3)] == [(5, 3)] * 3
    check(series, *fit_series(series))


def test_the_whole_examination_lies_in_one_folder(tmp_path):
    """Cine, scouts, long axis, the scanner's maps, a screen shot, LGE, a TI scout, MOLLI before and after
    motion correction."""
    own = molli()
    cine = smooth_cine(positions=POSITIONS, seed=3)
    write_cine(cine, tmp_path, "siemens")
    maps = T1Map(t1_truth(), own.geometries)
    edit(write_t1_map(maps, tmp_path, "siemens"), lambda d, _: setattr(d, "InversionTime", 120))
    write_screenshot(maps, tmp_path)
    write_inversion_series(own, tmp_path, "siemens")
    write_inversion_series(own, tmp_path, "siemens", motion_corrected=True)
    for name, times in (("LGE_PSIR", [280, 300, 320, 340]), ("TI_scout", np.arange(60, 860, 25))):
        copies = []
        for n, time in enumerate(times):
            d = pydicom.dcmread(next(tmp_path.glob("IM_070_*")))
            d.InversionTime, d.SeriesDescription = float(time), name
            d.SOPInstanceUID, d.SeriesNumber = generate_uid(), 200 + len(times)
            d.SeriesInstanceUID = generate_uid(entropy_srcs=[name, str(n if "LGE" in name else 0)])
            copies.append(d)
            d.save_as(tmp_path / f"{name}_{n}")
    first, second = find_inversion_series(tmp_path)
    assert first.motion_corrected and not second.motion_corrected
    assert len(first.slices) == len(second.slices) == 3
    assert {len(s.frames) for s in first.slices + second.slices} == {8}


def test_times_in_comments_when_the_tag_is_the_same_everywhere(tmp_path):
    paths = write_inversion_series(molli(), tmp_path, "siemens")
    edit(paths, lambda d, _: setattr(d, "InversionTime", 120))
    series = load_inversion_series(tmp_path)
    np.testing.assert_allclose(series.times_ms, molli().times_ms, atol=0.6)
    assert any("ImageComments (0020,4000)" in n for n in series.notes)


def test_times_in_trigger_times_of_a_series_called_molli(tmp_path):
    own = molli()
    times = own.times_ms.ravel()

    def change(d, n):
        del d.InversionTime
        d.ImageComments, d.TriggerTime = "", round(float(times[n]), 2)

    edit(write_inversion_series(own, tmp_path / "a", "siemens"), change)
    np.testing.assert_allclose(load_inversion_series(tmp_path / "a").times_ms, own.times_ms, atol=0.01)
    with pytest.raises(StudyError, match=r"InversionTime \(0018,0082\)"):  # a cine has trigger times, too
        write_cine(smooth_cine(), tmp_path / "b", "ge", extras=False)
        find_inversion_series(tmp_path / "b")


def test_times_in_siemens_private_frames(tmp_path):
    paths = write_inversion_series(molli(), tmp_path, "enhanced")

    def change(d, _):
        for frame in d.PerFrameFunctionalGroupsSequence:
            time = frame.MRModifierSequence[0].InversionTimes[0]
            del frame.MRModifierSequence
            item, creator = Dataset(), "SIEMENS MR SDI 02"
            item.private_block(0x0021, creator, create=True).add_new(0x89, "FD", time)
            frame.private_block(0x0021, creator, create=True).add_new(0xFE, "SQ", Sequence([item]))

    edit(paths, change)
    series = load_inversion_series(tmp_path)
    np.testing.assert_allclose(series.times_ms, molli().times_ms, atol=1e-6)


def test_one_series_per_inversion_time(tmp_path):
    """Each of the eight images of every slice in a series of its own, and the scanner's map beside them."""
    own = molli()

    def change(d, n):
        d.SeriesInstanceUID = generate_uid(entropy_srcs=[str(n % 8)])
        d.SeriesNumber, d.SeriesDescription = 300 + n % 8, f"MOLLI TI {n % 8}"

    edit(write_inversion_series(own, tmp_path, "siemens"), change)
    maps = write_t1_map(T1Map(t1_truth(), own.geometries), tmp_path, "siemens")
    types = ["DERIVED", "PRIMARY", "M", "T1", "NORM"]
    told = {"InversionTime": 500, "ImageType": types, "SeriesDescription": "MOLLI"}
    edit(maps, lambda d, _: d.update(told))
    (found,) = find_inversion_series(tmp_path)
    series = load_inversion_series(found)
    np.testing.assert_array_equal(series.images, own.images)


def test_copies_of_an_image_count_once(tmp_path):
    paths = write_inversion_series(molli(), tmp_path, "siemens")
    for k, path in enumerate(paths[:3]):
        d = pydicom.dcmread(path)
        if k:  # exported again under a new identity
            d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        d.save_as(tmp_path / f"again_{k}")
    series = load_inversion_series(tmp_path)
    assert series.images.shape[1] == 8
    check(series, *fit_series(series))


def test_a_lost_image_costs_its_slice_no_more(tmp_path):
    paths = write_inversion_series(molli(), tmp_path, "siemens")
    paths[8 + 5].unlink()
    series = load_inversion_series(tmp_path)
    assert np.isfinite(series.times_ms).sum(axis=1).tolist() == [8, 7, 8]
    assert any("fewer" in n for n in series.notes)
    check(series, *fit_series(series))


def test_native_comes_before_contrast_and_a_later_repeat_is_another_set(tmp_path):
    native = molli()
    later = InversionSeries(native.images * 0.5, native.times_ms, native.inversion, native.geometries)
    write_inversion_series(native, tmp_path, "ge")

    def move(d, _):
        d.AcquisitionTime = f"{int(d.AcquisitionTime[:2]) + 1:02d}{d.AcquisitionTime[2:]}"
        d.SeriesInstanceUID, d.SeriesNumber = generate_uid(entropy_srcs=["later"]), 900
        d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = generate_uid()

    edit(write_inversion_series(later, tmp_path / "later", "ge"), move)
    first, second = find_inversion_series(tmp_path)
    assert first.series_numbers == (70,) and second.series_numbers == (900,)
    edit(tmp_path.glob("IM_*"), lambda d, _: setattr(d, "ContrastBolusAgent", "Gadobutrol"))
    assert find_inversion_series(tmp_path)[0].series_numbers == (900,)


def test_phase_sensitive_images_are_fitted_with_their_sign(tmp_path):
    own = molli(signed=True)
    lifted = InversionSeries(own.images + 4096, own.times_ms, own.inversion, own.geometries)
    paths = write_inversion_series(lifted, tmp_path, "siemens")

    def real(d, _):
        d.ImageType = ["ORIGINAL", "PRIMARY", "R", "PSIR"]
        d.RescaleSlope, d.RescaleIntercept = 1, -4096

    edit(paths, real)
    series = load_inversion_series(tmp_path)
    assert series.signed
    check(series, *fit_series(series))
    edit(paths, lambda d, _: delattr(d, "RescaleIntercept"))
    with pytest.raises(StudyError, match="RescaleIntercept"):
        load_inversion_series(tmp_path)


def test_phase_images_beside_the_magnitude_are_left_alone(tmp_path):
    write_inversion_series(molli(), tmp_path, "siemens")
    paths = write_inversion_series(molli(seed=3), tmp_path / "phase", "siemens")

    def phase(d, _):
        d.ImageType = ["ORIGINAL", "PRIMARY", "P", "DIS2D"]
        d.SeriesInstanceUID = generate_uid(entropy_srcs=[d.SeriesInstanceUID])

    edit(paths, phase)
    (found,) = find_inversion_series(tmp_path)
    assert all("P" not in f.image_type for s in found.slices for f in s.frames)
    with pytest.raises(StudyError, match="phase images"):
        find_inversion_series(tmp_path / "phase")


def test_philips_scale_that_differs_from_image_to_image(tmp_path):
    """Rescaled values are then on as many scales as there are images; the floating-point ones are on one."""
    own = molli()

    def scale(d, n):
        factor = 1 + 0.1 * (n % 8)
        d.RescaleSlope = 0.25 / factor
        d.private_block(0x2005, "Philips MR Imaging DD 001")[0x0E].value = 4.0 * factor
        stored = np.round(own.images.reshape(-1, 40, 48)[n] * 4 * factor)
        d.PixelData = stored.astype("<u2").tobytes()
        d.RescaleSlope = 1

    edit(write_inversion_series(own, tmp_path, "philips"), scale)
    series = load_inversion_series(tmp_path)
    check(series, *fit_series(series))


def test_without_geometry_a_series_is_a_slice(tmp_path):
    def strip(d, _):
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImageType"):
            delattr(d, keyword)

    edit(write_inversion_series(molli(), tmp_path, "siemens"), strip)
    series = load_inversion_series(tmp_path)
    assert series.images.shape[:2] == (3, 8) and any("no slice position" in n for n in series.notes)


def test_correction_is_a_factor_and_off_by_default(tmp_path):
    series = molli()
    plain, corrected = fit_series(series)[0], fit_series(series, correction=1.04)[0]
    np.testing.assert_allclose(corrected.values_ms, plain.values_ms * 1.04, rtol=1e-6)
    assert any("1.04" in n for n in corrected.notes) and not any("multiplied" in n for n in plain.notes)


def test_shmolli_gets_its_conditional_fit():
    times = np.array([[100.0, 180, 260, 1000, 1900, 2800, 3700]])
    pulses = np.array([[0, 1, 2, 0, 0, 0, 0]])
    t1 = 1400.0
    signal = np.abs(1 - 2.16 * np.exp(-times / (0.86 * t1)))
    signal[0, 1:3] *= 0.8  # what an incomplete recovery leaves of the later inversions
    images = np.broadcast_to(1000 * signal[:, :, None, None], (1, 7, 40, 48))
    series = InversionSeries(images, times, pulses, oblique_geometries(positions=(0.0,)))
    fitted, _ = fit_series(series)
    np.testing.assert_allclose(fitted.values_ms, 0.86 * t1 * 1.16, atol=1)
    assert any("ShMOLLI" in n for n in fitted.notes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d, n: delattr(d, "InversionTime") or delattr(d, "ImageComments"), "0018,0082"),
        (lambda d, n: setattr(d, "SliceThickness", 8) or _move(d, n), "no slice has 4"),
        (lambda d, n: d.update({"InversionTime": 150, "ImageComments": ""}), "no slice has 4"),
        (lambda d, n: d.update({"SamplesPerPixel": 3, "PixelData": 3 * d.PixelData}), "colour"),
        (lambda d, n: setattr(d, "PatientID", f"somebody {n % 2}"), "several patients"),
        (lambda d, n: setattr(d, "RescaleSlope", "1e39"), "infinite"),
        (lambda d, n: setattr(d, "PixelData", d.PixelData[:200]), "cut short"),
    ],
    ids=["no times", "mixed positions", "one time", "colour", "patients", "not finite", "cut"],
)
def test_what_cannot_be_fitted_is_one_sentence(tmp_path, change, said):
    edit(write_inversion_series(molli(), tmp_path, "siemens"), change)
    with pytest.raises(StudyError, match=said) as told:
        load_inversion_series(tmp_path)
    assert "somebody" not in str(told.value)


def _move(d, n):
    d.ImagePositionPatient = [float(v) + 40.0 * n for v in d.ImagePositionPatient]


@pytest.mark.parametrize("dialect", ["siemens", "philips", "ge", "enhanced"])
def test_cine_and_t1_map_are_found_beside_the_inversion_images(tmp_path, dialect):
    cine = smooth_cine(positions=POSITIONS, seed=3)
    write_cine(cine, tmp_path, dialect, extras=False)
    write_inversion_series(molli(), tmp_path, dialect)
    write_t1_map(scanner_map(), tmp_path, dialect)
    found = read_cine(tmp_path)
    assert found.images.shape == cine.images.shape
    assert any("inversion series" in sentence for sentence in found.source.ignored)
    np.testing.assert_allclose(read_t1_map(tmp_path).values_ms.max(axis=(1, 2)), [1830, 1840, 1850], atol=1)


def test_a_map_that_shmolli_marks_as_phase_is_the_map(tmp_path):
    write_inversion_series(molli(), tmp_path, "siemens")
    maps = write_t1_map(scanner_map(), tmp_path, "siemens")

    def mark(d, _):
        d.ImageType, d.SeriesDescription = ["ORIGINAL", "PRIMARY", "P", "DIS2D"], "ShMOLLI_192i_e11_T1MAP"

    edit(maps, mark)
    assert read_t1_map(tmp_path).n_slices == 3
    assert len(find_inversion_series(tmp_path)) == 1


def test_the_inversions_of_shmolli_are_told_apart(tmp_path):
    """The time grows from the second to the third inversion, too, but by less than a heart beat."""
    times = np.array([[100.0, 180, 260, 1000, 1900, 2800, 3700]])
    pulses = np.array([[0, 1, 2, 0, 0, 0, 0]])
    images = np.round(np.random.default_rng(0).uniform(100, 900, (1, 7, 40, 48)))
    own = InversionSeries(images, times, pulses, oblique_geometries(positions=(0.0,)))
    write_inversion_series(own, tmp_path, "siemens")
    series = load_inversion_series(tmp_path)
    assert series.trains(0) == (5, 1, 1)
    np.testing.assert_array_equal(series.inversion, pulses)


def test_where_nothing_recovers_there_is_no_t1():
    own = molli()
    air = np.abs(np.random.default_rng(5).normal(0, 30, own.images.shape))
    series = InversionSeries(
        np.where(own.images > 0, own.images, air), own.times_ms, own.inversion, own.geometries
    )
    outside = t1_truth() <= 100
    masked, r2 = fit_series(series)
    whole, same = fit_series(series, min_r2=0.0)
    np.testing.assert_array_equal(r2, same)
    assert not masked.values_ms[r2 < 0.95].any() and (masked.values_ms[outside] > 0).mean() < 0.1
    assert (whole.values_ms[outside] > 0).mean() > 0.3
    np.testing.assert_array_equal(masked.values_ms[~outside], whole.values_ms[~outside])
