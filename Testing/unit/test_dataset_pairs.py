"""A patient's file: nothing is lost or guessed, damage is told, and slices are drawn as rendered ones are."""

import csv
import json
import zipfile

import numpy as np
import pytest
import torch
from dataset_cases import record_of

from T1DiffLogic.dataset import pairs
from T1DiffLogic.dataset.pairs import PreparedPairs, read_patient, write_patient
from T1DiffLogic.errors import StudyError


@pytest.fixture
def dataset(tmp_path):
    """Two training patients and one of the test, of three slices each."""
    rows = []
    for number, (name, split) in enumerate((("A", "train"), ("B", "test"), ("C", "train"))):
        record = record_of(seed=number)
        write_patient(tmp_path, {"patient": name, **record})
        rows += [{"patient": name, "split": split, "slice": s, "level": "mid"} for s in record["slices"]]
    with open(tmp_path / pairs.PAIRS_FILE, "w", newline="") as file:
        writer = csv.DictWriter(file, ["patient", "split", "slice", "level"])
        writer.writeheader()
        writer.writerows(rows)
    (tmp_path / pairs.DATASET_FILE).write_text(json.dumps({"format": pairs.FORMAT}))
    return tmp_path


def test_a_record_comes_back_bit_by_bit(tmp_path):
    record = {"patient": "A", **record_of()}
    back = read_patient(write_patient(tmp_path, record))
    assert set(back) == set(record)
    for name, value in record.items():
        np.testing.assert_array_equal(back[name], value, err_msg=name)
    assert [p.name for p in (tmp_path / "pairs").iterdir()] == ["A.npz"]


def test_the_same_record_gives_the_same_bytes(tmp_path):
    first, second = (
        write_patient(tmp_path / place, {"patient": "A", **record_of()}).read_bytes() for place in "ab"
    )
    assert first == second


@pytest.mark.parametrize(
    "change, told",
    [
        ({"t1_ms": np.full((3, 32, 32), np.nan, np.float32)}, "not finite"),
        ({"labels_ed": np.zeros((2, 32, 32), np.uint8)}, "labels_ed"),
        ({"soft_ed": np.zeros((3, 3, 32, 32), np.float16)}, "soft_ed"),
        ({"cine": np.zeros((3, 4, 32, 32), np.float16)}, "cine"),
        ({"t1": np.zeros(3)}, "'t1'"),
    ],
)
def test_a_record_that_breaks_the_format_is_not_written(tmp_path, change, told):
    with pytest.raises(StudyError, match=told):
        write_patient(tmp_path, {"patient": "A", **record_of(), **change})
    assert not list((tmp_path).rglob("*.npz"))


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


def empty(path):
    path.write_bytes(b"")


def lacking(path):
    with zipfile.ZipFile(path) as archive:
        kept = {n: archive.read(n) for n in archive.namelist() if n != "t1_ms.npy"}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in kept.items():
            archive.writestr(name, data)


@pytest.mark.parametrize("damage", [cut, flip, empty, lacking])
def test_a_damaged_file_is_told_by_name(dataset, damage):
    path = dataset / "pairs" / "A.npz"
    damage(path)
    with pytest.raises(StudyError, match="A.npz") as told:
        read_patient(path)
    assert "prepare" in str(told.value)
    with pytest.raises(StudyError, match="A.npz"):
        PreparedPairs(dataset, "train").batch([0, 1])


def test_a_batch_has_what_a_rendered_batch_has(dataset):
    from T1DiffLogic.training.rendered import engine_batch

    rendered = engine_batch([7, 8], wide=False, phases=5)
    batch = PreparedPairs(dataset, "train").batch([1, 4])
    assert set(rendered) - set(batch) == {"t1_expected"}  # own scans have no average person
    for name in set(rendered) & set(batch):
        assert batch[name].shape[:-2] == rendered[name].shape[:-2], name
        assert batch[name].dtype == rendered[name].dtype or name == "t1", name
    assert batch["patient"] == ["A", "C"] and batch["slice"].tolist() == [5, 5]


def test_slices_are_those_of_the_split_whatever_the_memory(dataset):
    truth = {name: record_of(seed=seed) for name, seed in (("A", 0), ("C", 2))}
    for cache in (0, 4096):
        train = PreparedPairs(dataset, "train", cache_mib=cache)
        assert train.patients == ("A", "C") and len(train) == 6
        for i in (5, 0, 3, 0):
            pair = train.slice(i)
            own, s = truth[pair["patient"]], i % 3
            np.testing.assert_array_equal(pair["t1"], own["t1_ms"][s])
            np.testing.assert_array_equal(pair["frame_es"], own["cine"][s, 3])
            np.testing.assert_array_equal(pair["soft_es"], own["soft_es"][s])
    assert PreparedPairs(dataset, "test").patients == ("B",)
    assert PreparedPairs(dataset).indices("B") == [3, 4, 5]


def test_what_training_writes_into_a_slice_is_not_the_next_one(dataset):
    train = PreparedPairs(dataset, "train")
    train.slice(0)["t1"].zero_()
    assert torch.all(train.slice(0)["t1"] > 0)


def test_a_folder_that_is_no_complete_dataset_is_told(dataset):
    with pytest.raises(StudyError, match="validation"):
        PreparedPairs(dataset, "validation")
    with pytest.raises(StudyError, match="split"):
        PreparedPairs(dataset, "training")
    (dataset / pairs.DATASET_FILE).write_text('{"format": 99}')
    with pytest.raises(StudyError, match="format 99"):
        PreparedPairs(dataset, "train")
    (dataset / pairs.DATASET_FILE).unlink()
    with pytest.raises(StudyError, match="t1diff prepare"):
        PreparedPairs(dataset, "train")
