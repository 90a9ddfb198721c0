"""Runs under Lightning: resuming, averaging, divergence, two optimisers, several devices."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from training_cases import small, write_dataset

from T1DiffLogic.engine.checkpoint import load
from T1DiffLogic.errors import StudyError
from T1DiffLogic.training import budget, methods, t1diff
from T1DiffLogic.training.averaging import Ema
from T1DiffLogic.training.budget import Budget
from T1DiffLogic.training.conduct import STATE
from T1DiffLogic.training.data import TrainingData
from T1DiffLogic.training.learner import Learner
from T1DiffLogic.training.prepared import PreparedData
from T1DiffLogic.training.t1diff import T1DiffFast
from T1DiffLogic.training.train import RunOptions, train
from T1DiffLogic.training.validation import Validation

UNIT = Path(__file__).parent


class Sum(Learner):
    """Learns the sum of four numbers, under dropout: a run that draws random numbers of its own."""

    name = "sum"
    peak_rate = 0.05

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.network = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 1))

    def training_losses(self, inputs):
        x = inputs["x"]
        yield "network", (self.network(x) - x.sum(1, keepdim=True)).square().mean()

    def save(self, folder, metadata):
        (folder / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")


class Numbers(TrainingData):
    origin = "random numbers"

    def batches(self):
        number = self.progress.updates
        while True:
            x = torch.randn(self.own_size, 4, generator=self.generator(number, self.process))
            # the tenth batch has a number that is none
            yield {"x": x / 0 if number == self.broken else x}
            number += 1

    broken = None


class Nothing:
    def measure(self, learner):
        assert not learner.training
        return {"rmse_ms": 1.0}


@pytest.fixture(autouse=True)
def short_warm_up(monkeypatch):
    monkeypatch.setattr(budget, "WARM_UP", 3)


def run(folder, learner=None, updates=20, data=None, **options):
    learner = learner or Sum()
    train(
        learner, data or Numbers(16, 0), Nothing, folder, RunOptions(Budget(updates=updates), **options),
        say=lambda text: None,
    )  # fmt: skip
    return learner


def saved(folder):
    return torch.load(folder / STATE, weights_only=True)


def assert_same(a, b):
    """Two states: equal keys, equal values."""
    if isinstance(a, torch.Tensor):
        torch.testing.assert_close(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


def comparable(state):
    """What must not depend on the sittings: all but the clock."""
    clock = {"seconds", "learning", "share", "stage_share"}
    kept = {name: state[name] for name in ("state_dict", "optimizer_states", "callbacks")}
    return kept | {"progress": {k: v for k, v in state["progress"].items() if k not in clock}}


def test_a_resumed_run_continues_to_the_same_state(tmp_path):
    run(tmp_path / "whole")
    run(tmp_path / "half", sitting=Budget(updates=7))
    assert saved(tmp_path / "half")["progress"]["updates"] == 7
    run(tmp_path / "half", resume=True)
    assert saved(tmp_path / "whole")["progress"]["updates"] == 20
    assert_same(comparable(saved(tmp_path / "half")), comparable(saved(tmp_path / "whole")))


def test_another_seed_is_another_run(tmp_path):
    first, second = run(tmp_path / "a", updates=4), run(tmp_path / "b", updates=4, seed=1)
    assert not torch.equal(first.network[0].weight, second.network[0].weight)


def test_elapsed_time_and_log_go_on_over_sittings(tmp_path):
    run(tmp_path, sitting=Budget(updates=7))
    earlier = saved(tmp_path)["progress"]["seconds"]
    run(tmp_path, resume=True)
    assert saved(tmp_path)["progress"]["seconds"] > earlier > 0
    steps = [int(line.split(",")[2]) for line in (tmp_path / "log.csv").read_text().splitlines()[1:]]
    assert steps == sorted(steps) and {7, 20} <= set(steps)


def test_a_budget_of_minutes_stops_by_the_clock(tmp_path):
    train(Sum(), Numbers(16, 0), Nothing, tmp_path, RunOptions(Budget(minutes=0.02)), say=lambda text: None)
    progress = saved(tmp_path)["progress"]
    assert 1.2 <= progress["seconds"] < 4 and progress["updates"] > 5


def test_a_diverged_loss_never_reaches_the_weights(tmp_path):
    data = Numbers(16, 0)
    data.broken = 9
    learner = run(tmp_path, data=data)
    assert learner.progress.skipped == 1
    assert all(p.isfinite().all() for p in learner.network.parameters())


def test_ema_is_the_weighted_sum_of_its_history():
    learner = Sum()
    learner.network = nn.Linear(1, 1, bias=False)
    learner.ema_decay = 0.5
    nn.init.zeros_(learner.network.weight)
    ema, expected = Ema(learner), 0.0
    for step in range(1, 12):
        nn.init.constant_(learner.network.weight, float(step))
        ema.update(learner.network)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    with ema.applied(learner):
        assert learner.network.weight.item() == pytest.approx(expected, rel=1e-6)
    assert learner.network.weight.item() == 11.0


def test_nothing_to_resume_is_said(tmp_path):
    with pytest.raises(StudyError, match="--resume"):
        run(tmp_path, resume=True)


def test_another_networks_state_is_not_resumed(tmp_path):
    run(tmp_path, updates=2)
    other = Sum()
    other.name = "other"
    with pytest.raises(StudyError, match="another network \\(sum\\)"):
        run(tmp_path, other, resume=True)
    (tmp_path / STATE).write_bytes(b"damaged")
    with pytest.raises(StudyError, match="damaged"):
        run(tmp_path, resume=True)


class Duel(Sum):
    """Two parts with an optimiser each; the second loss must meet the first part after its step."""

    def __init__(self):
        super().__init__()
        self.critic = nn.Linear(1, 1)
        self.seen = []

    def optimisers(self):
        return {n: torch.optim.SGD(p.parameters(), 0.1) for n, p in
                (("network", self.network), ("critic", self.critic))}  # fmt: skip

    def training_losses(self, inputs):
        fake = self.network(inputs["x"])
        before = self.critic.weight.detach().clone()
        yield "critic", (self.critic(fake.detach()) - 1).square().mean()
        self.seen.append(bool((self.critic.weight != before).any()))
        yield "network", self.critic(fake).square().mean()


def test_optimisers_step_in_turn_and_losses_are_told_apart(tmp_path):
    learner = run(tmp_path, Duel(), updates=6)
    # the learning rate of the very first update is 0
    assert learner.seen == [False] + [True] * 5
    assert learner.progress.updates == 6
    header = (tmp_path / "log.csv").read_text().splitlines()[0]
    assert "loss_network" in header and "loss_critic" in header


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("dataset"), {"train": 2, "validation": 1})


def test_t1diff_on_prepared_pairs_resumes_to_the_same_model(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(t1diff, "INTENSITY_BATCHES", 2)

    def sitting(folder, **options):
        method = small(T1DiffFast)
        validation = partial(Validation.prepared, dataset, torch.device("cpu"))
        train(
            method, PreparedData(dataset, 2, 0), validation, folder,
            RunOptions(Budget(updates=8), **options), say=lambda text: None,
        )  # fmt: skip

    sitting(tmp_path / "whole")
    sitting(tmp_path / "half", sitting=Budget(updates=3))
    sitting(tmp_path / "half", resume=True)
    assert saved(tmp_path / "half")["progress"]["stage"] == "both"
    assert_same(comparable(saved(tmp_path / "half")), comparable(saved(tmp_path / "whole")))
    # the folder holds the average, as the spine and the study open it
    model, method = load(tmp_path / "half", "t1diff"), methods.load(tmp_path / "half")
    assert method.name == "t1diff"
    averaged = saved(tmp_path / "half")["callbacks"]["Ema"]["shadow"]
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, averaged[name], atol=1e-3, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["regression", "t1diff"])
def test_two_devices_learn_as_one(dataset, tmp_path, name):
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(UNIT), str(UNIT.parents[1])]),
        "OMP_NUM_THREADS": "1",
    }
    curves = []
    for devices in (1, 2):
        out = tmp_path / str(devices)
        command = [sys.executable, UNIT / "training_on_devices.py", name, dataset, out, str(devices), "16"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stderr
        curves.append(json.loads((out / "losses.json").read_text(encoding="utf-8")))
    for stage in dict.fromkeys(stage for stage, _ in curves[0]):
        one, two = (np.array([loss for s, loss in c if s == stage]) for c in curves)
        assert len(one) == len(two)
        if stage == "both":  # noise is drawn by each process: the same on average only
            assert two.mean() == pytest.approx(one.mean(), rel=0.1)
        else:
            assert one[-1] < 0.9 * one[0]
            np.testing.assert_allclose(two, one, rtol=0.03)
