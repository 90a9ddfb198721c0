"""Model folders: round trip, half precision, and every way a folder can be wrong."""

import pytest
import torch
from engine_cases import SMALL, edit, t1diff

from T1DiffLogic.engine.checkpoint import load, read_config, save, weights_sha256
from T1DiffLogic.engine.gf_unet import GFUNet
from T1DiffLogic.errors import StudyError


def gf_unet():
    torch.manual_seed(1)
    return GFUNet(size=32, widths=(8, 16, 24), gamma=0.2).eval()


@pytest.fixture
def folder(tmp_path):
    return save(t1diff(), tmp_path / "model", {"trained_on": "digital phantoms only"})


def test_t1diff_round_trip_costs_less_than_a_millisecond(folder):
    before, after = t1diff(), load(folder)
    assert after.config == before.config
    assert not after.training and not any(p.requires_grad for p in after.parameters())
    assert all(p.dtype == torch.float32 for p in after.parameters())
    cine, masks = torch.rand(1, 5, 32, 32), torch.rand(1, 4, 32, 32).softmax(dim=1)
    maps = []
    for model in (before, after):
        with torch.no_grad():
            conditions = model.encode(cine, masks, masks.flip(-1))
        maps.append(model.sample(conditions, model.noise(0, [0], 2), steps=4))
    assert maps[0].std() > 10
    assert (maps[0] - maps[1]).abs().mean() < 1.0
    assert (maps[0] - maps[1]).abs().max() > 0  # half precision was really used


@pytest.mark.parametrize("channels_last", [False, True])
def test_gf_unet_round_trip(tmp_path, channels_last):
    before = gf_unet()
    if channels_last:
        before.to(memory_format=torch.channels_last)
    save(before, tmp_path)
    after = load(tmp_path, kind="gf_unet")
    assert after.config == before.config
    image = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        a, b = before(image).softmax(dim=1), after(image).softmax(dim=1)
    assert (a - b).abs().max() < 5e-3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_config_is_readable_without_weights(folder):
    (folder / "model.safetensors").unlink()
    config = read_config(folder)
    assert config["kind"] == "t1diff"
    assert config["metadata"] == {"trained_on": "digital phantoms only"}
    assert weights_sha256(folder) == config["weights_sha256"] and len(config["weights_sha256"]) == 64


def test_saving_twice_writes_the_same_bytes(folder, tmp_path):
    other = save(load(folder), tmp_path / "again")
    assert weights_sha256(other) == weights_sha256(folder)


def test_full_size_segmenter_fits_15_mib(tmp_path):
    save(GFUNet(), tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size <= 15 * 2**20


def flip_byte(folder):
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def truncate(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def garbage(folder):
    """No safetensors file at all, with the checksum that belongs to it."""
    import hashlib

    (folder / "model.safetensors").write_bytes(b"PK\x03\x04 something else")
    edit(folder, weights_sha256=hashlib.sha256(b"PK\x03\x04 something else").hexdigest())


def other_widths(folder):
    edit(folder, architecture={**SMALL.to_dict(), "estimator_widths": [8, 16, 32]})


DAMAGE = {
    "flipped byte": (flip_byte, "checksum"),
    "truncated": (truncate, "checksum"),
    "another file": (garbage, "safetensors"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors"),
    "no config": (lambda f: (f / "config.json").unlink(), "config.json"),
    "config is no JSON": (lambda f: (f / "config.json").write_text("{"), "JSON"),
    "config of something else": (lambda f: (f / "config.json").write_text('{"a": 1}'), "describe"),
    "config is a list": (lambda f: (f / "config.json").write_text("[]"), "describe"),
    "newer format": (lambda f: edit(f, format=2), "update"),
    "other widths": (other_widths, "architecture"),
    "unknown setting": (lambda f: edit(f, architecture={"colour": 1}), "architecture"),
    "no architecture": (lambda f: edit(f, architecture=None), "architecture"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_folder_is_told_in_one_sentence(folder, damage):
    spoil, said = DAMAGE[damage]
    spoil(folder)
    with pytest.raises(StudyError, match=said) as caught:
        load(folder)
    message = str(caught.value)
    assert folder.name in message and "\n" not in message and message.endswith(".")


def test_the_wrong_kind_is_refused(folder):
    with pytest.raises(StudyError, match="not a GF-UNet"):
        load(folder, kind="gf_unet")


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(StudyError, match="config.json"):
        load(tmp_path / "nothing")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_diverged_weights_are_not_saved(tmp_path, value):
    model = gf_unet()
    with torch.no_grad():
        model.head.bias[0] = value
    with pytest.raises(StudyError, match="head.bias"):
        save(model, tmp_path / "model")
    assert not (tmp_path / "model" / "config.json").exists()


def test_weights_that_are_not_finite_are_not_loaded(tmp_path):
    import hashlib

    from safetensors.torch import save as pack

    save(gf_unet(), tmp_path)
    state = gf_unet().half().state_dict()
    state["head.bias"][0] = float("nan")
    data = pack(state)
    (tmp_path / "model.safetensors").write_bytes(data)
    edit(tmp_path, weights_sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(StudyError, match="not finite"):
        load(tmp_path)
