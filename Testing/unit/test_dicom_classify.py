"""Series of one study told apart by content and geometry, and named when set aside."""

from __future__ import annotations

import numpy as np
import pytest
from dicom_cases import oblique_geometries, smooth_cine, t1_slices

from T1DiffLogic import StudyError, load_cine
from T1DiffLogic.dicom.classify import classify
from T1DiffLogic.dicom.enhanced import frames_of
from T1DiffLogic.dicom.files import find_images
from T1DiffLogic.phantom.dicom_headers import Identity, mr_image, save_shuffled
from T1DiffLogic.phantom.dicom_writer import write_cine, write_screenshot, write_t1_map
from T1DiffLogic.phantom.long_axis import orthogonal_planes
from T1DiffLogic.study import Cine, SliceGeometry

IMAGE = np.full((40, 48), 500.0)


def write_series(folder, number, images, description="", seed=0):
    """`images`: (geometry, {keyword: value}) each; one series of MR images of the study of `seed`."""
    identity = Identity(seed, None, "SIEMENS")
    series = identity.uid("series", number)
    datasets = []
    for instance, (geometry, values) in enumerate(images, start=1):
        image = IMAGE[: geometry.shape[0], : geometry.shape[1]]
        dataset = mr_image(image, geometry, identity, series, number, instance)
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M"]
        dataset.SeriesDescription = description
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        datasets.append(dataset)
    return save_shuffled(datasets, folder, identity, number)


def kinds(folder):
    return [v.kind for v in classify(frames_of(find_images(folder)))]


SLICES = oblique_geometries()


def beats(n, **values):
    """n images at each of three slices, one per heart beat, all at one trigger delay."""
    return [
        (g, {"AcquisitionTime": Identity.clock(k * 0.85), "TriggerTime": 310.0, **values})
        for g in SLICES[:3]
        for k in range(n)
    ]


OTHERS = {
    "perfusion": (beats(30), ""),
    "perfusion with contrast agent": (
        [(g, {"ContrastBolusAgent": "Gd"}) for g in SLICES[:3] for _ in range(20)],
        "",
    ),
    "perfusion by cumulative trigger times": (
        [(g, {"TriggerTime": 800.0 * k}) for g in SLICES[:3] for k in range(20)],
        "",
    ),
    "inversion series": (
        [
            (g, {"InversionTime": t, "TriggerTime": 500 + k})
            for g in SLICES[:3]
            for k, t in enumerate((100, 180, 260, 1100, 1180, 2100, 3100, 4100))
        ],
        "",
    ),  # fmt: skip
    "late gadolinium enhancement": ([(g, {"InversionTime": 300.0}) for g in SLICES], ""),
    "late gadolinium enhancement by name": ([(g, {}) for g in SLICES], "PSIR_late_SAX"),
    "single-phase images": ([(g, {}) for g in SLICES], ""),
    "other": (
        [(g, {"TriggerTime": 40.0 * k}) for g in SLICES for k in range(8)],
        "cine_tagging_SAX",
    ),
    "other parametric map": ([(g, {"ImageType": ["DERIVED", "PRIMARY", "M", "T2 MAP"]}) for g in SLICES], ""),
    "phase or complex images": (
        [
            (g, {"TriggerTime": 40.0 * k, "ImageType": ["ORIGINAL", "PRIMARY", "P", "RETRO"]})
            for g in SLICES
            for k in range(8)
        ],
        "",
    ),  # fmt: skip
}


@pytest.mark.parametrize("case", OTHERS)
def test_series_beside_the_cine_is_named_and_left_out(tmp_path, case):
    """Each lies on the very slices of the cine, as in life, and must not replace them."""
    kind = case.split(" by ")[0].split(" with ")[0]
    images, description = OTHERS[case]
    cine = smooth_cine()
    write_cine(cine, tmp_path, "siemens", extras=False)
    write_series(tmp_path, 50, images, description)
    assert [k for k in kinds(tmp_path) if k != "cine"] == [kind]
    read = load_cine(tmp_path)
    assert read.images.shape == cine.images.shape
    assert np.allclose(read.images[2, 3] * cine.images.max() / 4095, cine.images[2, 3], atol=0.1)
    (sentence,) = read.source.ignored
    assert sentence.startswith("Series 50") and kind in sentence


