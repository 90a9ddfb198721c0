"""The real thing once, in a worker process: a digital patient and a study without a cine, in one folder."""

import csv
import json

import pytest
import SimpleITK as sitk
from batch_cases import write_image

from T1DiffLogic.batch.job import _native_map
from T1DiffLogic.cli import main
from T1DiffLogic.dicom.files import SelectedFiles
from T1DiffLogic.phantom.dicom_writer import write_cine, write_t1_map
from T1DiffLogic.phantom.draws import patient_seed
from T1DiffLogic.phantom.patient import digital_patient
from T1DiffLogic.study import Cine, T1Map

# numbers so long that no picture holds them by chance
NAME, OTHER = "Dulcinea-447193586", "Sancho-221078465"
FAST = ("--samples", "2", "--steps", "2", "--seed", "5", "--device", "cpu", "--native", "--workers", "1")


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """(cohort, output, exit code) of a flat folder with three slices of a patient and images of another."""
    folder = tmp_path_factory.mktemp("batch")
    patient = digital_patient(patient_seed("test", 42), phases=8, infarcted=True)
    full, cohort = patient.cine, folder / "cohort"
    middle = full.n_slices // 2
    keep = slice(middle - 1, middle + 2)
    cine = Cine(full.images[keep], full.geometries[keep], full.trigger_ms[keep], full.source)
    write_cine(cine, folder / "nested", "ge", patient=NAME, extras=False)
    t1 = T1Map(patient.t1.values_ms[1:2], patient.t1.geometries[1:2])
    write_t1_map(t1, folder / "nested", "ge", patient=NAME)
    (cohort / "dump").mkdir(parents=True)
    for number, path in enumerate(sorted(p for p in (folder / "nested").rglob("*") if p.is_file())):
        path.rename(cohort / "dump" / f"{number:04d}")
        if number % 5 == 0:
            write_image(cohort / "dump" / f"{number:04d}x", "other", OTHER, OTHER)
    code = main(["batch", str(cohort), "-o", str(folder / "out"), *FAST, "--progress", "none"])
    return cohort, folder / "out", code


def rows(output):
    with (output / "summary.csv").open(newline="", encoding="utf-8") as file:
        return {row["status"]: row for row in csv.DictReader(file)}


def test_the_patient_is_done_and_the_other_is_told(batch):
    _, output, code = batch
    table = rows(output)
    assert code == 1 and set(table) == {"ok", "failed"}, [row["reason"] for row in table.values()]
    done = table["ok"]
    result = json.loads((output / done["study"] / "result.json").read_text(encoding="utf-8"))
    found = {p.name for p in (output / done["study"]).iterdir()}
    assert found == {path.split("/")[0] for path in result["files"].values()} | {"batch.json"}
    image = sitk.ReadImage(str(output / done["study"] / "t1_map.nrrd"))
    assert image.GetSize()[2] == 3 and sitk.GetArrayFromImage(image).any()
    assert float(done["global_t1_ms"]) == pytest.approx(result["global"]["mean_ms"], abs=1e-3)
    assert done["native_bias_ms"] and (done["seed"], done["samples"], done["steps"]) == ("5", "2", "2")
    # nothing of the other one's images was even looked at
    assert not any("set aside" in note or "not DICOM" in note for note in result["notes"])
    assert "other" not in table["failed"]["reason"] and table["failed"]["reason"]


def test_patients_appear_nowhere(batch):
    _, output, _ = batch
    for path in output.rglob("*"):
        filed = path.parent.name == "dicom"  # objects for the archive are the patient's by purpose
        content = path.read_bytes().lower() if path.is_file() and not filed else b""
        for part in (NAME + "-" + OTHER).lower().split("-"):
            assert part.encode() not in content and part not in path.name.lower(), path.name


def test_a_second_run_leaves_what_is_done(batch):
    cohort, output, _ = batch
    (result,) = output.glob("*/result.json")
    before = result.stat().st_mtime_ns
    assert main(["batch", str(cohort), "-o", str(output), *FAST, "--progress", "none"]) == 1
    assert result.stat().st_mtime_ns == before


def test_a_study_without_a_native_map_is_not_refused(tmp_path):
    said = []
    write_image(tmp_path / "1", "one")
    assert _native_map(SelectedFiles(tmp_path, ("1",)), said.append) is None
    assert said and said[0].startswith("not compared with a native map: ")
