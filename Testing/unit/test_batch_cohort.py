"""Which studies are found below a folder, and that patients are never mixed."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from batch_cases import write_image

from T1DiffLogic.batch.cohort import files_of, find_studies, inputs_of
from T1DiffLogic.dicom.files import SelectedFiles, find_images
from T1DiffLogic.errors import StudyError


def found(cohort, leave_out=None):
    """{place: files} of the studies."""
    studies, _ = find_studies(cohort, leave_out)
    return {study.place: sorted(files_of(cohort, study.parts)) for study in studies}


def test_a_study_may_lie_in_several_folders_of_any_depth(tmp_path):
    for place in ("a/x/1", "a/x/2", "a/y/deep/3", "b/1"):
        write_image(tmp_path / place, study=place[0])
    (tmp_path / "a" / "x" / "notes.txt").write_text("no image")
    assert found(tmp_path) == {"a": ["a/x/1", "a/x/2", "a/x/notes.txt", "a/y/deep/3"], "b": ["b/1"]}


def test_studies_of_one_folder_are_told_apart(tmp_path):
    for name, study, patient in (("1", "a", "P1"), ("2", "b", "P2"), ("3", "a", "P1"), ("4", "b", "P2")):
        write_image(tmp_path / "dump" / name, study, patient)
    studies, _ = find_studies(tmp_path)
    assert [files_of(tmp_path, s.parts) for s in studies] in (
        [["dump/1", "dump/3"], ["dump/2", "dump/4"]],
        [["dump/2", "dump/4"], ["dump/1", "dump/3"]],
    )
    assert len({s.key for s in studies}) == len({s.name for s in studies}) == 2
    for study in studies:
        listing = find_images(SelectedFiles(tmp_path, tuple(files_of(tmp_path, study.parts))))
        assert len(listing.images) == 2 and len({i.header.PatientID for i in listing.images}) == 1


def test_images_without_a_study_are_one_study_per_folder(tmp_path):
    write_image(tmp_path / "p1" / "1", "", "")
    write_image(tmp_path / "p2" / "1", "", "")
    assert set(found(tmp_path)) == {"p1", "p2"}


def test_one_image_that_lost_its_study_stays_with_its_folder(tmp_path):
    write_image(tmp_path / "p1" / "1", "a")
    write_image(tmp_path / "p1" / "2", "")
    assert found(tmp_path) == {"p1": ["p1/1", "p1/2"]}


@pytest.mark.parametrize("kept", ["preamble", "name", "nonsense"])
def test_damaged_files_are_a_study_that_will_be_told_and_other_files_are_none(tmp_path, kept):
    whole = write_image(tmp_path / "good" / "1", "a").read_bytes()
    cut = {
        "preamble": whole[:140],
        # the value of PatientName runs over the end of the file
        "name": whole[: whole.index(b"Doe^Jane") + 3],
        "nonsense": whole[:132] + bytes(range(256)) * 4,
    }
    for folder, content in (("broken", cut[kept]), ("text", b"DICM is not at its place here")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1").write_bytes(content)
    assert set(found(tmp_path)) == {"broken", "good"}


def test_volumes_with_a_time_axis_are_studies(tmp_path):
    cine = sitk.GetImageFromArray(np.zeros((3, 2, 5, 4), np.int16), isVector=False)
    for name in ("p1/cine.nii.gz", "p1/again.nrrd"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        sitk.WriteImage(cine, str(tmp_path / name))
    for name in ("p1/mask.nii.gz", "p1/t1_map.nrrd"):
        sitk.WriteImage(cine[..., 0], str(tmp_path / name))
    assert found(tmp_path) == {n: [n] for n in ("p1/again.nrrd", "p1/cine.nii.gz")}


def test_results_links_and_pipes_do_not_lead_astray(tmp_path):
    write_image(tmp_path / "cohort" / "p1" / "1", "a")
    write_image(tmp_path / "cohort" / "out" / "x" / "1", "b")
    write_image(tmp_path / "elsewhere" / "1", "c")
    os.symlink(tmp_path / "cohort", tmp_path / "cohort" / "p1" / "loop")
    os.symlink(tmp_path / "elsewhere", tmp_path / "cohort" / "linked")
    os.symlink(tmp_path / "nowhere", tmp_path / "cohort" / "p1" / "broken")
    os.mkfifo(tmp_path / "cohort" / "p1" / "pipe")
    assert found(tmp_path / "cohort", tmp_path / "cohort" / "out") == {
        "linked": ["linked/1"],
        "p1": ["p1/1"],
    }


def test_names_are_readable_steady_and_without_the_patient(tmp_path):
    write_image(tmp_path / "Doe_Jane" / "PAT-0815 visit 2" / "1", "a")
    (study,), _ = find_studies(tmp_path)
    assert study.place == "Doe_Jane/PAT-0815 visit 2"
    assert study.name.startswith("visit-2-") and not {"doe", "jane", "0815"} & set(
        study.label.lower().split()
    )
    for part in ("Doe", "Jane", "0815"):
        assert part not in study.name and part not in study.label
    (tmp_path / "moved").mkdir()
    os.rename(tmp_path / "Doe_Jane", tmp_path / "moved" / "other")
    (moved,), _ = find_studies(tmp_path)
    assert moved.key == study.key


@pytest.mark.parametrize("change", ["size", "time", "more", "fewer"])
def test_inputs_tell_every_change(tmp_path, change):
    for name in "12":
        write_image(tmp_path / "p" / name, "a")
    (study,), _ = find_studies(tmp_path)
    assert inputs_of(tmp_path, study.parts) == study.inputs
    target = tmp_path / "p" / "1"
    if change == "size":
        state = target.stat()
        target.write_bytes(target.read_bytes() + b"\0")
        os.utime(target, (state.st_atime, state.st_mtime))
    elif change == "time":
        os.utime(target, (1, 1))
    elif change == "more":
        write_image(tmp_path / "p" / "3", "a")
    else:
        target.unlink()
    assert inputs_of(tmp_path, study.parts) != study.inputs


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX users")
def test_a_folder_that_may_not_be_listed_is_told():
    cohort = Path(tempfile.mkdtemp())
    try:
        write_image(cohort / "open" / "1", "a")
        (cohort / "Jane").mkdir()
        (cohort / "Jane").chmod(0)
        cohort.chmod(0o755)
        if os.geteuid() == 0:
            os.seteuid(65534)
        try:
            studies, problems = find_studies(cohort)
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
    finally:
        (cohort / "Jane").chmod(0o700)
        shutil.rmtree(cohort)
    assert len(studies) == 1 and len(problems) == 1
    assert "cannot be listed (Permission denied)" in problems[0] and "Jane" not in problems[0]


def test_nothing_found_is_one_sentence(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(StudyError, match=r"no study was found .* \(1 files"):
        find_studies(tmp_path)
    with pytest.raises(StudyError, match="is not a folder"):
        find_studies(tmp_path / "nowhere")
