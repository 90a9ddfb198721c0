"""How far samples spread: what they lack in pixels and in a slice as a whole, measured when a run ends."""

import dataclasses
import json

import pytest
import torch
from training_cases import SMALL_T1DIFF, small, write_dataset

from T1DiffLogic.engine import checkpoint
from T1DiffLogic.engine.t1diff import T1Diff, T1DiffConfig
from T1DiffLogic.errors import StudyError
from T1DiffLogic.training import spread
from T1DiffLogic.training.methods import create
from T1DiffLogic.training.rendered import inner_wall
from T1DiffLogic.training.t1diff import T1DiffFast
from T1DiffLogic.training.validation import Validation

SHAPE = (32, 32)


class Drawn:
    """Maps that are off the truth by one number per slice and by independent pixels of `pixel_sd`, and pairs
    of samples around them that spread by `pixels` and by `level`, which all pixels of a slice share."""

    def __init__(self, offsets, pixel_sd=0.0, pixels=0.0, level=0.0, unit=50.0):
        self.offsets, self.pixel_sd, self.pixels = offsets, pixel_sd, pixels
        self.level, self.unit = level, unit

    def predict_ms(self, inputs, samples, seed, slices):
        generator = torch.Generator().manual_seed(0)
        noise, own = torch.randn((2, 2000, 1, *SHAPE), generator=generator)[:, list(slices)]
        mean = inputs["t1_ms"] + self.offsets[list(slices)][:, None, None, None] + self.pixel_sd * noise
        sign = torch.tensor([1.0, -1.0]).repeat(samples // 2)[None, :, None, None]
        return mean + (self.pixels * own + self.level) * sign

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


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("pairs"), {"train": 1, "validation": 2})


def test_pixels_that_know_nothing_of_a_slice_leave_its_level_to_the_person():
    spread, draw, level = validation_of().missing_spread(Drawn(OFFSETS, pixel_sd=60.0, pixels=40.0))
    assert spread == pytest.approx((60**2 + 50**2) ** 0.5 / 50, rel=0.03)  # of the error in the unit
    assert draw == pytest.approx(50 / 40, rel=0.03)  # so that what is drawn has the unit
    assert level == pytest.approx(50, rel=0.03)


def test_what_samples_share_in_a_slice_is_not_missing():
    """Half of what is drawn is common to a slice, and so half of the error but for the level."""
    drawn = Drawn(OFFSETS, pixel_sd=60.0, pixels=30.0, level=30.0)
    _, draw, level = validation_of().missing_spread(drawn)
    assert draw == pytest.approx(50 / 1800**0.5, rel=0.03)
    error, off = 60**2 + 50**2, 50**2
    assert off < error / 2 and level == 0  # more is drawn in common than slices are off
    drawn.level = 15.0
    _, _, level = validation_of().missing_spread(drawn)
    known = 15**2 / (15**2 + 30**2)
    assert (error - level**2) * known + level**2 == pytest.approx(off, rel=0.1)
    assert 30 < level < 50


def test_without_contours_there_is_no_level():
    assert validation_of().missing_spread(Drawn(OFFSETS, pixel_sd=60.0, pixels=40.0), level=False)[2] == 0


@pytest.mark.parametrize(("unit", "factor"), [(1.0, 10.0), (4000.0, 0.1)])
def test_factors_of_a_training_that_has_only_begun_are_bounded(unit, factor):
    spread, draw, _ = validation_of().missing_spread(Drawn(OFFSETS, pixel_sd=60.0, pixels=unit**2, unit=unit))
    assert spread == factor
    assert draw == (1.0 if unit == 1 else 0.1) or draw == pytest.approx(1 / unit, rel=0.05)


def test_samples_that_do_not_differ_tell_nothing():
    spread, draw, level = validation_of().missing_spread(Drawn(OFFSETS, pixel_sd=60.0))
    assert (draw, level) == (1.0, pytest.approx(50, rel=0.03))


def test_slices_without_a_wall_are_told():
    validation = validation_of()
    validation.labels[:] = 0
    with pytest.raises(StudyError, match="no validation slice has LV myocardium"):
        validation.missing_spread(Drawn(OFFSETS, pixels=10.0))


def test_with_what_was_missing_the_errors_are_those_of_the_sd_map_and_of_the_samples(dataset):
    """Of a real T1Diff, not yet trained, whose draws have another variance than their unit."""
    torch.manual_seed(0)
    method = small(T1DiffFast, sampler_steps=2, views=2)
    torch.nn.init.normal_(method.network.estimator.head.weight, std=0.05)
    validation = Validation.prepared(dataset, torch.device("cpu"))
    method.calibrate(validation)
    config = method.network.config
    assert 0.1 < config.draw_factor < 10 and 0.1 < config.spread_factor < 10
    wall = inner_wall(validation.labels) & (validation.inputs["t1_ms"][:, 0] > 0)
    maps = method.predict_ms(validation.inputs, 8, 0, range(4))
    error = (maps.mean(1) - validation.inputs["t1_ms"][:, 0])[wall].square().mean().sqrt().item()
    assert method.sd_ms(validation.inputs)[wall].square().mean().sqrt().item() == pytest.approx(
        error, rel=0.02
    )
    around = (maps - maps.mean(1, keepdim=True)).square().mean(1)[wall].mean().sqrt()
    assert around.item() == pytest.approx(error, rel=0.15)  # of four pairs alone


def test_an_older_model_is_given_its_level_and_keeps_its_weights(dataset, tmp_path):
    torch.manual_seed(0)
    model = T1Diff(dataclasses.replace(T1DiffConfig.preset("fast"), **SMALL_T1DIFF, sampler_steps=2))
    torch.nn.init.normal_(model.estimator.head.weight, std=0.05)  # else every draw is the mean map
    checkpoint.save(model, tmp_path, {"minutes": 3.0})
    before = json.loads((tmp_path / "config.json").read_text())
    assert spread.main([str(tmp_path), "--dataset", str(dataset), "--device", "cpu"]) == 0
    after = json.loads((tmp_path / "config.json").read_text())
    for name, earlier in (("level_sd_ms", 0.0), ("spread_factor", 1.0), ("draw_factor", 1.0)):
        assert after["architecture"].pop(name) != earlier == before["architecture"].pop(name)
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
    for name in spread.CALIBRATED:
        assert f"{name} {said[name]}\n" in told


def test_maps_that_are_not_finite_are_told():
    offsets = torch.tensor([0.0, float("nan")] * 10)
    with pytest.raises(StudyError, match="not finite"):
        validation_of().missing_spread(Drawn(offsets))


def test_what_is_no_t1diff_with_a_mean_is_refused(tmp_path, capsys):
    torch.manual_seed(0)
    paper = create("regression", "small")
    paper.save(tmp_path, {})
    assert spread.main([str(tmp_path), "--device", "cpu"]) == 1
    assert "holds no T1Diff with a mean map" in capsys.readouterr().err
