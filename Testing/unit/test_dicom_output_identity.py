"""Objects of dicom/ belong to the source's patient and study, say what they are, and tell nobody else."""

from __future__ import annotations

import dataclasses
import importlib
import json
import logging
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import dicom_output_cases as cases
import numpy as np
import pydicom
import pytest
from dicom_cases import edit

from T1DiffLogic import outputs
from T1DiffLogic.errors import StudyError

highdicom = pytest.importorskip("highdicom", reason="highdicom (extra 'dicom') is not installed")

ROOT = Path(__file__).parents[2]
WHEN = datetime(2031, 2, 3, 4, 5, 6, 789)
NAME = "Müller^Jürgen"
PASSED_ON = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyID",
    "AccessionNumber", "PatientWeight", "ReferringPhysicianName", "StudyDescription",
)  # fmt: skip


def identified(dataset, _):
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = NAME, "PID-4711", "19561224"
    dataset.PatientSex, dataset.PatientWeight, dataset.AccessionNumber = "F", "61.5", "ACC-0815"
    dataset.ReferringPhysicianName, dataset.InstitutionName = "Ärztin^Erika", "Spital Zürich"
    code = pydicom.Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "H1", "99SPITAL", "Herz-MRT für später"
    dataset.ProcedureCodeSequence = [code]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A Siemens study of a named patient, in Latin 1."""
    folder = tmp_path_factory.mktemp("identified") / "in"
    _, paths = cases.source_study(folder, "siemens")
    edit(paths, identified)
    for path in folder.iterdir():
        if path not in paths:
            path.unlink()
    return cases.read_cine(folder)


@pytest.fixture(scope="module")
def written(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    files, notes = cases.write(cases.result_of(study), folder, WHEN)
    assert notes == []
    return folder, files


def objects(folder):
    return {path.stem: pydicom.dcmread(path) for path in sorted((folder / "dicom").iterdir())}


def test_patient_study_and_frame_of_reference_are_the_source_s(study, written):
    source = pydicom.dcmread(study.source.files[0][0])
    for name, dataset in objects(written[0]).items():
        for keyword in PASSED_ON:
            assert dataset[keyword].value == source[keyword].value, (name, keyword)
        assert dataset.ProcedureCodeSequence[0].CodeMeaning == "Herz-MRT für später", name
        assert str(dataset.PatientName) == NAME and dataset.SpecificCharacterSet == "ISO_IR 192"
        assert dataset.SeriesInstanceUID != source.SeriesInstanceUID
        if name not in ("measurements", "overlay"):
            assert dataset.FrameOfReferenceUID == source.FrameOfReferenceUID


def test_every_object_says_that_it_is_synthetic_and_from_what(written):
    for name, dataset in objects(written[0]).items():
        assert dataset.SyntheticData == "YES", name
        assert dataset.ContentQualification == "RESEARCH"
        assert dataset.SeriesDescription.startswith("SYNTHETIC T1 – NOT FOR CLINICAL USE")
        assert len(dataset.SeriesDescription) <= 64
        scanner, own, _ = dataset.ContributingEquipmentSequence
        assert scanner.Manufacturer == "SIEMENS" and scanner.InstitutionName == "Spital Zürich"
        assert own.ManufacturerModelName == "rings" and "0123456789abcdef" * 4 in own.SoftwareVersions
        assert "f" * 64 in own.ContributionDescription, "the segmenter's weights"
        if name != "measurements":
            assert "SYNTHETIC" in dataset.DerivationDescription and "seed 3" in dataset.DerivationDescription
            assert "trained on drawn rings" in dataset.DerivationDescription
        if "ImageType" in dataset:
            assert dataset.ImageType[0] == "DERIVED"
    numbers = {dataset.SeriesNumber: dataset.SeriesInstanceUID for dataset in objects(written[0]).values()}
    assert len(numbers) == len(set(numbers.values())) == 7


def test_no_identifier_in_file_names_or_on_screen(study, tmp_path, capfd, caplog):
    logging.getLogger("highdicom").setLevel(logging.WARNING)
    cases.write(cases.result_of(study), tmp_path)
    said = "".join(capfd.readouterr()) + caplog.text
    names = " ".join(path.name for path in tmp_path.rglob("*"))
    for secret in ("ller", "Jürgen", "PID-4711", "19561224", "ACC-0815", "Erika"):
        assert secret not in said and secret not in names
    assert logging.getLogger("highdicom").level == logging.WARNING, "the caller's own setting is kept"


def test_a_name_of_one_part_is_not_quoted_in_a_warning(tmp_path):
    """highdicom warns of such names, and quotes them: in a fresh process, where nothing is quietened."""
    code = (
        "import sys, warnings; sys.path.insert(0, sys.argv[1]); warnings.simplefilter('always')\n"
        "import dicom_output_cases as c; from pathlib import Path\n"
        "cine, _ = c.source_study(Path(sys.argv[2]) / 'in', 'ge')\n"
        "c.write(c.result_of(cine), Path(sys.argv[2]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "Testing" / "unit"), str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "T1DIFF-PHANTOM" not in done.stdout + done.stderr
    assert (tmp_path / "dicom" / "t1_map.dcm").is_file()


def test_the_same_result_at_the_same_time_is_the_same_bytes(study, written, tmp_path):
    cases.write(cases.result_of(study), tmp_path, WHEN)
    for path in (written[0] / "dicom").iterdir():
        assert path.read_bytes() == (tmp_path / "dicom" / path.name).read_bytes(), path.name


def test_a_later_run_keeps_the_uids_and_another_result_gets_its_own(study, written, tmp_path):
    first = objects(written[0])
    cases.write(cases.result_of(study), tmp_path / "later", datetime(2032, 1, 1))
    for name, dataset in objects(tmp_path / "later").items():
        assert dataset.SOPInstanceUID == first[name].SOPInstanceUID
        assert dataset.ContentDate == "20320101"
    result = cases.result_of(study)
    touched = np.array(result.t1_ms)
    touched[0, 20, 20] += 1
    changes = (
        {"t1_ms": touched},
        {"provenance": {**result.provenance, "weights_sha256": "9" * 64}},
        {"provenance": {**result.provenance, "seed": 4}},
    )
    for number, change in enumerate(changes):
        folder = tmp_path / f"other{number}"
        cases.write(dataclasses.replace(result, **change), folder, WHEN)
        for name, dataset in objects(folder).items():
            assert dataset.SOPInstanceUID != first[name].SOPInstanceUID, name
            assert dataset.SeriesInstanceUID != first[name].SeriesInstanceUID, name


def notes_of(result):
    return [note for note in result["notes"] if "dicom/" in note]


def test_out_lists_dicom_and_drops_it_when_it_cannot_be_made_again(study, tmp_path):
    """The whole folder of a study: files listed, and none of another run's objects left behind."""
    synthesis = cases.result_of(study)
    result = outputs.write_outputs(synthesis, tmp_path)
    assert notes_of(result) == []
    listed = {path for path in result["files"].values() if path.startswith("dicom/")}
    assert listed == {f"dicom/{p.name}" for p in (tmp_path / "dicom").iterdir()} and len(listed) == 10
    assert json.loads((tmp_path / "result.json").read_text())["files"] == result["files"]
    elsewhere = dataclasses.replace(study, source=dataclasses.replace(study.source, files=(), frames=()))
    result = outputs.write_outputs(dataclasses.replace(synthesis, cine=elsewhere), tmp_path)
    assert notes_of(result) == [
        "dicom/ was not written: the cine was not read from DICOM files, so there is no study to file in."
    ]
    assert not any((tmp_path / path).exists() for path in listed)
    assert not any(role.startswith("dicom") for role in result["files"])


