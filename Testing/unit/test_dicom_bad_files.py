"""Damaged, foreign and mixed-up DICOM folders: one clear sentence, or a note where nothing is lost."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_cases import edit, smooth_cine
from pydicom.uid import MPEG4HP41, JPEGLosslessSV1

from T1DiffLogic import StudyError, load_cine
from T1DiffLogic.phantom.dicom_writer import write_cine

PATIENT = "Doe^Jane Q"


@pytest.fixture
def study(tmp_path):
    """(folder, cine paths in slice-major order, cine) of a GE study of 5 × 8 images."""
    cine = smooth_cine()
    return tmp_path, write_cine(cine, tmp_path, "ge", patient=PATIENT, extras=False), cine


def refused(folder, pattern):
    with pytest.raises(StudyError, match=pattern) as caught:
        load_cine(folder)
    message = str(caught.value)
    assert "Doe" not in message and "Jane" not in message and "\n" not in message
    return message


def test_empty_folder_and_missing_folder(tmp_path):
    refused(tmp_path, "no DICOM image was found")
    refused(tmp_path / "absent", "does not exist")
    (tmp_path / "letter.txt").write_text("hello")
    (tmp_path / "empty.dcm").write_bytes(b"")
    refused(tmp_path, "2 other files")


@pytest.mark.parametrize(
    "keyword, tag",
    [
        ("ImagePositionPatient", "0020,0032"),
        ("ImageOrientationPatient", "0020,0037"),
        ("PixelSpacing", "0028,0030"),
    ],
)
def test_missing_geometry_names_the_tag(study, keyword, tag):
    folder, paths, _ = study
    edit(paths, lambda dataset, number: delattr(dataset, keyword))
    refused(folder, tag)


@pytest.mark.parametrize("spacing", [["nan", "nan"], ["0", "1.4"], ["-1.5", "1.5"], ["900", "900"]])
def test_absurd_spacing_names_the_tag(study, spacing):
    folder, paths, _ = study

    def change(dataset, number):
        dataset.PixelSpacing = [float(v) for v in spacing]

    edit(paths, change)
    refused(folder, "implausible PixelSpacing")


def test_skewed_orientation_is_refused(study):
    folder, paths, _ = study

    def change(dataset, number):
        dataset.ImageOrientationPatient = [1, 0, 0, 0.5, 0.866, 0]

    edit(paths, change)
    refused(folder, "0020,0037.*perpendicular")


def test_truncated_image_of_the_stack_is_named(study):
    folder, paths, _ = study
    paths[11].write_bytes(paths[11].read_bytes()[:-100])
    assert paths[11].name in refused(folder, "cut short.*incomplete")


def test_image_without_position_of_the_stack_is_named(study):
    folder, paths, _ = study
    edit(paths[11:12], lambda dataset, number: delattr(dataset, "ImagePositionPatient"))
    assert paths[11].name in refused(folder, "0020,0032")


def test_slice_series_damaged_as_a_whole_leaves_a_gap(tmp_path):
    paths = write_cine(smooth_cine(positions=(0, 8, 16, 24, 32)), tmp_path, "siemens", extras=False)
    edit(paths[16:24], lambda dataset, number: delattr(dataset, "ImagePositionPatient"))
    refused(tmp_path, "0020,0032.*incomplete")


def test_damaged_file_that_is_not_needed_is_noted(study):
    """A whole stack, beside it a scout cut short and a header that ends half-way."""
    folder, paths, cine = study
    write_cine(cine, folder / "other", "ge", patient=PATIENT)
    for path in (folder / "other").glob("IM_010*"):
        path.unlink()
    scout = sorted((folder / "other").glob("IM_001*"))[0]
    scout.write_bytes(scout.read_bytes()[:-50])
    (folder / "half").write_bytes(paths[0].read_bytes()[:400])
    read = load_cine(folder)
    assert read.images.shape == cine.images.shape
    assert any("Passed over: half cannot be read" in n for n in read.source.notes)


def test_header_cut_short_without_which_a_slice_is_short(study):
    folder, paths, _ = study
    paths[3].write_bytes(paths[3].read_bytes()[:400])
    assert paths[3].name in refused(folder, "cannot be read.*incomplete")


def test_sizes_beyond_reason_are_refused_unread(study):
    folder, paths, _ = study

    def change(dataset, number):
        dataset.Rows, dataset.Columns = 60000, 60000

    edit(paths, change)
    refused(folder, "60000 × 60000")


def test_frame_count_beyond_the_file_is_refused(tmp_path):
    paths = write_cine(smooth_cine(), tmp_path, "enhanced", extras=False)

    def change(dataset, number):
        dataset.NumberOfFrames = 100000

    edit(paths, change)
    refused(tmp_path, "cut short")


def test_several_patients_and_several_studies(study):
    folder, paths, cine = study
    write_cine(cine, folder / "b", "ge", patient="Doe^Other", extras=False)
    refused(folder, "2 patients")
    edit((folder / "b").iterdir(), lambda d, n: setattr(d, "PatientID", PATIENT))
    refused(folder, "2 studies")


def test_patient_in_file_names_stays_out_of_messages(study):
    folder, paths, _ = study
    named = folder / "DOE JANE"
    named.mkdir()
    paths[5].rename(named / "doe.dcm")
    (named / "doe.dcm").write_bytes((named / "doe.dcm").read_bytes()[:-10])
    message = refused(folder, "cut short").lower()
    assert "doe" not in message and "jane" not in message


@pytest.mark.parametrize("name", ["Li", "li_2", "17LI", "Wu-Li"])
def test_short_names_are_blotted_as_words(study, name):
    folder, paths, _ = study
    edit(paths, lambda dataset, number: setattr(dataset, "PatientName", "Li"))
    edit(paths, lambda dataset, number: setattr(dataset, "OtherPatientNames", ["Qi^Wu", "Ng"]))
    paths[5] = paths[5].rename(folder / f"{name} slice.dcm")
    paths[5].write_bytes(paths[5].read_bytes()[:-10])
    message = refused(folder, "cut short")
    told = message.split(" slice.dcm")[0].lower()
    assert " slice.dcm" in message, "a syllable of another word is no name"
    assert "…" in told and "li" not in told and "wu" not in told


def test_mixed_orientations_without_a_stack(study):
    folder, paths, _ = study

    def turn(dataset, number):
        angle = number // 8 * 0.6
        dataset.ImageOrientationPatient = [1, 0, 0, 0, np.cos(angle), np.sin(angle)]

    edit(paths, turn)
    refused(folder, "no short-axis cine stack")


def test_undecodable_compression_is_told(study):
    folder, paths, _ = study
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = MPEG4HP41
        dataset.PixelData = pydicom.encaps.encapsulate([b"\0" * 64])
        dataset["PixelData"].VR = "OB"
        dataset.save_as(path)
    refused(folder, "compressed .MPEG-4.*uncompressed")


def test_jpeg_lossless_is_decoded(study):
    """Common in exports and beyond pydicom alone; written here by the GDCM that SimpleITK carries."""
    folder, paths, cine = study
    plain = load_cine(folder)
    for path in paths:
        dataset = pydicom.dcmread(path)
        image = sitk.GetImageFromArray(dataset.pixel_array.astype(np.uint16)[None])
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.UseCompressionOn()
        writer.SetCompressor("JPEG")
        writer.SetFileName(str(folder / "packed.dcm"))
        writer.Execute(image)
        packed = pydicom.dcmread(folder / "packed.dcm")
        assert packed.file_meta.TransferSyntaxUID == JPEGLosslessSV1
        dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        for keyword in ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"):
            dataset[keyword] = packed[keyword]
        dataset.RescaleSlope, dataset.RescaleIntercept = 2, 1
        dataset.save_as(path)
    (folder / "packed.dcm").unlink()
    assert np.array_equal(load_cine(folder).images, plain.images * 2 + 1)


def test_files_without_preamble_are_read(study):
    folder, paths, cine = study
    for path in paths:
        content = path.read_bytes()
        dataset = pydicom.dcmread(path)
        start = 132 + 12 + dataset.file_meta.FileMetaInformationGroupLength
        path.write_bytes(content[start:])
    read = load_cine(folder)
    assert read.images.shape == cine.images.shape
