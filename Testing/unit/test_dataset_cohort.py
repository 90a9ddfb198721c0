"""A folder of examinations as patients: who is one patient, under which name, and what is never written."""

import csv
import os
import stat

import numpy as np
import pydicom
import pytest
from batch_cases import write_image
from dicom_cases import smooth_cine, t1_slices

from T1DiffLogic.dataset.cohort import find_patients, write_key
from T1DiffLogic.dataset.native import load_native
from T1DiffLogic.errors import StudyError, UsageError
from T1DiffLogic.phantom.dicom_writer import write_cine, write_t1_map
from T1DiffLogic.study_files import write_cine as write_cine_record
from T1DiffLogic.study_files import write_t1_map as write_t1_record


def image(root, place, study, patient):
    return write_image(root / place / "IM1", study, patient, name=f"Doe^{patient}")


def test_examinations_of_one_patient_are_one_patient(tmp_path):
    for place, study, patient in (("a", "1", "PAT-1"), ("b/x", "2", "PAT-2"), ("c", "3", "PAT-1")):
        image(tmp_path, place, study, patient)
    found, problems = find_patients(tmp_path)
    assert not problems and len(found) == 2
    both = next(p for p in found if len(p.places) == 2)
    assert both.identity == "id PAT-1" and sorted(both.places) == ["a", "c"]
    assert len(find_patients(tmp_path, by="study")[0]) == 3
    assert len(find_patients(tmp_path, by="folder")[0]) == 3


def test_pseudonyms_stay_when_patients_are_added_and_tell_nothing(tmp_path):
    for i in range(3):
        image(tmp_path, f"Doe_{i}", str(i), f"PAT-{i}")
    before = {p.identity: p.name for p in find_patients(tmp_path)[0]}
    for i in range(3, 7):
        image(tmp_path, f"A_{i}", str(i), f"PAT-{i}")
    after = {p.identity: p.name for p in find_patients(tmp_path)[0]}
    assert {k: after[k] for k in before} == before and len(set(after.values())) == 7
    assert all(len(name) == 11 and "PAT" not in name and "Doe" not in name for name in after.values())
    # the same patient number elsewhere, with other images, has another pseudonym: IDs cannot be tried out
    image(tmp_path / "elsewhere", "x", "another study", "PAT-0")
    assert find_patients(tmp_path / "elsewhere")[0][0].name != before["id PAT-0"]


def test_one_id_for_the_whole_cohort_is_no_patient(tmp_path):
    for i in range(4):
        image(tmp_path, f"p{i}", str(i), "ANONYMOUS")
    with pytest.raises(StudyError, match="--patient-by folder"):
        find_patients(tmp_path)
    assert len(find_patients(tmp_path, by="folder")[0]) == 4


def test_studies_without_an_id_are_patients_of_their_own(tmp_path):
    for i in range(5):
        image(tmp_path, f"p{i}", str(i), "")
    assert len(find_patients(tmp_path)[0]) == 5


def test_changed_files_change_the_inputs(tmp_path):
    path = image(tmp_path, "a", "1", "PAT-1")
    before = find_patients(tmp_path)[0][0].source.inputs
    assert find_patients(tmp_path)[0][0].source.inputs == before
    os.utime(path, (1, 1))
    assert find_patients(tmp_path)[0][0].source.inputs != before


def test_sentences_lose_folders_and_identifiers_but_not_their_sense(tmp_path):
    image(tmp_path, "Mueller/cine", "1", "PAT-4711")
    source = find_patients(tmp_path)[0][0].source
    said = source.clean(f"no cine in {tmp_path}/Mueller: Mueller/cine/IM1 of PAT-4711 is cut short.")
    assert "Mueller" not in said and "4711" not in said and str(tmp_path) not in said
    assert said.startswith("no cine in …") and "IM1" in said and said.endswith("is cut short.")


