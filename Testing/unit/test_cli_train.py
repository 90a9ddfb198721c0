"""`t1diff train`: what is refused before anything is learned, and a whole small run."""

import importlib.util
import json

import pytest
import torch
from training_cases import write_dataset

from T1DiffLogic.cli import main
from T1DiffLogic.dataset.pairs import PreparedPairs
from T1DiffLogic.engine import checkpoint
from T1DiffLogic.engine.t1diff import T1Diff, T1DiffConfig
from T1DiffLogic.errors import StudyError
from T1DiffLogic.training import methods, t1diff
from T1DiffLogic.training.budget import Budget
from T1DiffLogic.training.prepared import check_phases
from T1DiffLogic.training.runs import train_method
from T1DiffLogic.training.train import RunOptions


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["t1diff", "--max-minutes", "0"], "above 0"),
        (["t1diff", "--max-updates", "-1"], "above 0"),
        (["t1diff", "--batch-size", "1"], "at least 2"),
        (["t1diff", "--batch-size", "9", "--devices", "2"], "multiple of --devices"),
        (["t1diff", "--start", "X", "--resume"], "--start"),
        (["t1diff", "--keep-mean"], "--keep-mean"),
        (["pix2pix", "--start", "X", "--keep-mean"], "--keep-mean"),
        (["synthesis", "--preset", "paper", "--start", "X", "--keep-mean"], "--keep-mean"),
        (["t1diff", "--preset", "paper"], "--preset"),
        (["segmenter", "DATASET"], "leave out DATASET"),
        (["segmenter", "--teacher", "X"], "--cavity-labels"),
        (["segmenter", "--size", "small"], "one size"),
        (["synthesis", "--cavity-labels", "X"], "--cavity-labels"),
        (["pix2pix", "DATASET", "--segmenter", "X"], "--segmenter"),
    ],
)
def test_impossible_options_are_wrong_usage(options, said, tmp_path, capsys):
    assert main(["train", *options, "-o", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("options", [["stylegan"], ["t1diff", "--max-minutes", "1", "--max-updates", "1"]])
def test_unknown_methods_and_double_budgets_are_wrong_usage(options, tmp_path):
    with pytest.raises(SystemExit) as error:
        main(["train", *options, "-o", str(tmp_path)])
    assert error.value.code == 2


def test_missing_lightning_is_one_sentence(tmp_path, monkeypatch, capsys):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == "lightning" else found(n, *a))
    assert main(["train", "segmenter", "-o", str(tmp_path)]) == 1
    said = capsys.readouterr().err.strip()
    assert "pip install t1diff[train]" in said and "\n" not in said


def test_a_folder_that_is_no_dataset_is_named(tmp_path, capsys):
    assert main(["train", "regression", str(tmp_path / "none"), "-o", str(tmp_path / "out")]) == 1
    assert "dataset.json" in capsys.readouterr().err


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_without_patients_is_told_before_anything_is_loaded(split, tmp_path, capsys):
    kinds = {"train": 1, "validation": 1} | {split: 0}
    folder = write_dataset(tmp_path / "pairs", kinds)
    assert main(["train", "regression", str(folder), "-o", str(tmp_path / "out"), "--max-updates", "1"]) == 1
    said = capsys.readouterr().err
    assert f"no pair of the split '{split}'" in said and "--split-seed" in said


@pytest.mark.parametrize(("name", "taken"), [("t1diff", False), ("regression", False), ("pix2pix", True)])
def test_a_dataset_of_other_cine_phases_is_told(name, taken, tmp_path):
    folder = write_dataset(tmp_path, {"train": 1})
    path = folder / "dataset.json"
    path.write_text(path.read_text().replace('"cine_phases": 5', '"cine_phases": 9'))
    pairs = PreparedPairs(folder, "train")
    method = methods.create(name, "small")
    if taken:
        check_phases(method, pairs)
    else:
        with pytest.raises(
            StudyError, match="9 cine phases, and .* takes 5; prepare it with --cine-phases 5"
        ):
            check_phases(method, pairs)


def test_training_on_prepared_pairs_leaves_a_model_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(t1diff, "INTENSITY_BATCHES", 2)
    dataset = write_dataset(tmp_path / "dataset", {"train": 1, "validation": 1})
    out = tmp_path / "out"
    command = ["train", "synthesis", str(dataset), "-o", str(out), "--size", "small", "--batch-size", "2"]
    assert main([*command, "--max-updates", "2", "--progress", "json", "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    # Lightning's own hints are silenced
    assert printed.err == ""
    events = [json.loads(line) for line in printed.out.splitlines()]
    assert events[-1] == {"event": "done", "output": str(out), "status": "ok"}
    metadata = json.loads((out / "config.json").read_text(encoding="utf-8"))["metadata"]
    assert metadata["trained_on"] == "digital phantoms only" and metadata["budget"] == {"updates": 2}
    assert metadata["method"] == "t1diff" and metadata["size"] == "small" and metadata["pixel_mm"] == 1.4
    assert set(metadata["intensity"]) == {"features", "mean", "sd", "limit"}
    assert methods.load(out).network.config.estimator_widths == (24, 48, 96)


@pytest.mark.parametrize("name", methods.METHODS)
@pytest.mark.parametrize("size", methods.SIZES)
def test_every_method_has_both_sizes(name, size):
    assert methods.configuration(name, size)


def test_a_diffusion_is_learned_anew_around_a_kept_mean(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(t1diff, "INTENSITY_BATCHES", 2)
    dataset = write_dataset(tmp_path / "dataset", {"train": 1, "validation": 1})
    older = T1DiffConfig.from_dict(
        {
            **methods.configuration("t1diff", "small"),
            "learned_spread": False,
            "estimator_widths": [16, 24, 32],
        }
    )
    torch.manual_seed(2)
    checkpoint.save(T1Diff(older), tmp_path / "older", {"method": "t1diff"})
    common = [str(dataset), "--size", "small", "--batch-size", "2", "--max-updates", "3", "--device", "cpu"]
    train = ["train", "synthesis", *common, "--progress", "none", "-o", str(tmp_path / "out")]
    assert main([*train, "--start", str(tmp_path / "older")]) == 1  # is of another kind as a whole
    assert "not of the same" in capsys.readouterr().err
    assert main([*train, "--start", str(tmp_path / "older"), "--keep-mean"]) == 0
    before, after = (checkpoint.load(tmp_path / n, "t1diff").state_dict() for n in ("older", "out"))
    for name in after:
        if name.split(".")[0] in ("modality", "morphology", "mean"):
            assert torch.equal(before[name], after[name]), name
    assert after["spread.head.bias"].abs().sum() > 0  # began at 0
    metadata = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))["metadata"]
    assert metadata["started_from"] == checkpoint.read_config(tmp_path / "older")["weights_sha256"]


def test_a_mean_of_another_kind_cannot_be_kept(tmp_path, capsys):
    dataset = write_dataset(tmp_path / "dataset", {"train": 1, "validation": 1})
    common = [
        str(dataset),
        "--size",
        "small",
        "--max-updates",
        "1",
        "--device",
        "cpu",
        "-o",
        str(tmp_path / "o"),
    ]
    for name, changes in (("wide", {"modality_widths": [8, 16, 24]}), ("none", {"residual": False})):
        values = {**methods.configuration("t1diff", "small"), "learned_spread": False, **changes}
        checkpoint.save(T1Diff(T1DiffConfig.from_dict(values)), tmp_path / name)
        assert main(["train", "t1diff", *common, "--start", str(tmp_path / name), "--keep-mean"]) == 1
        assert "no mean map of the same kind and size" in capsys.readouterr().err


def test_a_regression_in_views_is_the_mean_of_what_it_makes_of_each():
    torch.manual_seed(0)
    one, four = (
        methods.method_class("regression")(
            {**methods.configuration("regression", "small"), "views": n}
        ).eval()
        for n in (1, 4)
    )
    four.network.load_state_dict(one.network.state_dict())
    inputs = {name: torch.rand(1, n, 128, 128) for name, n in (("cine", 5), ("soft_ed", 4), ("soft_es", 4))}
    parts = []
    for view in range(4):
        seen = {name: torch.rot90(value, view, (-2, -1)) for name, value in inputs.items()}
        parts.append(torch.rot90(one.predict_ms(seen, 1, 0, [0]), -view, (-2, -1)))
    torch.testing.assert_close(four.predict_ms(inputs, 1, 0, [0]), torch.stack(parts).mean(0))
    assert (parts[0] - parts[1]).abs().max() > 1


def test_a_mean_cannot_be_kept_of_nothing(tmp_path):
    with pytest.raises(StudyError, match="name one to start from"):
        train_method("t1diff", tmp_path, RunOptions(Budget(updates=1)), keep_mean=True)
