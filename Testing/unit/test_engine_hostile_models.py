"""Model folders that ask for more than there is, and metadata that no synthesis could work with."""

import hashlib
import json
import resource
import struct

import numpy as np
import pytest
from engine_cases import SMALL, edit, t1diff

from T1DiffLogic.engine.checkpoint import load, read_config, save
from T1DiffLogic.errors import StudyError
from T1DiffLogic.model import LoadedModel
from T1DiffLogic.options import SynthesisOptions

HUGE = 10**9


@pytest.fixture
def folder(tmp_path):
    return save(t1diff(), tmp_path / "model")


def refused(folder, said):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(StudyError, match=said) as caught:
        load(folder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18


@pytest.mark.parametrize(
    "setting, value",
    [
        ("estimator_widths", [9000, 9000, 9000]),
        ("estimator_widths", [HUGE, HUGE, HUGE]),
        ("modality_widths", [8] * 100_000),
        ("modality_widths", []),
        ("timesteps", HUGE),
        ("timesteps", 10**400),
        ("size", 16 * 4096),
        ("cine_phases", HUGE),
        ("samples", HUGE),
        ("samples", 0),
        ("samples", "8"),
        ("sampler_steps", HUGE),
        ("t1_high_ms", float("inf")),
        ("residual_scale", float("nan")),
    ],
)
def test_architectures_beyond_reason_are_refused_before_memory_is_taken(folder, setting, value):
    edit(folder, architecture={**SMALL.to_dict(), setting: value})
    refused(folder, "architecture")


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"format": ' + b"9" * 10_000 + b"}", bytes(range(256))]
)
def test_a_config_that_breaks_the_parser_is_refused(folder, content):
    (folder / "config.json").write_bytes(content)
    refused(folder, "cannot be read as JSON")


@pytest.mark.parametrize(
    "name, said", [("config.json", "JSON"), ("model.safetensors", "size of the architecture")]
)
def test_files_of_a_terabyte_are_not_read(folder, name, said):
    with (folder / name).open("r+b") as file:
        file.truncate(2**40)
    refused(folder, said)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "t1diff\nforged"},
        {"kind": "x" * 5000},
        {"kind": ["t1diff"]},
        {"kind": None},
        {"weights_sha256": None},
        {"metadata": []},
        {"weights_sha256": 5},
    ],
)
def test_entries_of_another_kind_are_refused(folder, changes):
    edit(folder, **changes)
    refused(folder, "does not describe")


def test_integers_in_place_of_weights_are_refused(folder):
    path = folder / "model.safetensors"
    data = path.read_bytes()
    size = struct.unpack_from("<Q", data)[0]
    header = data[8 : 8 + size].replace(b'"F16"', b'"I16"')
    path.write_bytes(data[:8] + header + data[8 + size :])
    edit(folder, weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    refused(folder, "do not fit the architecture")


def test_metadata_may_be_missing(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["metadata"]
    (folder / "config.json").write_text(json.dumps(config))
    assert read_config(folder)["metadata"] == {}
    assert LoadedModel.load(SynthesisOptions(model=folder, device="cpu")).pixel_mm > 0


@pytest.mark.parametrize(
    "metadata",
    [
        {"pixel_mm": float("nan")},
        {"pixel_mm": 0},
        {"pixel_mm": "wide"},
        {"intensity": 3},
        {"intensity": {"features": ["myocardium"]}, "pixel_mm": None},
        {"intensity": "features"},
    ],
)
def test_metadata_that_no_synthesis_could_use_is_one_sentence(folder, metadata):
    edit(folder, metadata=metadata)
    with pytest.raises(StudyError, match="config.json has unusable metadata"):
        LoadedModel.load(SynthesisOptions(model=folder, device="cpu"))


def test_statistics_of_training_must_be_numbers(folder):
    from T1DiffLogic.anatomy.normalisation import FEATURES

    n = len(FEATURES)
    sound = {"features": list(FEATURES), "mean": [0.0] * n, "sd": [1.0] * n, "limit": 3.0}
    for change in ({}, {"mean": [0.0]}, {"sd": [0.0] * n}, {"limit": float("inf")}, {"mean": ["a"] * n}):
        edit(folder, metadata={"intensity": {**sound, **change}})
        if change:
            with pytest.raises(StudyError, match="unusable metadata"):
                LoadedModel.load(SynthesisOptions(model=folder, device="cpu"))
        else:
            assert np.isfinite(LoadedModel.load(SynthesisOptions(model=folder, device="cpu")).pixel_mm)