@pytest.mark.parametrize("dialect", ["siemens", "enhanced"])
def test_an_examination_is_read_from_dicom(tmp_path, dialect):
    cine, t1 = smooth_cine(), t1_slices()
    write_cine(cine, tmp_path / "p" / "1", dialect, seed=5)
    write_t1_map(t1, tmp_path / "p" / "2", dialect, seed=5)
    (patient,) = find_patients(tmp_path)[0]
    exam = patient.source.load()
    assert exam.cine.images.shape == cine.images.shape and exam.t1.n_slices == t1.n_slices
    assert exam.truth is None


def test_a_map_of_another_examination_is_not_taken(tmp_path):
    write_cine(smooth_cine(), tmp_path / "first", "siemens", seed=5, patient="P1")
    write_t1_map(t1_slices(), tmp_path / "second", "siemens", seed=6, patient="P1")
    (patient,) = find_patients(tmp_path)[0]
    with pytest.raises(StudyError, match="T1 map"):
        patient.source.load()


def test_volumes_pair_with_the_one_t1_map_beside_them(tmp_path):
    cine, t1 = smooth_cine(), t1_slices()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_cine_record(cine, tmp_path / name / "heart.cine.npz")
    write_t1_record(t1, tmp_path / "a" / "native_T1.t1map.npz")
    found = {p.places[0].split("/")[0]: p for p in find_patients(tmp_path, by="folder")[0]}
    np.testing.assert_array_equal(found["a"].source.load().t1.values_ms, t1.values_ms)
    with pytest.raises(StudyError, match="no volume with T1 in its name"):
        found["b"].source.load()


def test_raw_inversion_images_are_fitted_where_there_is_no_map(tmp_path):
    from T1DiffLogic.dicom.molli import InversionSeries
    from T1DiffLogic.phantom.dicom_inversion import write_inversion_series

    t1 = t1_slices()
    times = np.array([120.0, 200, 1000, 1080, 1900, 2000, 2900, 3800])
    inversion = np.array([0, 1, 0, 1, 0, 1, 0, 0])
    star = 0.8 * np.maximum(t1.values_ms, 1)[:, None]
    signal = np.abs(1000 * (1 - 2.25 * np.exp(-times[None, :, None, None] / star)))
    signal = np.where(t1.values_ms[:, None] > 0, signal, 0)
    series = InversionSeries(signal, np.tile(times, (5, 1)), np.tile(inversion, (5, 1)), t1.geometries)
    write_inversion_series(series, tmp_path / "raw", "siemens", seed=3)
    fitted = load_native(tmp_path)
    inside = (t1.values_ms > 0) & (fitted.values_ms > 0)
    assert inside.mean() > 0.3
    # T1 = T1* (B / A - 1) = 0.8 T1 · 1.25
    assert np.abs(fitted.values_ms - t1.values_ms)[inside].mean() < 15
    for file in (tmp_path / "raw").rglob("*"):
        if file.is_file():
            image = pydicom.dcmread(file)
            image.ContrastBolusAgent = "gadobutrol"
            image.save_as(file)
    with pytest.raises(StudyError, match="after contrast agent"):
        load_native(tmp_path)
    write_t1_map(t1, tmp_path / "map", "siemens", seed=3)
    np.testing.assert_allclose(load_native(tmp_path).values_ms, t1.values_ms, atol=1.0)


def test_neither_map_nor_raw_images(tmp_path):
    write_cine(smooth_cine(), tmp_path, "siemens", seed=5)
    with pytest.raises(StudyError, match="no T1 map was found"):
        load_native(tmp_path)


def test_the_key_lies_outside_and_is_its_owners_alone(tmp_path):
    image(tmp_path / "cohort", "a", "1", "PAT-1")
    found, _ = find_patients(tmp_path / "cohort")
    with pytest.raises(UsageError, match="outside the dataset"):
        write_key(tmp_path / "out" / "key.csv", found, tmp_path / "out")
    write_key(tmp_path / "key.csv", found, tmp_path / "out")
    with open(tmp_path / "key.csv", newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"patient": found[0].name, "identity": "id PAT-1", "places": "a"}
        ]
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "key.csv").stat().st_mode) == 0o600
