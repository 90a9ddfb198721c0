"""The benchmark: what is timed is what it says, counts are exact, and what was not measured is marked."""

import csv
import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("lightning", reason="lightning is not installed; the benchmark needs it for training")

from T1DiffLogic.benchmark import arithmetic, samplers, tables, timing
from T1DiffLogic.benchmark.hearts import Hearts
from T1DiffLogic.benchmark.run import SLICE, STUDY, THROUGHPUT, TRAINING, Figure
from T1DiffLogic.benchmark.timing import Timing, sampling_time, timed
from T1DiffLogic.benchmark.training_speed import WARM_UP, update_time
from T1DiffLogic.cli import main
from T1DiffLogic.engine.precision import inference_precision
from T1DiffLogic.engine.t1diff import T1Diff, T1DiffConfig
from T1DiffLogic.training.methods import method_class

CPU = torch.device("cpu")
SIZE, PHASES = 32, 5
TINY = {
    "size": SIZE, "modality_widths": (8, 16, 16), "modality_bottleneck": 16, "morphology_widths": (8, 8, 16),
    "estimator_widths": (8, 16, 16), "sampler_steps": 3, "samples": 2,
}  # fmt: skip
needs_monai = pytest.mark.skipif(
    samplers.monai_missing() is not None, reason="MONAI is not installed (extra 'bench')"
)


class Clock:
    """Stands in for the wall clock of timing.py: a call takes as long as it says."""

    def __init__(self, monkeypatch):
        self.now, self.calls = 0.0, []
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now)

    def work(self, seconds):
        self.now += seconds
        self.calls.append(seconds)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture(scope="module")
