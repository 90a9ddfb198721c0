"""What `make torture` found: files that claim, hide or mix up things, each in its smallest form."""

from __future__ import annotations

import resource
import struct
import time
import zlib

import numpy as np
import pydicom
import pytest
from dicom_cases import edit, smooth_cine
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from T1DiffLogic import StudyError, load_cine, load_t1_map
from T1DiffLogic.batch.cohort import find_studies
from T1DiffLogic.dicom import reading
from T1DiffLogic.dicom.files import find_images
from T1DiffLogic.dicom.pixels import stored_values
from T1DiffLogic.phantom.dicom_writer import write_cine

NAME = "Quixote^Alonso"
PART_10 = b"\0" * 128 + b"DICM"
SYNTAX = b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0"
READERS = {"images": find_images, "studies": find_studies}


@pytest.fixture
def folder(tmp_path):
    write_cine(smooth_cine(phases=3, rows=16, columns=16), tmp_path, "enhanced", patient=NAME, extras=False)
    return tmp_path


def grown_by(action) -> int:
    """Bytes by which the most memory that this process ever held grew in `action`."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    action()
    return 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


@pytest.mark.parametrize("reader", READERS)
def test_a_file_without_end_is_given_up(folder, reader, monkeypatch):
    monkeypatch.setattr(reading, "MAX_READS", 100_000)
    with open(folder / "zeros.dcm", "wb") as file:
        file.write(PART_10 + SYNTAX)
        file.truncate(8 * 2**30)
    start = time.process_time()
    READERS[reader](folder)
    assert time.process_time() - start < 10


@pytest.mark.parametrize("reader", READERS)
def test_a_long_element_takes_no_memory(folder, reader):
    with open(folder / "long.dcm", "wb") as file:
        file.write(PART_10 + SYNTAX + b"\x09\0\x10\x10OB\0\0" + struct.pack("<I", 2**30))
        file.truncate(2**30 + 400)
    assert grown_by(lambda: READERS[reader](folder)) < 2**28


def test_a_deflated_file_is_not_blown_up(folder):
    packer = zlib.compressobj(1, wbits=-15)
    packed = packer.compress(b"\x09\0\x10\x10OB\0\0" + struct.pack("<I", 2**30))
    packed += b"".join(packer.compress(b"\0" * 2**24) for _ in range(64)) + packer.flush()
    syntax = DeflatedExplicitVRLittleEndian.encode()
    (folder / "bomb.dcm").write_bytes(
        PART_10 + b"\x02\0\x10\0UI" + struct.pack("<H", len(syntax)) + syntax + packed
    )
    assert grown_by(lambda: find_images(folder)) < 2**28
    assert "cannot be read" in find_images(folder).unreadable[0]


def test_a_compressed_file_that_claims_gigabytes_is_refused_unread(folder):
    def change(dataset, number):
        dataset.file_meta.TransferSyntaxUID = RLELossless
        dataset.Rows = dataset.Columns = 4096
        dataset.NumberOfFrames = 100
        dataset.PixelData = pydicom.encaps.encapsulate([b"\0" * 64])
        dataset["PixelData"].is_undefined_length = True

    edit([next(folder.iterdir())], change)
    with pytest.raises(StudyError, match=r"declares \d+ bytes of pixels \(7FE0,0010\)"):
        load_cine(folder)


def test_plain_pixels_that_claim_to_be_compressed_are_one_sentence(tmp_path):
    paths = write_cine(smooth_cine(), tmp_path, "ge", patient=NAME, extras=False)
    for path in paths:
        plain = b"1.2.840.10008.1.2.1\0"
        other = JPEG2000Lossless.encode()
        content = path.read_bytes()
        at = content.index(plain) - 2
        path.write_bytes(
            content[:at] + struct.pack("<H", len(other)) + other + content[at + 2 + len(plain) :]
        )
    with pytest.raises(StudyError, match="is compressed"):
        load_cine(tmp_path)


@pytest.mark.parametrize(
    "old, new", [(b"\x02\0\x10\0UI", b"\x02\0\x10\0LO"), (b"10008.1.2.1\0", b"10008.9\xff\xfe\xfd\xfc\0")]
)
def test_a_transfer_syntax_that_is_no_uid_is_a_study_or_one_sentence(folder, old, new):
    change_bytes(folder, old, new)
    try:
        assert load_cine(folder).n_phases == 3
    except StudyError as error:
        assert "7FE0,0010" in str(error)


@pytest.mark.parametrize("reader", [load_cine, load_t1_map])
def test_an_object_without_a_frame_is_one_sentence(folder, reader):
    edit(
        [next(folder.iterdir())],
        lambda dataset, number: setattr(dataset, "PerFrameFunctionalGroupsSequence", []),
    )
    with pytest.raises(StudyError, match=r"\(5200,9229/9230\)"):
        reader(folder)


def change_bytes(folder, old: bytes, new: bytes):
    (path,) = folder.iterdir()
    content = path.read_bytes()
    assert old in content and len(old) == len(new)
    path.write_bytes(content.replace(old, new))


@pytest.mark.parametrize(
    "old, new",
    [
        # a plane position that is no sequence any more, a group whose items cannot be parsed
        (b"\x20\0\x13\x91SQ", b"\x20\0\x13\x91FD"),
        (b"\x20\0\x32\0DS", b"\x20\0\x32\0SQ"),
        # no per-frame groups but a text
        (b"\x00\x52\x30\x92SQ", b"\x00\x52\x30\x92UT"),
        (b"\x00\x52\x29\x92SQ", b"\x00\x52\x29\x92OB"),
    ],
)
def test_damaged_functional_groups_are_one_sentence(folder, old, new):
    change_bytes(folder, old, new)
    with pytest.raises(StudyError, match=r"\(0020,0032\)|\(5200,|\(0028,0030\)|cannot be read"):
        load_cine(folder)


@pytest.mark.parametrize("keyword", ["Rows", "NumberOfFrames"])
def test_sizes_that_are_no_numbers_name_their_tag(folder, keyword):
    def change(dataset, number):
        dataset[keyword].VR = "LO"
        dataset[keyword]._value = "many"

    edit([next(folder.iterdir())], change)
    with pytest.raises(StudyError, match=r"unusable Rows \(0028,0010\)"):
        load_cine(folder)


@pytest.mark.parametrize("damage", ["cut short", "anonymised by half"])
def test_a_file_named_after_the_patient_is_not_told_whatever_its_own_header_lost(tmp_path, damage):
    paths = write_cine(smooth_cine(), tmp_path, "ge", patient=NAME, extras=False)
    path = paths[12].rename(tmp_path / "Alonso Quixote 12")
    if damage == "cut short":
        path.write_bytes(path.read_bytes()[:400])
    else:

        def change(dataset, number):
            dataset.PatientName = dataset.PatientID = ""
            dataset.SeriesDescription = "cine SAX Quixote"
            dataset.PixelSpacing = [0, 0]

        edit([path], change)
    with pytest.raises(StudyError) as caught:
        load_cine(tmp_path)
    assert "Quixote" not in str(caught.value) and "Alonso" not in str(caught.value)
    assert "… … 12" in str(caught.value)


@pytest.mark.parametrize("lost", [("PatientID",), ("StudyInstanceUID", "PatientID"), ("StudyInstanceUID",)])
def test_patients_are_told_apart_by_what_is_left_of_their_headers(tmp_path, lost):
    own = write_cine(smooth_cine(), tmp_path, "ge", seed=1, patient="Quixote^Alonso", extras=False)
    other = write_cine(smooth_cine(), tmp_path / "x", "ge", seed=2, patient="Panza^Sancho", extras=False)
    edit(own, lambda dataset, number: [delattr(dataset, keyword) for keyword in lost])
    # of the other there is only what the first ones lost
    edit(
        other,
        lambda dataset, number: [delattr(dataset, k) for k in {"PatientID", "StudyInstanceUID"} - {*lost}],
    )
    with pytest.raises(StudyError, match="images of 2 (patients|studies)"):
        load_cine(tmp_path)


def test_one_patient_with_images_that_lost_their_id_is_read(tmp_path):
    paths = write_cine(smooth_cine(), tmp_path, "ge", patient="Quixote^Alonso", extras=False)
    edit(paths[::3], lambda dataset, number: delattr(dataset, "PatientID"))
    edit(paths[1:2], lambda dataset, number: setattr(dataset, "PatientName", "QUIXOTE^ALONSO^^"))
    assert load_cine(tmp_path).n_slices == 5


@pytest.mark.parametrize("thickness", ["-8", "1e30"])
def test_a_slice_of_impossible_thickness_is_refused(tmp_path, thickness):
    paths = write_cine(smooth_cine(), tmp_path, "ge", extras=False)
    edit(paths, lambda dataset, number: setattr(dataset, "SliceThickness", float(thickness)))
    with pytest.raises(StudyError, match=r"\(0018,0050\)"):
        load_cine(tmp_path)


def test_times_that_no_heart_takes_do_not_count(tmp_path):
    paths = write_cine(smooth_cine(), tmp_path, "ge", extras=False)
    edit(paths[15:16], lambda dataset, number: setattr(dataset, "TriggerTime", 1e9))
    cine = load_cine(tmp_path)
    assert np.ptp(cine.trigger_ms, axis=1).max() < 3000
    assert any("Slices " in note and "0018,1060" in note for note in cine.source.notes)


def test_a_rate_and_a_field_that_cannot_be_count_as_unknown(tmp_path):
    def change(dataset, number):
        dataset.MagneticFieldStrength, dataset.HeartRate = "-0.0", "99999"
        dataset.NominalInterval = "800"

    edit(write_cine(smooth_cine(), tmp_path, "ge", extras=False), change)
    source = load_cine(tmp_path).source
    assert source.field_strength_t is None and source.heart_rate_bpm == 75


def test_pixels_are_read_without_what_does_not_describe_them(folder):
    """An element that breaks the parser elsewhere in the header is no reason to lose the image."""
    (image,) = find_images(folder).images
    expected = pydicom.dcmread(image.path).pixel_array
    from T1DiffLogic.dicom.enhanced import frames_of

    values = stored_values(frames_of(find_images(folder)))
    assert np.array_equal(np.stack(values), expected)
