"""Who may be read from a study's folder: nobody, but for the report that was asked to name the patient."""

from __future__ import annotations

import dataclasses

import dicom_output_cases as cases
import pydicom
import pytest

from T1DiffLogic import outputs
from T1DiffLogic.cli import main
from T1DiffLogic.report.identity import UNKNOWN, Identity, read_identity

NAME, PATIENT_ID, BORN, STUDIED = "Roßberg^Änne^Maria", "PAT-0815-47", "19510203", "20320114"
SHOWN = ("Roßberg, Änne Maria", PATIENT_ID, "1951-02-03", "2032-01-14")
TRACES = ("Roßberg", "Änne", PATIENT_ID, BORN, "1951-02-03", "2032-01-14")


def named(paths, **values):
    for path in paths:
        header = pydicom.dcmread(path)
        header.SpecificCharacterSet = "ISO_IR 192"
        for keyword, value in values.items():
            setattr(header, keyword, value)
        header.save_as(path)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    cine, paths = cases.source_study(tmp_path_factory.mktemp("source"), "siemens")
    named(paths, PatientName=NAME, PatientID=PATIENT_ID, PatientBirthDate=BORN, StudyDate=STUDIED)
    return cine


def where(folder, traces=TRACES):
    """Files of `folder`, dicom/ apart, whose name or bytes hold one of `traces`."""
    found = set()
    for path in folder.rglob("*"):
        if path.is_file() and path.parent.name != "dicom":
            content = path.name.encode() + path.read_bytes()
            found |= {path.name for trace in traces if trace.encode() in content}
    return found


def test_nobody_is_named_by_default(study, tmp_path):
    outputs.write_outputs(cases.result_of(study), tmp_path)
    assert where(tmp_path) == set()


def test_identify_names_the_patient_in_the_report_alone_and_on_both_sheets(study, tmp_path):
    result = outputs.write_outputs(cases.result_of(study), tmp_path, identify=True)
    assert where(tmp_path) == {"report.html"}
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    for value in SHOWN:
        assert text.count(f"<b>{value}</b>") == 2
    assert "Roßberg" not in str(result)


def test_who_is_named_after_the_headers_of_every_dialect(tmp_path):
    for dialect in ("siemens", "ge", "philips"):
        cine, paths = cases.source_study(tmp_path / dialect, dialect)
        named(paths, PatientName=NAME, PatientID=PATIENT_ID, PatientBirthDate=BORN, StudyDate=STUDIED)
        assert read_identity(cine) == (Identity(*SHOWN), ""), dialect


def test_what_the_headers_do_not_say_is_said_not_guessed(tmp_path):
    cine, paths = cases.source_study(tmp_path, "siemens")
    named(paths, PatientName="", PatientID=" ", PatientBirthDate="", StudyDate="20320114")
    assert read_identity(cine)[0] == Identity(UNKNOWN, UNKNOWN, UNKNOWN, "2032-01-14")
    named(paths, PatientName="Yamada^Tarou=山田^太郎")
    assert read_identity(cine)[0].name == "Yamada, Tarou · 山田, 太郎"


def test_a_patient_that_cannot_be_read_is_a_note_without_a_name(study, synthesis, tmp_path):
    not_dicom = (None, "report.html names nobody: the cine was not read from DICOM files.")
    assert read_identity(synthesis.cine) == not_dicom
    gone = dataclasses.replace(
        study.source, files=tuple((str(tmp_path / "gone"),) * len(f) for f in study.source.files)
    )
    identity, note = read_identity(dataclasses.replace(study, source=gone))
    assert (
        identity is None and note == "report.html names nobody: the headers of the cine cannot be read again."
    )


def test_a_broken_reference_is_told_before_any_work(tmp_path, capsys):
    (tmp_path / "site.json").write_text('{"format": 1, "mean_ms": }')
    for command in ("synthesize", "batch"):
        out = tmp_path / f"out_{command}"
        code = main([command, str(tmp_path), "-o", str(out), "--reference", str(tmp_path / "site.json")])
        assert code == 1 and not out.exists()
        assert "site.json is not valid JSON in line 1; correct it" in capsys.readouterr().err