def hearts():
    generator = torch.Generator().manual_seed(0)
    grid = torch.arange(SIZE) - SIZE / 2
    radius = torch.hypot(*torch.meshgrid(grid, grid, indexing="ij"))
    labels = torch.zeros(2, SIZE, SIZE, dtype=torch.uint8)
    labels[:, radius < 9] = 2
    labels[:, radius < 6] = 3
    t1 = 1200 + 50 * torch.randn(2, SIZE, SIZE, generator=generator)
    return Hearts(
        {
            "cine": (300 + 100 * torch.rand(2, PHASES, SIZE, SIZE, generator=generator)).half(),
            "labels_ed": labels, "labels_es": labels, "labels_t1": labels,
            "t1": t1.half(), "t1_expected": t1.half(),
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return T1Diff(T1DiffConfig(**TINY)).eval().requires_grad_(False)


def test_time_is_the_median_after_the_warm_up(clock):
    durations = iter([100.0, 3.0, 1.0, 2.0, 99.0])
    time = timed(lambda: clock.work(next(durations)), CPU, spend=5.0)
    assert (time.seconds, time.least, time.most, time.repeats) == (2.0, 1.0, 3.0, 3)
    assert not time.extrapolated


def test_a_call_longer_than_the_budget_is_made_once(clock):
    assert timed(lambda: clock.work(7.0), CPU, spend=5.0).repeats == 1
    assert len(clock.calls) == 2


def test_a_short_pass_is_measured_whole(clock):
    time = sampling_time(lambda n: clock.work(1.0 + 0.5 * n), 50, CPU, spend=1.0, longest=60.0)
    assert time.seconds == 26.0 and not time.extrapolated
    assert max(clock.calls) == 26.0


def test_a_pass_beyond_the_longest_is_extrapolated_and_says_so(clock):
    time = sampling_time(lambda n: clock.work(1.0 + 0.5 * n), 1000, CPU, spend=1.0, longest=60.0)
    assert time.seconds == pytest.approx(501.0)  # the conditions once, the evaluations a thousand times
    assert time.extrapolated and time.measured == 6
    assert max(clock.calls) == 4.0


def test_operations_are_those_of_the_closed_form():
    convolution = torch.nn.Conv2d(3, 8, 5, padding=2, bias=False)
    image, a, b = torch.zeros(2, 3, 16, 16), torch.zeros(7, 11), torch.zeros(11, 13)
    found = arithmetic.operations(lambda: (convolution(image), a @ b))
    assert found == 2 * (2 * 16 * 16 * 8 * 3 * 25) + 2 * 7 * 11 * 13


def test_operations_of_a_long_pass_are_those_of_all_its_evaluations(hearts, network):
    contestant, inputs = samplers.t1diff_contestant(network, "ddim", 9), hearts.inputs(1)

    def sample(n):
        return contestant.draw(inputs, 1, n, None)

    assert arithmetic.sampling_operations(sample, 9) == arithmetic.operations(lambda: sample(9))


def test_the_ceiling_counts_a_matrix_product(clock, monkeypatch):
    monkeypatch.setattr(arithmetic, "MATRIX_SIZES", {"cpu": (8, 16)})
    product, seconds = torch.mm, {8: 1.0, 16: 4.0}

    def slow(a, b, out):
        clock.work(seconds[len(a)])
        return product(a, b, out=out)

    monkeypatch.setattr(torch, "mm", slow)
    rate, size, _ = arithmetic.matrix_product_ceiling(CPU, spend=0.1)
    assert (rate, size) == (2 * 16**3 / 4, 16)  # 2048 a second against 1024


def test_t1diff_draws_what_its_network_draws(hearts, network):
    """DDIM in place of the configuration's sampler, without changing the network that was given."""
    inputs = hearts.inputs(2)
    drawn = samplers.t1diff_contestant(network, "ddim", 4).draw(inputs, 3, 4, None)
    with torch.inference_mode(), inference_precision(CPU):
        conditions = network.encode(inputs.cine, inputs.soft_ed, inputs.soft_es)
        expected = network.sample(conditions, network.noise(0, range(2), 3), "ddim", 4)
    assert np.allclose(drawn, expected.float().numpy(), atol=2.0)
    assert (network.config.sampler, network.config.sampler_steps) == ("dpm_solver_pp_2m", 3)


@pytest.fixture
def small_monai(monkeypatch):
    monkeypatch.setattr(samplers, "MONAI_WIDTHS", (8, 8, 16))
    monkeypatch.setattr(samplers, "MONAI_GROUPS", 4)
    monkeypatch.setattr(samplers, "MONAI_HEAD", 8)
    torch.manual_seed(0)
    return samplers.monai_network(PHASES).eval().requires_grad_(False)


@needs_monai
def test_monai_samples_as_its_own_inferer_does(hearts, small_monai):
    from monai.inferers import DiffusionInferer
    from monai.networks.schedulers import DDIMScheduler

    for parameter in small_monai.out.parameters():  # it begins at zero, and nothing would depend on the net
        torch.nn.init.normal_(parameter, std=0.2)
    inputs = hearts.inputs(2)
    torch.manual_seed(3)
    drawn = samplers.monai_contestant(small_monai, "ddim", 4).draw(inputs, 1, 4, None)
    torch.manual_seed(3)
    noise = torch.randn(2, 1, SIZE, SIZE)
    scheduler = DDIMScheduler(num_train_timesteps=1000)
    scheduler.set_timesteps(4)
    seen = samplers.monai_conditions(inputs.cine, inputs.soft_ed, inputs.soft_es)
    with torch.inference_mode(), inference_precision(CPU):
        expected = DiffusionInferer(scheduler).sample(
            noise, small_monai, scheduler, conditioning=seen, mode="concat", verbose=False
        )
    assert drawn.std() > 0.1
    assert torch.allclose(drawn, expected.float(), atol=0.05)


@needs_monai
def test_monai_makes_every_evaluation_that_is_counted(hearts, small_monai):
    count = []
    small_monai.register_forward_hook(lambda *call: count.append(len(call[1][0])))
    ddpm = samplers.monai_contestant(small_monai, "ddpm", 1000)
    ddpm.draw(hearts.inputs(3), 2, 6, None)
    assert ddpm.evaluations == 1000
    assert count == [6] * 6  # three slices of two samples at once, six times


@pytest.mark.parametrize("stage", ["mean", "both"])
def test_training_is_timed_on_real_updates_of_the_stage(hearts, stage):
    torch.manual_seed(0)
    learner = method_class("t1diff")(T1DiffConfig(**TINY).to_dict())
    before = {n: p.detach().clone() for n, p in learner.network.named_parameters()}
    time, counted = update_time(learner, stage, hearts, 2, CPU, spend=0.01)
    now = learner.network.named_parameters()
    changed = {n.split(".")[0] for n, p in now if not torch.equal(p, before[n])}
    mean = {"modality", "morphology", "mean"}
    assert changed == (mean if stage == "mean" else mean | {"estimator"})
    assert learner.progress.updates == WARM_UP + time.repeats
    assert counted > 0 and time.repeats >= 3


@needs_monai
def test_monai_trains_in_the_same_way(hearts, small_monai):
    learner = samplers.MonaiLearner(PHASES)
    before = {n: p.detach().clone() for n, p in learner.network.named_parameters()}
    update_time(learner, "train", hearts, 2, CPU, spend=0.01)
    assert any(not torch.equal(p, before[n]) for n, p in learner.network.named_parameters())
    assert learner.progress.skipped == 0


def finished(monai=None, long=False):
    """A benchmark with figures of known size."""

    def figure(task, method, stage, evaluations, slices, samples, batch, seconds, extrapolated=False):
        time = Timing(seconds, seconds, seconds, 3, 6 if extrapolated else None)
        return Figure(task, method, 7_000_000, stage, evaluations, slices, samples, batch, time, 4 * 10**9)

    figures = []
    for name, stage, n in (("T1Diff", "dpm_solver_pp_2m", 8), ("MONAI DiffusionModelUNet", "ddpm", 1000)):
        for task, slices in ((SLICE, 1), (STUDY, 3)):
            for samples in (1, 8):
                seconds = 0.01 * slices * samples * n / 8
                figures.append(figure(task, name, stage, n, slices, samples, 8, seconds, long and n == 1000))
        for batch, seconds in ((1, 0.01), (4, 0.02), (16, 0.16)):
            figures.append(figure(THROUGHPUT, name, stage, n, batch, 1, batch, seconds))
        figures.append(figure(TRAINING, name, "train", None, 16, 1, 16, 0.5))
    if monai is not None:
        figures = [f for f in figures if f.method == "T1Diff"]
    return SimpleNamespace(
        figures=figures, device=CPU, ceiling=(8e12, 2048, None), samples=8, monai=monai, compiled=False,
        longest=60.0, model=tables.Path("t1diff_fast"), config={"weights_sha256": "ab" * 32},
    )  # fmt: skip


def test_the_table_shows_the_best_batch_and_its_share_of_the_ceiling():
    row = tables.throughput_table(finished()).rows[0]
    assert row[4][1] == (4,)  # 200 maps a second, against 100 of one and of sixteen at once
    assert row[5][1] == (200.0,)
    assert row[6][1] == (1.0,)  # 4 GFLOP in four maps
    assert row[7][1][0] == pytest.approx(0.2) and row[8][0] == "2 %"


def test_what_was_extrapolated_is_marked_and_what_was_measured_is_not(tmp_path):
    text = tables.write(finished(long=True), tmp_path, "t1diff benchmark").read_text(encoding="utf-8")
    assert "| DDPM | 1000 | 1.25 s \\* | 10 s \\* | 3.75 s \\* | 30 s \\* |" in text
    assert "| 8 | 10 ms | 80 ms | 30 ms | 240 ms |" in text
    assert "extrapolated: the whole pass would take more than 60 s" in text
    assert "extrapolated" not in tables.page(finished(), "t1diff benchmark")
    with (tmp_path / tables.CSV).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16
    for row in rows:
        long = row["stage_or_sampler"] == "ddpm" and row["task"] in (SLICE, STUDY)
        assert row["extrapolated"] == str(int(long))
        assert row["device"] and row["torch"] and row["commit"]


def test_a_missing_monai_is_told_in_every_table(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    reason = samplers.monai_missing()
    assert "pip install t1diff[bench]" in reason
    text = tables.page(finished(monai=reason), "t1diff benchmark")
    assert text.count(reason) == 3


def test_options_of_the_other_half_are_refused(capsys):
    assert main(["benchmark", "--evaluations", "1", "--device", "cpu"]) == 2
    assert "--steps DATASET" in capsys.readouterr().err