def test_maps_and_captures_beside_the_cine(tmp_path):
    write_cine(smooth_cine(), tmp_path, "siemens")
    write_t1_map(t1_slices(), tmp_path, "siemens")
    write_screenshot(t1_slices(), tmp_path)
    found = kinds(tmp_path)
    assert sorted(set(found)) == ["T1 map", "cine", "scout", "secondary capture"]
    read = load_cine(tmp_path)
    assert read.images.shape == (5, 8, 40, 48)
    assert len(read.source.ignored) == 5


def test_cine_after_contrast_is_still_a_cine(tmp_path):
    images = [(g, {"TriggerTime": 35.0 * k, "ContrastBolusAgent": "Gd"}) for g in SLICES for k in range(20)]
    write_series(tmp_path, 4, images)
    assert load_cine(tmp_path).images.shape[:2] == (5, 20)


def test_scout_without_words_is_told_by_its_orientations(tmp_path):
    planes = [
        SliceGeometry(g.origin, g.row_direction, g.column_direction, g.spacing, (40, 48))
        for g in orthogonal_planes(smooth_cine())
    ]
    write_series(tmp_path, 2, [(g, {}) for g in planes])
    assert kinds(tmp_path) == ["scout"]


def test_larger_of_two_stacks_wins_and_is_noted(tmp_path):
    """A second parallel stack of another orientation, three slices, unnamed."""
    cine = smooth_cine()
    small = smooth_cine(positions=(0.0, 8.0, 16.0), seed=9)
    write_cine(cine, tmp_path, "ge", extras=False)
    write_series(tmp_path, 60, [(g, {"TriggerTime": 50.0 * k}) for g in small.geometries for k in range(8)])
    read = load_cine(tmp_path)
    assert read.n_slices == 5
    assert any("2 parallel cine stacks" in n for n in read.source.notes)
    assert any("Series 60" in s for s in read.source.ignored)


def test_name_decides_between_stacks(tmp_path):
    """A long-axis stack with more slices does not displace the stack that is named short-axis."""
    many = smooth_cine(positions=tuple(range(0, 72, 8)), seed=4)
    write_series(
        tmp_path, 5, [(g, {"TriggerTime": 50.0 * k}) for g in many.geometries for k in range(6)], "cine 4ch"
    )
    write_series(tmp_path, 6, [(g, {"TriggerTime": 50.0 * k}) for g in SLICES for k in range(6)], "cine SA")
    assert load_cine(tmp_path).n_slices == 5


def test_only_long_axis_views_are_refused(tmp_path):
    cine = smooth_cine()
    write_cine(cine, tmp_path, "siemens")
    for path in tmp_path.glob("IM_01*"):
        path.unlink()
    with pytest.raises(StudyError, match="no short-axis cine stack.*localizer"):
        load_cine(tmp_path)


def test_lone_slice_is_taken_with_a_note(tmp_path):
    cine = smooth_cine(positions=(0.0,))
    write_cine(cine, tmp_path, "philips", extras=False)
    read = load_cine(tmp_path)
    assert isinstance(read, Cine) and read.n_slices == 1
    assert any("1 slice" in n for n in read.source.notes)


def test_repeated_slice_keeps_the_later(tmp_path):
    cine = smooth_cine()
    write_cine(cine, tmp_path, "siemens", extras=False)
    again = [(SLICES[2], {"TriggerTime": float(t), "AcquisitionTime": "110000"}) for t in cine.trigger_ms[2]]
    write_series(tmp_path, 5, again, "cine_SAX")
    read = load_cine(tmp_path)
    assert read.n_slices == 5
    assert (read.images[2] == 500).all() and (read.images[1] != 500).any()
    assert any("acquired twice" in n for n in read.source.notes)


def test_later_but_broken_off_repeat_is_not_used(tmp_path):
    cine = smooth_cine()
    write_cine(cine, tmp_path, "siemens", extras=False)
    write_series(tmp_path, 70, [(SLICES[2], {"TriggerTime": 100.0 * k, "AcquisitionTime": "110000"})
                                for k in range(3)], "cine_SAX")  # fmt: skip
    assert (load_cine(tmp_path).images[2] != 500).any()
