"""A run over many patients: resumed after a kill, nothing half-written, every end told in a table."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from dataset_cases import Ends

from T1DiffLogic.dataset.pairing import PairingOptions
from T1DiffLogic.dataset.pairs import PreparedPairs, read_patient
from T1DiffLogic.dataset.phantom_cohort import PhantomSource, study_patients
from T1DiffLogic.dataset.preparing import Patient, only_one, prepare_patients
from T1DiffLogic.dataset.processes import Crashed, work
from T1DiffLogic.dataset.splits import split_of
from T1DiffLogic.errors import StudyError, UsageError
from T1DiffLogic.phantom.draws import SEEDS
from T1DiffLogic.progress import Reporter

DESCRIPTION = {"split_seed": 0, "origin": "digital phantoms only"}
SEED = 9_950_000


def prepare(patients, folder, **changes):
    arguments = {"options": PairingOptions(), "description": DESCRIPTION, "workers": 0, "device": "cpu"}
    return prepare_patients(patients, folder, reporter=Reporter(), **{**arguments, **changes})


def table(folder: Path, name: str) -> list[dict]:
    with open(folder / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run that is interrupted after its first patient, and the one that ends it; what was tried in each."""
    folder = tmp_path_factory.mktemp("dataset")
    log = folder.parent / "tried.txt"

    def patients(third: str):
        ends = (("bad", "empty"), ("third", third), ("odd", "odd"))
        sources = {name: Ends(name, how, str(log)) for name, how in ends}
        return [
            Patient("phantom", "train", PhantomSource(SEED)),
            *(Patient(name, "test", source) for name, source in sources.items()),
        ]

    with pytest.raises(KeyboardInterrupt):
        prepare(patients("interrupt"), folder)
    first = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    stamp = (folder / "pairs" / "phantom.npz").stat().st_mtime_ns
    # what a killed process leaves
    (folder / "pairs" / ".t1diff-left.part").write_bytes(b"half")
    result = prepare(patients("short"), folder)
    return folder, first, stamp, result, log.read_text().split()


def test_an_interrupted_run_leaves_whole_files_and_no_dataset(runs):
    _, first, _, _, _ = runs
    assert "dataset.json" not in first and not any(name.endswith(".csv") for name in first)
    assert "pairs/phantom.npz" in first and "records/bad.json" in first
    assert not any(".part" in name for name in first)


def test_the_next_run_does_only_what_is_left(runs):
    folder, _, stamp, result, tried = runs
    assert tried == ["bad", "third", "third", "odd"]
    assert (folder / "pairs" / "phantom.npz").stat().st_mtime_ns == stamp
    assert not list(folder.rglob("*.part"))
    assert (result.patients, result.done, result.kept, result.excluded) == (4, 1, 2, 3)


def test_tables_tell_every_end_in_a_sentence(runs):
    folder, *_ = runs
    assert [(r["patient"], r["split"], r["slices"], r["status"]) for r in table(folder, "patients.csv")] == [
        ("phantom", "train", "3", "done"), ("bad", "test", "0", "excluded"),
        ("third", "test", "0", "excluded"), ("odd", "test", "0", "excluded"),
    ]  # fmt: skip
    reasons = {r["patient"]: r["reason"] for r in table(folder, "excluded.csv")}
    assert reasons["bad"] == "The cine of … is empty."
    assert "ZeroDivisionError" in reasons["odd"]
    assert json.loads((folder / "dataset.json").read_text())["splits"] == {
        "train": 1, "validation": 0, "test": 0,
    }  # fmt: skip
    assert not any("Doe" in p.read_text() for p in folder.rglob("*.csv"))


def test_the_pairs_of_a_digital_patient_hold_together(runs):
    folder, *_ = runs
    rows = table(folder, "pairs.csv")
    assert [r["level"] for r in rows] == ["basal", "mid", "apical"]
    pairs = PreparedPairs(folder, "train")
    record = pairs.patient("phantom")
    wall = record["labels_t1"] == 2
    assert [int(r["n_myocardium"]) for r in rows] == wall.sum(axis=(1, 2)).tolist()
    error = (record["t1_ms"] - record["t1_truth_ms"])[wall]
    assert abs(np.median(error)) < 10 and np.percentile(np.abs(error), 90) < 60
    # a scan of its own, on the same anatomy
    again = (record["t1_ms"] - record["t1_repeat_ms"])[wall & (record["labels_t1_repeat"] == 2)]
    assert 5 < again.std() < 150
    for found, true in (("labels_ed", "true_labels_ed"), ("labels_es", "true_labels_es")):
        for label in (2, 3):
            a, b = record[found] == label, record[true] == label
            assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.8
    assert (record["soft_ed"].argmax(axis=1) == record["labels_ed"]).mean() > 0.999
    assert set(np.unique(record["aha_t1"])) <= set(range(17)) and (record["aha_t1"] > 0).sum() > 400
    assert 0 <= record["scar"].min() and record["scar"].max() <= 1.01
    batch = pairs.batch(range(3))
    np.testing.assert_array_equal(batch["cine"][:, 0], record["cine_all"][:, record["ed"]])
    np.testing.assert_array_equal(batch["frame_es"], record["cine_all"][:, record["es"]])
    assert {p.name for p in (folder / "qc").iterdir()} == {f"phantom_{int(r['slice']):02d}.png" for r in rows}