def test_sources_that_are_gone_or_another_patient_s_are_not_built_upon(study, tmp_path):
    """The files are read a second time, and may have been replaced in between."""
    folder = tmp_path / "in"
    shutil.copytree(Path(study.source.path), folder)
    cine = cases.read_cine(folder)
    first = Path(cine.source.files[0][1])
    kept = first.read_bytes()

    def refused(match):
        with pytest.raises(StudyError, match=match):
            cases.write(cases.result_of(cine), tmp_path / "out")
        assert not (tmp_path / "out" / "dicom").exists()

    edit([first], lambda d, _: setattr(d, "ImagePositionPatient", [1, 2, 3]))
    refused("were changed")
    first.write_bytes(kept)
    edit([first], lambda d, _: setattr(d, "PatientID", "somebody else"))
    refused("no longer")
    first.write_bytes(kept)
    edit([first], lambda d, _: setattr(d, "FrameOfReferenceUID", "1.2.3"))
    refused("different frames of reference")
    first.unlink()
    refused("no longer")


def test_values_that_are_not_dicom_are_left_out_with_a_note(study, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(Path(study.source.path), folder)

    def damaged(dataset, _):
        dataset.PatientSex = "W"
        dataset.add(
            pydicom.DataElement(0x00100030, "DA", "24.12.1956", validation_mode=pydicom.config.IGNORE)
        )

    edit(list(folder.iterdir()), damaged)
    files, notes = cases.write(cases.result_of(cases.read_cine(folder)), tmp_path / "out")
    assert len(files) == 10
    assert len(notes) == 2 and any("PatientBirthDate" in n for n in notes)
    assert not any("1956" in note for note in notes)
    dataset = pydicom.dcmread(tmp_path / "out" / "dicom" / "t1_map.dcm")
    assert dataset.PatientBirthDate == "" and dataset.PatientSex == ""


def test_a_header_with_nothing_but_what_it_must_have(study, tmp_path):
    """As de-identification leaves it, and in the multi-byte characters of Japan."""
    folder = tmp_path / "in"
    shutil.copytree(Path(study.source.path), folder)

    def stripped(dataset, _):
        for keyword in (*PASSED_ON, "Manufacturer", "StudyTime", "StationName", "InstitutionName"):
            if keyword not in ("StudyInstanceUID", "PatientName") and keyword in dataset:
                delattr(dataset, keyword)
        dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
        dataset.PatientName = "Yamada^Tarou=山田^太郎"
        dataset.LossyImageCompression, dataset.LossyImageCompressionRatio = "01", "12.5"

    edit(list(folder.iterdir()), stripped)
    files, notes = cases.write(cases.result_of(cases.read_cine(folder)), tmp_path / "out")
    assert len(files) == 10 and notes == []
    for name, dataset in objects(tmp_path / "out").items():
        assert dataset.PatientName.ideographic == "山田^太郎", name
        assert dataset.PatientID == "" and dataset.StudyDate == ""
        assert len(dataset.ContributingEquipmentSequence) == 2
        if "PixelData" in dataset and "LossyImageCompression" in dataset:
            assert dataset.LossyImageCompression == "01" and dataset.LossyImageCompressionRatio == 12.5


def forget_room(monkeypatch):
    for name in [m for m in sys.modules if m.startswith("T1DiffLogic.dicom_out")]:
        monkeypatch.delitem(sys.modules, name)


def test_without_highdicom_all_else_is_written_and_a_note_names_the_remedy(study, tmp_path, monkeypatch):
    forget_room(monkeypatch)
    monkeypatch.setitem(sys.modules, "highdicom", None)
    result = outputs.write_outputs(cases.result_of(study), tmp_path)
    (note,) = notes_of(result)
    assert 'pip install "highdicom' in note and note.count("pip install") == 1
    assert not (tmp_path / "dicom").exists() and (tmp_path / "report.html").is_file()


@pytest.mark.parametrize(
    "package, name, version",
    [(pydicom, "__version_info__", ("2", "4", "4")), (highdicom, "__version__", "0.22.0")],
    ids=["pydicom", "highdicom"],
)
def test_an_old_library_is_told_with_the_remedy(monkeypatch, package, name, version):
    forget_room(monkeypatch)
    monkeypatch.setattr(package, name, version)
    with pytest.raises(StudyError, match=f'{package.__name__} .* pip install "highdicom'):
        importlib.import_module("T1DiffLogic.dicom_out")


def test_what_was_filed_is_not_read_back_as_the_patient_s_own(study, written, tmp_path):
    from T1DiffLogic.dicom.t1map import read_t1_map

    together = tmp_path / "exported"
    shutil.copytree(Path(study.source.path), together)
    shutil.copytree(written[0] / "dicom", together / "dicom")
    again = cases.read_cine(together)
    np.testing.assert_array_equal(again.images, study.images)
    assert sum("synthetic result" in sentence for sentence in again.source.ignored) == 5
    with pytest.raises(StudyError, match="synthetic .* give the measured T1 map"):
        read_t1_map(together)
