"""Training: schedule, averaging, resuming, the pool of rendered hearts, and the losses."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from T1DiffLogic.errors import StudyError
from T1DiffLogic.phantom.draws import SEEDS
from T1DiffLogic.training.loop import STATE, Ema, Run
from T1DiffLogic.training.replay import Pool, Renderer, training_seeds
from T1DiffLogic.training.train_segmenter import cavity_loss, segmentation_loss, subject_of
from T1DiffLogic.training.train_synthesis import MEAN_SHARE, stage_of


def small_model():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


def train(run, steps, first=0):
    for i in range(first, first + steps):
        x = torch.randn(16, 4, generator=torch.Generator().manual_seed(i))
        run.step((run.model(x) - x.sum(1, keepdim=True)).square().mean(), share=0.5)


def test_resumed_run_continues_to_the_same_weights(tmp_path):
    whole = Run(small_model(), tmp_path / "whole", 10, 1e-2, resume=False)
    train(whole, 30)
    half = Run(small_model(), tmp_path / "half", 10, 1e-2, resume=False)
    train(half, 18)
    half.save(next_seed=77)
    again = Run(small_model(), tmp_path / "half", 10, 1e-2, resume=True)
    assert again.steps == 18 and again.next_seed == 77
    train(again, 12, first=18)
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], value)
        torch.testing.assert_close(again.ema.shadow[name], whole.ema.shadow[name])


def test_state_holds_nothing_that_could_run_code(tmp_path):
    run = Run(small_model(), tmp_path, 10, 1e-2, resume=False)
    run.save(0)
    assert torch.load(tmp_path / STATE, weights_only=True)["steps"] == 0


def test_elapsed_time_counts_earlier_sittings(tmp_path):
    run = Run(small_model(), tmp_path, 1, 1e-2, resume=False)
    run._earlier = 3600.0
    run.save(0)
    assert Run(small_model(), tmp_path, 1, 1e-2, resume=True).finished


def test_a_diverged_loss_never_reaches_the_weights(tmp_path):
    run = Run(small_model(), tmp_path, 10, 1e-2, resume=False)
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    run.step(run.model(torch.full((2, 4), float("nan"))).sum())
    for name, value in run.model.state_dict().items():
        torch.testing.assert_close(value, before[name])


def test_learning_rate_warms_up_and_falls_to_two_percent(tmp_path):
    run = Run(small_model(), tmp_path, 10, 1.0, resume=False)
    rates = []
    for steps, share in ((0, 0.0), (100, 0.0), (5000, 0.0), (5000, 0.5), (5000, 1.0)):
        run.stage_steps = steps
        run.step(run.model(torch.ones(2, 4)).sum() * 0, share=share)
        rates.append(run.optimiser.param_groups[0]["lr"])
    assert rates == pytest.approx([0.0, 0.5, 1.0, 0.02 + 0.98 * 0.5, 0.02])


def test_ema_is_the_weighted_sum_of_its_history():
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    ema = Ema(model, decay=0.5)
    expected = 0.0
    for step in range(1, 12):
        nn.init.constant_(model.weight, float(step))
        ema.update(model)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert ema.shadow["weight"].item() == pytest.approx(expected, rel=1e-6)


def test_log_is_one_table_over_sittings(tmp_path):
    run = Run(small_model(), tmp_path, 10, 1e-2, resume=False)
    run.log(loss=0.25)
    run.save(0)
    Run(small_model(), tmp_path, 10, 1e-2, resume=True).log(loss=0.2)
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0] == "minutes,step,loss" and len(lines) == 3


def test_a_new_run_does_not_inherit_the_log_of_another(tmp_path):
    for _ in range(2):
        run = Run(small_model(), tmp_path, 10, 1e-2, resume=False)
        run.log(loss=0.25)
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 2


def test_nothing_to_resume_is_said(tmp_path):
    with pytest.raises(StudyError, match="--resume"):
        Run(small_model(), tmp_path, 10, 1e-2, resume=True)


def test_training_seeds_never_leave_their_range():
    first = training_seeds(len(SEEDS["train"]) - 20, 16)
    batches = [next(first) for _ in range(3)]
    assert all(s in SEEDS["train"] for b in batches for s in b)
    assert batches[1][0] == 0 and batches[2][0] == 16


def test_pool_keeps_the_newest_and_draws_whole_hearts():
    pool = Pool(10)
    for i in range(4):
        value = torch.arange(4) + 4 * i
        pool.add({"a": value, "b": value * 10})
    assert pool.filled == 10
    drawn = pool.draw(200, torch.Generator().manual_seed(0))
    assert set(drawn["a"].tolist()) == set(range(6, 16))
    assert torch.equal(drawn["b"], drawn["a"] * 10)


def render_seed(seeds, wide, device="cpu"):
    return {"seed": torch.tensor(seeds), "wide": torch.full((len(seeds),), int(wide))}


def test_rendering_process_delivers_training_hearts_in_order():
    renderer = Renderer(render_seed, 32, 4, workers=1)
    try:
        batches = [renderer.take(wait=True) for _ in range(3)]
    finally:
        renderer.close()
    assert [b["seed"].tolist() for b in batches] == [[32, 33, 34, 35], [36, 37, 38, 39], [40, 41, 42, 43]]
    assert {int(b["wide"][0]) for b in batches} == {0, 1}
    assert renderer.next_seed == 44


def test_mean_is_learned_before_the_diffusion():
    assert stage_of(0.0, True) == ("mean", 0.0)
    assert stage_of(MEAN_SHARE, True) == ("diffusion", 0.0)
    assert stage_of(1.0, True) == ("diffusion", pytest.approx(1.0))
    assert stage_of(0.3, False) == ("diffusion", 0.3)
    # a run resumed with a longer budget does not learn its mean again under a trained diffusion
    assert stage_of(0.5, True, "diffusion") == ("diffusion", 0.0)


def test_each_stage_warms_up(tmp_path):
    run = Run(small_model(), tmp_path, 10, 1.0, resume=False)
    run.enter("mean")
    run.stage_steps = 500
    run.enter("mean")
    assert run.stage_steps == 500
    run.enter("diffusion")
    run.step(run.model(torch.ones(2, 4)).sum() * 0)
    assert run.optimiser.param_groups[0]["lr"] == 0.0


def logits_for(labels, certainty=12.0):
    return nn.functional.one_hot(labels, 4).permute(0, 3, 1, 2).float() * certainty


def ring():
    y, x = np.indices((48, 48)) - 23.5
    radius = np.hypot(y, x)
    return torch.from_numpy(np.where(radius < 8, 3, np.where(radius < 13, 2, 0)))[None]


def test_segmentation_loss_is_that_of_its_formula():
    labels = ring()
    logits = torch.randn(1, 4, 48, 48, generator=torch.Generator().manual_seed(1))
    p = logits.softmax(1).double().numpy()[0]
    truth = labels.numpy()[0]
    entropy = -np.mean([math.log(p[truth[i, j], i, j]) for i in range(48) for j in range(48)])
    dice = [(2 * p[k][truth == k].sum() + 1e-5) / (p[k].sum() + (truth == k).sum() + 1e-5) for k in (1, 2, 3)]
    expected = 0.8 * entropy + 1.2 * (1 - np.mean(dice))
    assert segmentation_loss(logits, labels).item() == pytest.approx(expected, rel=1e-5)


def test_cavity_labels_say_nothing_of_the_other_classes():
    labels = ring()
    cavity = labels == 3
    far = labels.clone()
    far[:, :6] = 1  # an RV away from the ring: the partial label cannot know
    told, other = cavity_loss(logits_for(labels), cavity), cavity_loss(logits_for(far), cavity)
    assert told.item() == pytest.approx(other.item(), abs=1e-4)


def test_cavity_labels_do_know_the_cavity_and_the_muscle_around_it():
    labels = ring()
    cavity = labels == 3
    right = cavity_loss(logits_for(labels), cavity)
    missed = labels.clone()
    missed[cavity] = 1
    bare = labels.clone()
    bare[labels == 2] = 0
    assert cavity_loss(logits_for(missed), cavity) > right + 1
    assert cavity_loss(logits_for(bare), cavity) > right + 0.3


def test_subject_is_the_part_before_the_image():
    assert subject_of("SC-HF-I-09-IM-0001-0007") == "SC-HF-I-09"
