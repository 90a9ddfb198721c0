"""The two stages of T1Diff's training: the mean alone, then the diffusion beside it."""

import dataclasses

import pytest
import torch
from test_engine_t1diff import SMALL, rings
from torch import nn

from T1DiffLogic.engine.t1diff import T1Diff, T1DiffConfig
from T1DiffLogic.training.averaging import Ema
from T1DiffLogic.training.budget import Progress, warm_up_and_cosine
from T1DiffLogic.training.learner import Learner
from T1DiffLogic.training.methods import create
from T1DiffLogic.training.t1diff import MEAN_SHARE, steps_of


def model_and_batch(arm="fast"):
    torch.manual_seed(0)
    model = T1Diff(dataclasses.replace(T1DiffConfig.preset(arm), **SMALL))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    cine, ed, es, t1 = rings(2, model.config.cine_phases)
    scan = model.normalise(t1 + 40 * torch.randn_like(t1))
    return model, (cine, ed, es, scan, model.normalise(t1), 0.1 + ed[:, 2:3])


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {n: None if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}


def stage_gradients(model, batch, stage):
    return gradients(model, steps_of(model)[stage](*batch))


def learning(found):
    return {n.split(".")[0] for n, g in found.items() if g is not None and g.abs().sum() > 0}


MEAN, SPREAD, AROUND = {"mean", "modality", "morphology"}, {"spread"}, {"estimator", "spread"}


def test_each_stage_teaches_its_own_part():
    model, batch = model_and_batch()
    rooms = [learning(stage_gradients(model, batch, s)) for s in ("mean", "both", "diffusion")]
    assert rooms == [MEAN | SPREAD, MEAN | AROUND, AROUND]


def test_beside_the_diffusion_the_mean_learns_as_it_did_alone():
    model, batch = model_and_batch()
    alone, beside, around = (stage_gradients(model, batch, s) for s in ("mean", "both", "diffusion"))
    for name, found in beside.items():
        if name.split(".")[0] in MEAN | SPREAD:
            torch.testing.assert_close(found, alone[name], rtol=1e-4, atol=1e-6, msg=name)
        if name.split(".")[0] in SPREAD:
            torch.testing.assert_close(found, around[name], rtol=1e-4, atol=1e-6, msg=name)


def test_the_mean_learns_the_average_person_s_map_and_the_rest_the_scan():
    model, (cine, ed, es, scan, expected, weight) = model_and_batch()
    batches = {
        "plain": (cine, ed, es, scan, expected, weight),
        "scan": (cine, ed, es, scan + 0.1, expected, weight),
        "expected": (cine, ed, es, scan, expected + 0.1, weight),
    }
    found = {}
    for name, batch in batches.items():
        torch.manual_seed(7)  # of the noise
        found[name] = stage_gradients(model, batch, "both")

    def changed(name):
        return {n.split(".")[0] for n, g in found[name].items() if not torch.equal(g, found["plain"][n])}

    assert changed("scan") == AROUND
    assert changed("expected") == MEAN


def test_the_published_arm_learns_all_from_equation_6():
    model, batch = model_and_batch("paper")
    assert learning(stage_gradients(model, batch, "diffusion")) == {"estimator", "modality", "morphology"}


def test_a_kept_mean_stands_still_and_outlives_a_resumed_run():
    method, trained = create("t1diff", "small"), create("t1diff", "small").network
    method.keep_mean_of(trained)
    for name in MEAN:
        for own, its in zip(getattr(method.network, name).parameters(), getattr(trained, name).parameters()):
            assert torch.equal(own, its)
    method.progress.enter(method.stages)
    assert method.progress.stage == "diffusion"
    saved: dict = {}
    method.on_save_checkpoint(saved)
    later = create("t1diff", "small")
    later.on_load_checkpoint(saved)
    assert later.stages == method.stages == (("diffusion", 1.0),)


def test_the_rate_falls_once_over_both_stages():
    method = create("t1diff", "small")
    rates = []
    for updates in range(0, 1000, 10):
        method.progress = Progress(updates=updates, share=updates / 1000, stage=method.progress.stage)
        method.progress.enter(method.stages)
        rates.append(method.rate(method.progress.stage_share, method.progress.stage_updates))
    assert method.progress.stage == "both"
    assert rates[int(100 * MEAN_SHARE)] == pytest.approx(warm_up_and_cosine(MEAN_SHARE, 1000))
    assert all(a >= b for a, b in zip(rates[20:], rates[21:]))
    assert rates[-1] < 0.05 and max(rates) > 0.9


class Stages(Learner):
    """Two weights, one for each stage, which a test moves by hand."""

    name = "stages"
    stages = (("first", 0.5), ("second", 0.5))

    def __init__(self):
        super().__init__()
        self.network = nn.Linear(2, 1, bias=False)
        nn.init.zeros_(self.network.weight)

    def after(self, stage, *weights):
        self.progress.stage = stage
        self.network.weight.data.copy_(torch.tensor([weights]))


def test_a_stage_begins_with_the_averaged_weights_and_an_average_of_its_own():
    """A diffusion of 400 updates after 1550 of the mean kept an eighth of the weights that it began with."""
    learner = Stages()
    ema = Ema(learner)

    def updated(*state):
        learner.after(*state)
        ema.on_train_batch_end(None, learner, None, None, 0)
        return ema.shadow.weight[0].tolist()

    for n in range(2000):
        averaged = updated("first", n / 1000, 0.0)
    assert averaged[0] < 1.9  # lags behind 2
    begun = updated("second", 2.0, 7.0)
    assert begun == pytest.approx(averaged) == learner.network.weight[0].tolist()
    for _ in range(500):
        averaged_then = updated("second", averaged[0], 1.0)
    assert averaged_then == pytest.approx([averaged[0], 1.0], rel=0.02)


def test_the_stage_of_the_average_outlives_a_run():
    learner = Stages()
    ema, later = Ema(learner), Ema(learner)
    learner.after("first", 1.0, 0.0)
    for _ in range(5):
        ema.on_train_batch_end(None, learner, None, None, 0)
    later.load_state_dict(ema.state_dict())
    for one in (ema, later):
        learner.after("first", 3.0, 0.0)
        one.on_train_batch_end(None, learner, None, None, 0)
    assert torch.equal(ema.shadow.weight, later.shadow.weight)
    assert learner.network.weight[0, 0] == 3  # no new stage
