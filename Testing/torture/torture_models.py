"""Every corruption of a model folder: one sentence, exit code 1, nothing computed and nothing written."""

import hashlib
import json
import os
import random
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from base_studies import base_study

from T1DiffLogic.anatomy.normalisation import FEATURES

CONFIG, WEIGHTS = "config.json", "model.safetensors"
MEMORY_BYTES = 2 * 2**30
RANDOM_AT_FULL_SCALE = 60


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A sound T1Diff of a few thousand weights."""
    from T1DiffLogic.engine.checkpoint import save
    from T1DiffLogic.engine.t1diff import T1Diff, T1DiffConfig

    small = replace(
        T1DiffConfig(), size=32, modality_widths=(8, 8, 8), modality_bottleneck=8,
        morphology_widths=(8, 8, 8),        estimator_widths=(8, 8, 8), residual_scale=0.07,
    )  # fmt: skip
    return save(T1Diff(small).eval(), tmp_path_factory.mktemp("model"), {"trained_on": "nothing"})


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    for name, data in base_study("enhanced", "cine", 0).items():
        (folder / name).write_bytes(data)
    return folder


def _config(**changes):
    """A corruption that sets, or for ... removes, entries of config.json; 'a.b' is b of a."""

    def corrupt(folder: Path):
        config = json.loads((folder / CONFIG).read_text())
        for path, value in changes.items():
            *above, name = path.split("__")
            place = config
            for key in above:
                place = place[key]
            if value is ...:
                del place[name]
            else:
                place[name] = value
        (folder / CONFIG).write_text(json.dumps(config))

    return corrupt


def _text(content: bytes, name: str = CONFIG):
    return lambda folder: (folder / name).write_bytes(content)


def _weights(change, sealed: bool = True):
    """A corruption of the bytes of the weights, with the checksum in config.json made to fit, or not."""

    def corrupt(folder: Path):
        data = change((folder / WEIGHTS).read_bytes())
        (folder / WEIGHTS).write_bytes(data)
        if sealed:
            _config(weights_sha256=hashlib.sha256(data).hexdigest())(folder)

    return corrupt


def _header(change):
    """A corruption of the JSON header of the safetensors file."""

    def corrupt(data: bytes) -> bytes:
        size = struct.unpack_from("<Q", data)[0]
        header = json.loads(data[8 : 8 + size])
        change(header, [name for name in header if name != "__metadata__"])
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + data[8 + size :]

    return _weights(corrupt)


def _tensor(**entries):
    return _header(lambda header, names: header[names[0]].update(entries))


def _overlap(header, names):
    header[names[1]]["data_offsets"] = header[names[0]]["data_offsets"]


def _link(name: str, target: str):
    def corrupt(folder: Path):
        (folder / name).unlink()
        os.symlink(target, folder / name)

    return corrupt


def _sparse(name: str):
    def corrupt(folder: Path):
        with (folder / name).open("r+b") as file:
            file.truncate(2**40)

    return corrupt


def _pickled(data: bytes) -> bytes:
    """What torch.save would leave, with a payload that would show."""
    return b"cos\nsystem\n(S'touch escaped'\ntR."


def _not_finite(data: bytes) -> bytes:
    return data[:-2] + struct.pack("<e", float("nan"))


HUGE = 10**9
CORRUPTIONS = {
    "no config": lambda folder: (folder / CONFIG).unlink(),
    "no weights": lambda folder: (folder / WEIGHTS).unlink(),
    "empty config": _text(b""),
    "config is not JSON": _text(b"{"),
    "config is binary": _text(bytes(range(256))),
    "config is a list": _text(b"[]"),
    "config is null": _text(b"null"),
    "config is nested endlessly": _text(b"[" * 100_000),
    "config has an endless number": _text(b'{"format": ' + b"9" * 10_000 + b"}"),
    "config of a terabyte": _sparse(CONFIG),
    "config links to itself": _link(CONFIG, CONFIG),
    "config links to a device": _link(CONFIG, "/dev/zero"),
    "config is a folder": lambda folder: ((folder / CONFIG).unlink(), (folder / CONFIG).mkdir()),
    "no kind": _config(kind=...),
    "unknown kind": _config(kind="oracle"),
    "kind with tricks": _config(kind="../../gf_unet\nforged"),
    "kind is a list": _config(kind=["t1diff"]),
    "other format": _config(format="2\nforged" * 1000),
    "no hash": _config(weights_sha256=...),
    "hash is a number": _config(weights_sha256=5),
    "hash is a list": _config(weights_sha256=[1]),
    "wrong hash": _config(weights_sha256="0" * 64),
    "no architecture": _config(architecture=...),
    "architecture is null": _config(architecture=None),
    "architecture is a text": _config(architecture="../../x"),
    "unknown setting": _config(architecture__colour=1),
    "metadata is a list": _config(metadata=[]),
    "metadata is a text": _config(metadata="x"),
    "pixel is NaN": _config(metadata__pixel_mm=float("nan")),
    "pixel is zero": _config(metadata__pixel_mm=0),
    "pixel is a text": _config(metadata__pixel_mm="wide"),
    "intensity is a number": _config(metadata__intensity=3),
    "intensity lacks its mean": _config(metadata__intensity={"features": list(FEATURES)}),
    "huge size": _config(architecture__size=16 * HUGE),
    "size beyond memory": _config(architecture__size=100_000 * 16),
    "huge timesteps": _config(architecture__timesteps=HUGE * HUGE),
    "endless integer": _config(architecture__timesteps=10**400),
    "huge widths": _config(architecture__estimator_widths=[HUGE, HUGE, HUGE]),
    "large widths": _config(architecture__estimator_widths=[9000, 9000, 9000]),
    "negative widths": _config(architecture__estimator_widths=[-8, 8, 8]),
    "no widths": _config(architecture__estimator_widths=[]),
    "million widths": _config(architecture__modality_widths=[8] * 100_000),
    "huge samples": _config(architecture__samples=HUGE),
    "no samples": _config(architecture__samples=0),
    "samples are a text": _config(architecture__samples="8"),
    "huge steps": _config(architecture__sampler_steps=HUGE),
    "huge phases": _config(architecture__cine_phases=HUGE),
    "window is NaN": _config(architecture__t1_high_ms=float("nan")),
    "scale is infinite": _config(architecture__residual_scale=float("inf")),
    "unknown sampler": _config(architecture__sampler="__import__('os')"),
    "weights truncated": _weights(lambda data: data[: len(data) // 2], sealed=False),
    "weights truncated and sealed": _weights(lambda data: data[: len(data) // 2]),
    "weights cut by a byte": _weights(lambda data: data[:-1]),
    "weights empty": _weights(lambda data: b""),
    "weights one bit": _weights(lambda data: data[:-1] + bytes([data[-1] ^ 1]), sealed=False),
    "weights header of exabytes": _weights(lambda data: struct.pack("<Q", 2**63) + data[8:]),
    "weights header too long": _weights(lambda data: struct.pack("<Q", len(data)) + data[8:]),
    "weights header too short": _weights(lambda data: struct.pack("<Q", 3) + data[8:]),
    "weights header is not JSON": _weights(lambda data: data[:8] + b"x" * 40 + data[48:]),
    "weights overlap": _header(_overlap),
    "weights out of the file": _tensor(data_offsets=[0, 2**40]),
    "weights backwards": _tensor(data_offsets=[10, 0]),
    "weights of another dtype": _tensor(dtype="I16"),
    "weights of an unknown dtype": _tensor(dtype="Q7"),
    "weights of another shape": _tensor(shape=[1, 2, 3]),
    "weights of a huge shape": _tensor(shape=[2**62, 2**62]),
    "weights of a negative shape": _tensor(shape=[-1]),
    "weights renamed": _header(lambda header, names: header.update({"../../x": header.pop(names[0])})),
    "weights missing": _header(lambda header, names: header.pop(names[-1])),
    "weights are not finite": _weights(_not_finite),
    "weights are a pickle": _weights(_pickled),
    "weights are a long pickle": _weights(lambda data: _pickled(data).ljust(len(data), b"\0")),
    "weights of a terabyte": _sparse(WEIGHTS),
    "weights link to themselves": _link(WEIGHTS, WEIGHTS),
    "weights link to a device": _link(WEIGHTS, "/dev/zero"),
}


def _random(number: int, seed: int):
    """Flipped bits or a cut anywhere, the checksum made to fit in every other case."""

    def corrupt(folder: Path):
        rng = random.Random(f"{seed} model {number}")

        def change(data: bytes) -> bytes:
            # bits of the header: those of the weights themselves would make other weights, as sound as these
            end = 8 + struct.unpack_from("<Q", data)[0]
            changed = bytearray(data)
            for _ in range(rng.choice((1, 3, 20))):
                changed[rng.randrange(end)] ^= 1 << rng.randrange(8)
            return bytes(changed) if rng.random() < 0.7 else data[: rng.randrange(len(data))]

        _weights(change, sealed=number % 2 == 0)(folder)

    return corrupt


def test_the_sound_model_is_not_refused(model, study, tmp_path, launcher):
    """Else every refusal below would prove nothing: here it is the study that is."""
    ended = launcher.run(_argv(study, tmp_path, model), tmp_path / "log")
    assert ended.code == 1 and "model" not in ended.said.replace("--model", ""), ended.said


def test_no_corruption_of_a_model_gets_further_than_one_sentence(
    model, study, tmp_path, launcher, scale, seed, count
):
    every = list(CORRUPTIONS.items())
    every += [
        (f"random {n}", _random(n, seed)) for n in range(max(1, RANDOM_AT_FULL_SCALE * scale // 10_000))
    ]
    wrong = {}
    for name, corrupt in every:
        folder = tmp_path / "corrupt"
        shutil.copytree(model, folder)
        corrupt(folder)
        ended = launcher.run(_argv(study, tmp_path, folder), tmp_path / "log",
                             limits={"memory": MEMORY_BYTES, "cpu": 60})  # fmt: skip
        found = _amiss(ended, tmp_path / "out")
        if found:
            wrong[name] = found
        shutil.rmtree(folder)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
    count(f"model folders: {len(every)} corrupted, {len(every) - len(wrong)} refused with exit code 1")
    assert not wrong, json.dumps(wrong, indent=1)
    assert not list(tmp_path.rglob("escaped"))


def _argv(study: Path, tmp_path: Path, model: Path) -> list:
    return [
        "synthesize",
        study,
        "-o",
        tmp_path / "out",
        "--model",
        model,
        "--device",
        "cpu",
        "--progress",
        "none",
    ]


def _amiss(ended, out: Path) -> list[str]:
    said = ended.said.strip()
    wrong = []
    if ended.code != 1 or ended.hung:
        wrong.append(f"exit code {ended.code}")
    if "\n" in said or not said.startswith("t1diff: ") or not said.endswith("."):
        wrong.append("not one sentence")
    if "unexpected" in said or "memory ran out" in said or len(said) > 1000:
        wrong.append("no proper sentence")
    if not any(part in said for part in (CONFIG, WEIGHTS, "/corrupt")):
        wrong.append("names no file")
    if out.exists() and any(out.iterdir()):
        wrong.append("something was written")
    return [*wrong, said[-300:]] if wrong else []