def test_a_damaged_or_differently_asked_patient_is_done_again(runs, tmp_path):
    log = str(tmp_path / "tried.txt")
    good = Patient("phantom", "train", PhantomSource(SEED))
    folder, *_ = runs
    before = read_patient(folder / "pairs" / "phantom.npz")
    path = folder / "pairs" / "phantom.npz"
    path.write_bytes(path.read_bytes()[:1000])
    assert prepare([good], folder).kept == 0
    after = read_patient(path)
    assert all(np.array_equal(after[name], before[name]) for name in before)
    bad = Patient("bad", "test", Ends("bad", "empty", log, inputs="other files"))
    assert prepare([good, bad], folder).kept == 1
    assert Path(log).read_text().split() == ["bad"]


def test_no_pair_at_all_is_told_and_makes_no_dataset(tmp_path):
    patients = [Patient("bad", "test", Ends("bad", "empty", str(tmp_path / "log")))]
    with pytest.raises(StudyError, match="no pair is left of 1 patients"):
        prepare(patients, tmp_path / "out")
    assert not (tmp_path / "out" / "dataset.json").exists()
    assert table(tmp_path / "out", "excluded.csv")[0]["reason"] == "The cine of … is empty."


def test_two_runs_do_not_share_a_folder(tmp_path):
    patients = [Patient("bad", "test", Ends("bad", "empty", str(tmp_path / "log")))]
    with only_one(tmp_path), pytest.raises(StudyError, match="another run"):
        prepare(patients, tmp_path)


def test_splits_follow_from_patient_and_seed_alone():
    names = [f"P{i:04d}" for i in range(3000)]
    splits = {name: split_of(name, 0, 0.1, 0.2) for name in names}
    # patients who come later move nobody, in whatever order they come
    assert all(split_of(name, 0, 0.1, 0.2) == splits[name] for name in names[::-7])
    counts = {split: list(splits.values()).count(split) for split in ("train", "validation", "test")}
    assert abs(counts["test"] - 300) < 60 and abs(counts["validation"] - 600) < 80
    assert sum(split_of(n, 1, 0.1, 0.2) != splits[n] for n in names) > 800
    with pytest.raises(UsageError):
        split_of("P", 0, 0.6, 0.4)


def test_the_study_has_the_published_counts_and_seeds_of_its_own():
    from T1DiffLogic.evaluation.controls import TRAINING_PATIENTS

    patients = study_patients()
    seeds = {
        split: {p.source.seed for p in patients if p.split == split}
        for split in ("train", "validation", "test")
    }
    assert {split: len(own) for split, own in seeds.items()} == {"train": 254, "validation": 28, "test": 31}
    assert len({p.name for p in patients}) == 313 == len(set().union(*seeds.values()))
    learned = seeds["train"] | seeds["validation"]
    assert all(s in SEEDS["train"] and s not in TRAINING_PATIENTS for s in learned)
    assert all(s in SEEDS["test"][10:] for s in seeds["test"])  # 0 to 9 are the demo's
    shifted = study_patients(shift="vendor")
    assert {p.source.seed for p in shifted} == seeds["test"] and {p.split for p in shifted} == {"test"}
    assert shifted[0].source.inputs != patients[-31].source.inputs


def ends_or_squares(item: int) -> int:
    if item == 3:
        os._exit(9)
    return item * item


@pytest.mark.slow
def test_a_crashing_item_costs_only_itself():
    ended = dict(work(ends_or_squares, iter([1, 2, 3, 4, 5]), 2))
    assert isinstance(ended.pop(3), Crashed)
    assert ended == {1: 1, 2: 4, 4: 16, 5: 25}
