"""How far samples spread: what they lack in pixels and in a slice as a whole, measured when a run ends."""

import dataclasses
import json

import pytest
import torch
from training_cases import SMALL_T1DIFF, write_dataset

from T1DiffLogic.engine import checkpoint
from T1DiffLogic.engine.t1diff import T1Diff, T1DiffConfig
from T1DiffLogic.errors import StudyError
from T1DiffLogic.training import spread
from T1DiffLogic.training.methods import create
from T1DiffLogic.training.validation import Validation

SHAPE = (32, 32)


class Drawn:
    """Maps that are off the truth by one number per slice and by independent pixels of `pixel_sd`, and
    samples around them that spread by `within` in pixels, `level` in slices, and `between` views.

    With a factor and a level they are drawn as T1Diff draws, `within` being of the unit of 1.
    """

    unit, factor, person = 50.0, 1.0, 0.0

    def __init__(self, offsets, pixel_sd=0.0, within=0.0, level=0.0, between=0.0):
        self.offsets, self.pixel_sd, self.within = offsets, pixel_sd, within
        self.level, self.between = level, between

    def predict_ms(self, inputs, samples, seed, slices):
        n, pairs = len(slices), samples // 2
        noise = torch.randn((2000, 1, *SHAPE), generator=torch.Generator().manual_seed(0))[list(slices)]
        off = self.offsets[list(slices)][:, None, None, None] + self.pixel_sd * noise
        sign = torch.tensor([1.0, -1.0]).repeat(pairs)[None, :, None, None]
        view = torch.tensor([1.0, -1.0]).repeat_interleave(2).repeat(pairs)[:samples][None, :, None, None]
        own = torch.randn((n, pairs, *SHAPE), generator=torch.Generator().manual_seed(1))
        own = own.repeat_interleave(2, dim=1) * self.within + self.level
        share = (max(self.factor**2 - (self.person / self.unit) ** 2, 0)) ** 0.5
        own = share * own + self.person * view
        return inputs["t1_ms"] + off + own * sign + self.between * view

    def unit_ms(self, inputs):
        return torch.full_like(inputs["t1_ms"][:, 0], self.unit)


def validation_of(n=20):
    labels = torch.zeros(n, *SHAPE, dtype=torch.uint8)
    labels[:, 8:24, 8:24] = 2
    labels[0] = 0  # a slice without a wall says nothing
    t1 = torch.full((n, 1, *SHAPE), 1200.0)
    t1[:, :, 0] = 0
    return Validation({"t1_ms": t1, "cine": torch.zeros(n, 5, *SHAPE)}, labels)


OFFSETS = torch.tensor([1000.0] + [50.0, -50.0] * 10)[:20]


def test_a_level_that_samples_do_not_know_is_the_person_s():
    factor, level = validation_of().missing_spread(Drawn(OFFSETS, within=1e-3), 2)
    assert level == pytest.approx(50.0, abs=0.1)
    assert factor == pytest.approx(50.0 / Drawn.unit, rel=0.01)  # so that nothing is left for the diffusion


def test_what_views_tell_is_not_missing():
    _, level = validation_of().missing_spread(Drawn(OFFSETS, between=30.0), 4)
    assert level == 0  # nor can it be told apart from the diffusion's, of which there is none
    _, level = validation_of().missing_spread(Drawn(OFFSETS, between=30.0, within=1e-3), 4)
    assert level == pytest.approx(40.0, abs=0.1)


def test_where_there_is_no_level_the_factor_is_all():
    factor, level = validation_of().missing_spread(Drawn(OFFSETS, pixel_sd=60.0, within=40.0), 8, level=False)
    assert level == 0
    assert factor == pytest.approx((60**2 + 50**2) ** 0.5 / 40, rel=0.03)


@pytest.mark.parametrize("level", [0.0, 20.0])
def test_factor_and_level_are_told_apart_and_make_the_spread_the_errors(level):
    drawn = Drawn(OFFSETS, pixel_sd=60.0, within=40.0, level=level)
    validation = validation_of()
    drawn.factor, drawn.person = validation.missing_spread(drawn, 8)
    maps = drawn.predict_ms(validation.inputs, 8, 0, range(20))[1:, :, 8:24, 8:24]
    around = maps - maps.mean(1, keepdim=True)
    assert around.square().mean().sqrt() == pytest.approx((60**2 + 50**2) ** 0.5, rel=0.05)
    assert around.mean((2, 3)).square().mean().sqrt() == pytest.approx(50, rel=0.05)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("pairs"), {"train": 1, "validation": 2})


def test_an_older_model_is_given_its_level_and_keeps_its_weights(dataset, tmp_path):
    torch.manual_seed(0)
    model = T1Diff(dataclasses.replace(T1DiffConfig.preset("fast"), **SMALL_T1DIFF, sampler_steps=2))
    torch.nn.init.normal_(model.estimator.head.weight, std=0.05)  # else every draw is the mean map
    checkpoint.save(model, tmp_path, {"minutes": 3.0})
    before = json.loads((tmp_path / "config.json").read_text())
    assert spread.main([str(tmp_path), "--dataset", str(dataset), "--device", "cpu"]) == 0
    after = json.loads((tmp_path / "config.json").read_text())
    for name, least, earlier in (("level_sd_ms", 10.0, 0.0), ("spread_factor", 0.1, 1.0)):
        found = after["architecture"].pop(name)
        assert found > least and found != earlier == before["architecture"].pop(name)
    assert after["weights_sha256"] == before["weights_sha256"]
    assert after["architecture"] == before["architecture"]
    assert after["metadata"] == before["metadata"] | {"method": "t1diff"}


def test_without_a_dataset_it_is_measured_on_digital_hearts(dataset, tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    model = T1Diff(dataclasses.replace(T1DiffConfig.preset("fast"), **SMALL_T1DIFF, sampler_steps=2))
    checkpoint.save(model, tmp_path)
    asked = []

    def rendered(phases, segmenter, device):
        asked.append((phases, type(segmenter).__name__))
        return Validation.prepared(dataset, device)

    monkeypatch.setattr(Validation, "rendered", rendered)
    assert spread.main([str(tmp_path), "--device", "cpu"]) == 0
    assert asked == [(5, "GFUNet")]
    said = json.loads((tmp_path / "config.json").read_text())["architecture"]
    told = capsys.readouterr().out
    assert f"{said['level_sd_ms']:.1f} ms" in told and f"{said['spread_factor']:.3f}" in told


def test_maps_that_are_not_finite_are_told():
    offsets = torch.tensor([0.0, float("nan")] * 10)
    with pytest.raises(StudyError, match="not finite"):
        validation_of().missing_spread(Drawn(offsets), 2)


def test_what_is_no_t1diff_with_a_mean_is_refused(tmp_path, capsys):
    torch.manual_seed(0)
    paper = create("regression", "small")
    paper.save(tmp_path, {})
    assert spread.main([str(tmp_path), "--device", "cpu"]) == 1
    assert "holds no T1Diff with a mean map" in capsys.readouterr().err
