"""The rivals and ablations under Lightning: pairs in, a model folder out, resuming to the same result."""

from functools import partial

import pytest
import torch
from baseline_cases import narrow
from training_cases import write_dataset

from T1DiffLogic.training import methods
from T1DiffLogic.training.budget import Budget
from T1DiffLogic.training.prepared import PreparedData
from T1DiffLogic.training.train import RunOptions, train
from T1DiffLogic.training.validation import Validation


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("dataset"), {"train": 2, "validation": 1})


def sitting(name, dataset, folder, updates=6, **options):
    train(
        narrow(name), PreparedData(dataset, 2, 0),
        partial(Validation.prepared, dataset, torch.device("cpu")), folder,
        RunOptions(Budget(updates=updates), **options), say=lambda text: None,
    )  # fmt: skip


def state(folder):
    return torch.load(folder / "training_state.ckpt", weights_only=True)


@pytest.mark.parametrize("name", ["pix2pix", "cyclegan", "hinet"])
def test_a_resumed_run_ends_where_the_uninterrupted_one_does(name, dataset, tmp_path):
    sitting(name, dataset, tmp_path / "whole")
    sitting(name, dataset, tmp_path / "half", sitting=Budget(updates=3))
    sitting(name, dataset, tmp_path / "half", resume=True)
    whole, half = state(tmp_path / "whole"), state(tmp_path / "half")
    assert whole["progress"]["updates"] == half["progress"]["updates"] == 6
    assert whole["progress"]["skipped"] == 0
    assert set(whole["state_dict"]) == set(half["state_dict"])
    for key, value in whole["state_dict"].items():
        assert torch.equal(half["state_dict"][key], value), key
    if name == "cyclegan":
        assert whole["state_dict"]["pools.map.filled"] == 3


@pytest.mark.parametrize("name", ["pgan", "gan_disentangled", "ddpm_raw"])
def test_a_run_gives_a_model_folder_that_the_study_opens(name, dataset, tmp_path):
    sitting(name, dataset, tmp_path, updates=4)
    method = methods.load(tmp_path)
    assert method.name == name and not method.training
    log = (tmp_path / "log.csv").read_text(encoding="utf-8").splitlines()
    assert ("loss_discriminator" in log[0]) == (name != "ddpm_raw")
    assert state(tmp_path)["progress"]["stage"] == method.stages[-1][0]
