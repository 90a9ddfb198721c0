"""dicom/ opens again in highdicom and pydicom: the same numbers at the same places, whatever the source."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import dicom_output_cases as cases
import numpy as np
import pydicom
import pytest
from PIL import Image

highdicom = pytest.importorskip("highdicom", reason="highdicom (extra 'dicom') is not installed")

from T1DiffLogic.phantom import DIALECTS  # noqa: E402

ED = 1


def made(folder, dialect, **options):
    cine, _ = cases.source_study(folder / "in", dialect, **options)
    synthesis = cases.result_of(cine)
    files, notes = cases.write(synthesis, folder)
    assert not notes
    return SimpleNamespace(
        folder=folder, dialect=dialect, synthesis=synthesis, files=files, geometries=cine.geometries
    )


@pytest.fixture(scope="module", params=DIALECTS)
def written(request, tmp_path_factory):
    """An oblique stack with uneven gaps: slice 2 was not judged, slice 3 lies outside the LV."""
    return made(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def tilted(tmp_path_factory):
    """Slices that are parallel only within two degrees, as three breath-holds may leave them."""
    return made(tmp_path_factory.mktemp("tilted"), "siemens", tilt_degrees=0.6)


def opened(written, name):
    return pydicom.dcmread(written.folder / "dicom" / f"{name}.dcm")


def corners(position, orientation, spacing, shape):
    """(4, 3) LPS mm of the corner pixels by PS3.3 equation C.7.6.2.1-1, from header values alone."""
    rows, columns = shape
    at = [(0, 0), (0, columns - 1), (rows - 1, 0), (rows - 1, columns - 1)]
    p, o, s = (np.array(v, dtype=np.float64) for v in (position, orientation, spacing))
    return np.array([p + o[:3] * s[1] * column + o[3:] * s[0] * row for row, column in at])


def expected_corners(geometry):
    rows, columns = geometry.shape
    at = [(0, 0), (0, columns - 1), (rows - 1, 0), (rows - 1, columns - 1)]
    return geometry.to_patient(np.array(at))


def frame_corners(dataset, frame):
    shared, own = dataset.SharedFunctionalGroupsSequence[0], dataset.PerFrameFunctionalGroupsSequence[frame]
    orientation = (own if "PlaneOrientationSequence" in own else shared).PlaneOrientationSequence[0]
    measures = (own if "PixelMeasuresSequence" in own else shared).PixelMeasuresSequence[0]
    return corners(
        own.PlanePositionSequence[0].ImagePositionPatient,
        orientation.ImageOrientationPatient,
        measures.PixelSpacing,
        (dataset.Rows, dataset.Columns),
    )


def check_map(written, name, values):
    dataset = opened(written, name)
    np.testing.assert_array_equal(dataset.pixel_array, values)
    for index, geometry in enumerate(written.geometries):
        np.testing.assert_allclose(frame_corners(dataset, index), expected_corners(geometry), atol=1e-6)
    again = highdicom.pm.ParametricMap.from_file(written.folder / "dicom" / f"{name}.dcm")
    ms = again.get_frames(apply_real_world_transform=True, dtype=np.float64)
    np.testing.assert_array_equal(ms, values.astype(np.float64))
    mapping = dataset.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "ms"
    quantity = mapping.QuantityDefinitionSequence[0]
    assert quantity.ConceptNameCodeSequence[0].CodeValue == "246205007"
    assert quantity.ConceptCodeSequence[0].CodeValue == "113063"
    assert dataset.FloatPixelPaddingValue == 0 and values.min() == 0
    assert dataset.Modality == "MR"
    return dataset


def test_maps_in_ms_and_mm(written):
    synthesis = written.synthesis
    t1 = check_map(written, "t1_map", synthesis.t1_ms)
    sd = check_map(written, "t1_sd", synthesis.sd_ms)
    assert t1.SeriesInstanceUID != sd.SeriesInstanceUID
    mapping = sd.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert mapping.QuantityDefinitionSequence[1].ConceptCodeSequence[0].CodeMeaning == "Standard Deviation"
    comments = [f.FrameContentSequence[0].FrameComments for f in t1.PerFrameFunctionalGroupsSequence]
    assert comments[0] == "Slice 0: apical"
    assert comments[2] == f"Slice 2: basal; not judged, no value anywhere; {cases.FLAG}"
    assert comments[3].startswith("Slice 3: outside the LV; not judged")
    assert not t1.pixel_array[2:].any()


def test_slices_that_are_not_quite_parallel_keep_their_own_planes(tilted):
    for name, values in (("t1_map", tilted.synthesis.t1_ms), ("t1_sd", tilted.synthesis.sd_ms)):
        check_map(tilted, name, values)
    dataset = opened(tilted, "segmentation")
    place = {tuple(g.origin.round(3)): g for g in tilted.geometries}
    for frame, item in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        position = np.array(item.PlanePositionSequence[0].ImagePositionPatient, dtype=np.float64)
        expected = expected_corners(place[tuple(position.round(3))])
        np.testing.assert_allclose(frame_corners(dataset, frame), expected, atol=1e-6)


def test_plain_images_hold_whole_ms_for_archives_without_float(written):
    for index, geometry in enumerate(written.geometries):
        dataset = opened(written, f"t1_image_{index:02d}")
        assert dataset.SOPClassUID == pydicom.uid.MRImageStorage
        assert dataset.pixel_array.dtype == np.uint16
        assert (dataset.RescaleSlope, dataset.RescaleIntercept, dataset.PixelPaddingValue) == (1, 0, 0)
        np.testing.assert_array_equal(dataset.pixel_array, np.rint(written.synthesis.t1_ms[index]))
        shape = (dataset.Rows, dataset.Columns)
        place = (dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.PixelSpacing)
        np.testing.assert_allclose(corners(*place, shape), expected_corners(geometry), atol=1e-6)
    assert cases.FLAG in opened(written, "t1_image_02").ImageComments
    series = {opened(written, f"t1_image_{i:02d}").SeriesInstanceUID for i in range(4)}
    assert len(series) == 1


def by_source(written, name):
    """(S, R, C) labels of a Segmentation, asked for by the true source images as they lie on disk."""
    source = written.synthesis.cine.source
    segmentation = highdicom.seg.segread(written.folder / "dicom" / f"{name}.dcm")
    headers = [pydicom.dcmread(files[ED], stop_before_pixels=True) for files in source.files]
    options = {
        "combine_segments": True,
        "ignore_spatial_locations": True,
        "assert_missing_frames_are_empty": True,
    }
    if written.dialect == "enhanced":
        numbers = [
            next(
                k + 1
                for k, group in enumerate(headers[0].PerFrameFunctionalGroupsSequence)
                if np.allclose(
                    group.PlanePositionSequence[0].ImagePositionPatient, geometry.origin, atol=1e-3
                )
                and group.FrameContentSequence[0].DimensionIndexValues[1] == ED + 1
            )
            for geometry in written.geometries
        ]
        uid = headers[0].SOPInstanceUID
        return segmentation.get_pixels_by_source_frame(uid, numbers, **options)
    return segmentation.get_pixels_by_source_instance([h.SOPInstanceUID for h in headers], **options)


def test_segmentations_are_found_by_the_images_they_were_drawn_on(written):
    synthesis = written.synthesis
    np.testing.assert_array_equal(by_source(written, "segmentation"), synthesis.segmentation.labels_ed)
    measured = np.where(synthesis.valid > 0, synthesis.aha, 0)
    np.testing.assert_array_equal(by_source(written, "aha_segments"), measured)
    dataset = opened(written, "segmentation")
    kinds = [s.SegmentedPropertyTypeCodeSequence[0].CodeValue for s in dataset.SegmentSequence]
    assert kinds == ["53085002", "49848007", "87878005"]
    assert dataset.SegmentationType == "BINARY"


def test_a_uniform_stack_comes_back_as_one_volume(tmp_path):
    written = made(tmp_path, "philips", positions=cases.UNIFORM_MM)
    volume = highdicom.pm.ParametricMap.from_file(tmp_path / "dicom" / "t1_map.dcm").get_volume()
    indices = np.array([[0, 0, 0], [3, 17, 5], [1, 39, 47]])
    placed = volume.map_indices_to_reference(indices)
    values = [volume.array[tuple(i)] for i in indices]
    for point, value in zip(placed, values, strict=True):
        s = int(np.argmin([abs(g.distance(point)) for g in written.geometries]))
        row, column = written.geometries[s].to_pixel(point)
        assert abs(written.geometries[s].distance(point)) < 1e-6
        assert abs(row - round(row)) + abs(column - round(column)) < 1e-6
        assert value == written.synthesis.t1_ms[s, round(row), round(column)]


def measured(group, name, derivation=None):
    """Value of the measurement called `name` with that derivation, None where there is none."""
    for measurement in group.get_measurements():
        own = None if measurement.derivation is None else measurement.derivation.value
        if measurement.name.value == name and own == derivation:
            return measurement.value
    return None


def test_report_is_what_the_files_beside_it_hold(written):
    """Mean, SD and count of each segment, worked out anew from the map and the segmentation on disk."""
    synthesis = written.synthesis
    report = highdicom.sr.srread(written.folder / "dicom" / "measurements.dcm")
    labels, t1 = by_source(written, "aha_segments"), opened(written, "t1_map").pixel_array.astype(np.float64)
    groups = report.content.get_volumetric_roi_measurement_groups()
    present = [n for n in range(1, 17) if (labels == n).any()]
    assert present == [7, 8, 9, 10, 11, 12, 13, 14, 15, 16], "the basal slice was not judged"
    assert len(groups) == len(present)
    for number, group in zip(present, groups, strict=True):
        inside = labels == number
        assert measured(group, "113063", "373098007") == pytest.approx(t1[inside].mean(), abs=1e-6)
        assert measured(group, "113063", "386136009") == pytest.approx(t1[inside].std(), abs=1e-6)
        assert measured(group, "pixels") == inside.sum()
        means = synthesis.samples_ms[:, inside].astype(np.float64).mean(axis=1)
        assert measured(group, "uncertainty") == pytest.approx(means.std(ddof=1), abs=1e-6)
        site = group.finding_sites[0].value
        segments = opened(written, "aha_segments").SegmentSequence
        assert site.value == segments[number - 1].SegmentedPropertyTypeCodeSequence[0].CodeValue
        assert group.referenced_segment[0].ReferencedSOPSequence[0].ReferencedSegmentNumber == number
        assert group.tracking_identifier.startswith(f"SYNTHETIC T1, AHA {number} ")


def test_finding_sites_are_the_standard_s_names_of_our_segments():
    from pydicom.sr.codedict import codes

    from T1DiffLogic.anatomy.aha import NAMES
    from T1DiffLogic.dicom_out.codes import AHA_SITES

    allowed = {getattr(codes.cid3717, name).value for name in codes.cid3717.dir()}
    for name, site in zip(NAMES, AHA_SITES, strict=True):
        keyword = "LeftVentricle" + "".join(word.capitalize() for word in name.split()) + "Segment"
        assert getattr(codes.SCT, keyword).value == site.value, name
        assert site.value in allowed


def test_every_reference_leads_to_a_file(written):
    """No stand-in's UID is left, and each reference names class, series and frame of a real image."""
    known, frames = {}, {}
    for path in [*(written.folder / "in").rglob("*"), *(written.folder / "dicom").iterdir()]:
        if path.is_file():
            header = pydicom.dcmread(path, stop_before_pixels=True)
            known[header.SOPInstanceUID] = (header.SOPClassUID, header.SeriesInstanceUID)
            frames[header.SOPInstanceUID] = int(header.get("NumberOfFrames", 1))
    seen = 0

    def walk(dataset):
        nonlocal seen
        if "ReferencedSOPInstanceUID" in dataset:
            seen += 1
            uid = dataset.ReferencedSOPInstanceUID
            assert dataset.ReferencedSOPClassUID == known[uid][0]
            numbers = dataset.get("ReferencedFrameNumber") or []
            numbers = [numbers] if isinstance(numbers, int) else list(numbers)
            assert all(1 <= n <= frames[uid] for n in numbers)
        if "SeriesInstanceUID" in dataset and "ReferencedInstanceSequence" in dataset:
            for item in dataset.ReferencedInstanceSequence:
                assert known[item.ReferencedSOPInstanceUID][1] == dataset.SeriesInstanceUID
        for element in dataset:
            if element.VR == "SQ":
                for item in element.value:
                    walk(item)

    for name in ("t1_map", "t1_sd", "t1_image_00", "segmentation", "aha_segments", "measurements", "overlay"):
        walk(opened(written, name))
    assert seen > 50
    series = opened(written, "t1_map").ReferencedSeriesSequence
    assert len(series) == (4 if written.dialect == "siemens" else 1)


