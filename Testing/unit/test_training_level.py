"""The SD of a person's level: what samples lack of a slice's spread as a whole, measured when a run ends."""

import dataclasses
import json

import pytest
import torch
from training_cases import SMALL_T1DIFF, write_dataset

from T1DiffLogic.engine import checkpoint
from T1DiffLogic.engine.t1diff import T1Diff, T1DiffConfig
from T1DiffLogic.errors import StudyError
from T1DiffLogic.training import level
from T1DiffLogic.training.methods import create
from T1DiffLogic.training.validation import LEVEL_SAMPLES, Validation


class Offset:
    """Maps that are the truth but for an offset of each slice, and samples that are ± `told` around it."""

    def __init__(self, offsets, told):
        self.offsets, self.told = offsets, told

    def predict_ms(self, inputs, samples, seed, slices):
        sign = torch.tensor([1.0, -1.0]).repeat(samples // 2)[None, :, None, None]
        mean = inputs["t1_ms"] + self.offsets[list(slices)][:, None, None, None]
        return mean + self.told * sign


def validation_of(n=20):
    labels = torch.zeros(n, 32, 32, dtype=torch.uint8)
    labels[:, 8:24, 8:24] = 2
    labels[0] = 0  # a slice without a wall says nothing
    t1 = torch.full((n, 1, 32, 32), 1200.0)
    t1[:, :, 0] = 0
    return Validation({"t1_ms": t1, "cine": torch.zeros(n, 5, 32, 32)}, labels)


@pytest.mark.parametrize(("told", "missing"), [(0.0, 50.0), (30.0, 40.0), (60.0, 0.0)])
def test_the_level_is_what_samples_do_not_tell(told, missing):
    offsets = torch.tensor([1000.0] + [50.0, -50.0] * 10)[:20]
    found = validation_of().missing_level_sd_ms(Offset(offsets, told))
    assert found == pytest.approx(missing, abs=0.01)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("pairs"), {"train": 1, "validation": 2})


def test_an_older_model_is_given_its_level_and_keeps_its_weights(dataset, tmp_path):
    torch.manual_seed(0)
    model = T1Diff(dataclasses.replace(T1DiffConfig.preset("fast"), **SMALL_T1DIFF, sampler_steps=2))
    checkpoint.save(model, tmp_path, {"minutes": 3.0})
    before = json.loads((tmp_path / "config.json").read_text())
    assert level.main([str(tmp_path), "--dataset", str(dataset), "--device", "cpu"]) == 0
    after = json.loads((tmp_path / "config.json").read_text())
    sd = after["architecture"].pop("level_sd_ms")
    assert sd > 10 and before["architecture"].pop("level_sd_ms") == 0
    assert after["weights_sha256"] == before["weights_sha256"]
    assert after["architecture"] == before["architecture"]
    assert after["metadata"] == before["metadata"] | {"method": "t1diff"}
    # with it, samples miss nothing of the level any more
    method = create("t1diff", "small")
    method.network = checkpoint.load(tmp_path, "t1diff")
    validation = Validation.prepared(dataset, torch.device("cpu"))
    drawn = method.predict_ms(validation.inputs, LEVEL_SAMPLES, 0, range(4))
    assert validation.missing_level_sd_ms(method) < 0.7 * sd
    assert drawn.shape[1] == LEVEL_SAMPLES


def test_without_a_dataset_it_is_measured_on_digital_hearts(dataset, tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    model = T1Diff(dataclasses.replace(T1DiffConfig.preset("fast"), **SMALL_T1DIFF, sampler_steps=2))
    checkpoint.save(model, tmp_path)
    asked = []

    def rendered(phases, segmenter, device):
        asked.append((phases, type(segmenter).__name__))
        return Validation.prepared(dataset, device)

    monkeypatch.setattr(Validation, "rendered", rendered)
    assert level.main([str(tmp_path), "--device", "cpu"]) == 0
    assert asked == [(5, "GFUNet")]
    said = json.loads((tmp_path / "config.json").read_text())["architecture"]["level_sd_ms"]
    assert f"{said:.1f} ms" in capsys.readouterr().out


def test_maps_that_are_not_finite_are_told():
    offsets = torch.tensor([0.0, float("nan")] * 10)
    with pytest.raises(StudyError, match="not finite"):
        validation_of().missing_level_sd_ms(Offset(offsets, 0.0))


def test_what_is_no_t1diff_with_a_mean_is_refused(tmp_path, capsys):
    torch.manual_seed(0)
    paper = create("regression", "small")
    paper.save(tmp_path, {})
    assert level.main([str(tmp_path), "--device", "cpu"]) == 1
    assert "holds no T1Diff with a mean map" in capsys.readouterr().err