def test_capture_holds_the_picture_between_two_bands(written):
    from T1DiffLogic.dicom_out.capture import BAND_PX

    dataset = opened(written, "overlay")
    pixels = dataset.pixel_array
    np.testing.assert_array_equal(
        pixels[BAND_PX:-BAND_PX], np.asarray(Image.open(written.folder / "overlay.png"))
    )
    for band in (pixels[:BAND_PX], pixels[-BAND_PX:]):
        letters = (band.astype(int).sum(axis=2) > 600).any(axis=0)
        first, last = np.flatnonzero(letters)[[0, -1]]
        assert last - first > 0.7 * pixels.shape[1] and first > 0 and last < pixels.shape[1] - 1
    assert dataset.PhotometricInterpretation == "RGB"


def test_a_large_capture_is_filed_smaller_and_plain(tmp_path):
    """As wide as overlay.png and as long as twelve slices make it: some 14 MB if it were filed as it is."""
    from T1DiffLogic.dicom_out.capture import BAND_PX, WIDTH_PX

    cine, _ = cases.source_study(tmp_path / "in", "siemens")
    shades = np.linspace(0, 255, 1600 * 3000).reshape(3000, 1600).astype(np.uint8)
    cases.write(cases.result_of(cine), tmp_path, picture=np.repeat(shades[..., None], 3, axis=2))
    path = tmp_path / "dicom" / "overlay.dcm"
    dataset = pydicom.dcmread(path)
    assert dataset.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert path.stat().st_size < 6.5e6
    pixels = dataset.pixel_array[BAND_PX:-BAND_PX]
    assert pixels.shape == (1875, WIDTH_PX, 3), "as wide as it is long before"
    np.testing.assert_allclose(pixels[::250, 500, 0], shades[::400, 800], atol=1)


def test_one_sample_has_no_uncertainty_and_an_empty_table_no_report(tmp_path):
    cine, _ = cases.source_study(tmp_path / "in", "ge")
    single = cases.result_of(cine, samples=1)
    cases.write(single, tmp_path / "single")
    report = highdicom.sr.srread(tmp_path / "single" / "dicom" / "measurements.dcm")
    group = report.content.get_volumetric_roi_measurement_groups()[0]
    assert measured(group, "uncertainty") is None and measured(group, "pixels") > 0
    files, notes = cases.write(
        dataclasses.replace(single, aha=np.zeros_like(single.aha)), tmp_path / "nothing"
    )
    assert "dicom_measurements" not in files and "dicom_t1_map" in files
    assert notes == ["No AHA segment could be measured, so dicom/ holds no report of measurements."]
