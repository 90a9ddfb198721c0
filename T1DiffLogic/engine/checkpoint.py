"""A model on disk: a folder with `config.json` and `model.safetensors` in half precision.

    {"format": 1, "kind": "t1diff" | "gf_unet" | …, "architecture": {…}, "weights_sha256", "metadata": {…}}

The engine opens T1Diff and GF-UNet; other kinds are methods of the study, which `training.methods` opens.
Never pickle: opening a model folder from a stranger must not run code. Weights come back as
float32; what half precision costs is tested.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from ..errors import StudyError
from .gf_unet import GFUNet
from .t1diff import T1Diff, T1DiffConfig

CONFIG, WEIGHTS = "config.json", "model.safetensors"
FORMAT = 1
NAMES = {"t1diff": "a T1Diff model", "gf_unet": "a GF-UNet segmenter"}

_LONGEST_CONFIG = 2**24
_MOST_NUMBERS = 200
_LARGEST_NUMBER = 10_000
_BOUNDS = {
    "size": (16, 1024),
    "cine_phases": (1, 100),
    "samples": (1, 64),
    "sampler_steps": (1, 1000),
}
"""What a model may ask of memory and time; a folder from a stranger may say anything."""


def save(model: T1Diff | GFUNet, folder: str | Path, metadata: dict | None = None) -> Path:
    """Writes the model folder of T1Diff or GF-UNet and returns it; see `write`."""
    if isinstance(model, T1Diff):
        return write("t1diff", model.config.to_dict(), model, folder, metadata)
    return write("gf_unet", model.config, model, folder, metadata)


def write(
    kind: str, architecture: dict, network: nn.Module, folder: str | Path, metadata: dict | None = None
) -> Path:
    """Writes the model folder of any network and returns it.

    architecture  JSON values that build it again
    metadata      JSON values that say how it was made

    `config.json` is written last, and each file in one move, so that an interrupted save never
    looks like a model. StudyError when weights are not finite or do not fit half precision.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {}
    for name, value in network.state_dict().items():
        # a batch norm counts its batches in an integer
        kept = torch.float16 if value.is_floating_point() else value.dtype
        half = value.detach().to("cpu", kept).contiguous()
        if not half.isfinite().all():
            raise StudyError(
                f"weights '{name}' are not finite in half precision; the training diverged, "
                "resume it from an earlier checkpoint with a lower learning rate."
            )
        state[name] = half
    data = save_tensors(state)
    config = {
        "format": FORMAT,
        "kind": kind,
        "architecture": architecture,
        "weights_sha256": hashlib.sha256(data).hexdigest(),
        "metadata": metadata or {},
    }
    text = json.dumps(config, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    _replace(folder / WEIGHTS, data)
    _replace(folder / CONFIG, text.encode())
    return folder


def read_config(folder: str | Path, kind: str | None = None) -> dict:
    """The content of `config.json`, without touching the weights.

    kind  when only that will do. StudyError when the folder is no model
    folder, is of another kind or of a newer format.
    """
    folder = Path(folder)
    path = folder / CONFIG
    if not path.is_file():
        raise StudyError(
            f"{folder} is not a model folder: it has no {CONFIG}; name the folder that holds it."
        )
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST_CONFIG + 1)
        if len(data) > _LONGEST_CONFIG:
            raise ValueError("too long")
        config = json.loads(data)
    except (OSError, ValueError, RecursionError) as error:
        raise StudyError(f"{path} cannot be read as JSON; copy the model folder again.") from error
    if (
        not isinstance(config, dict)
        or not _is_text(r"\w{1,40}", config.get("kind"))
        or not _is_text(r"[0-9a-f]{64}", config.get("weights_sha256"))
        or not isinstance(config.get("metadata", {}), dict)
    ):
        raise StudyError(f"{path} does not describe a T1Diff model; name a folder written by `t1diff train`.")
    if config.get("format") != FORMAT:
        raise StudyError(
            f"{path} has format {str(config.get('format'))[:20]!r}, not {FORMAT}; update t1diff."
        )
    if kind is not None and config["kind"] != kind:
        found, wanted = (NAMES.get(k, f"a {k} model") for k in (config["kind"], kind))
        raise StudyError(f"{folder} holds {found}, not {wanted}; name the other folder.")
    return {"metadata": {}, **config}


def load(folder: str | Path, kind: str | None = None) -> T1Diff | GFUNet:
    """The model of a folder: float32, on the CPU, in evaluation mode, without gradients.

    StudyError when a file is missing or damaged, the checksum differs, or the weights do not fit
    the architecture or are not finite.
    """
    config = read_config(folder, kind)
    if config["kind"] not in NAMES:
        raise StudyError(f"{folder} holds a {config['kind']} model, not {' or '.join(NAMES.values())}.")
    try:
        _check_numbers(config["architecture"])
        with torch.device("meta"):
            # shapes alone, so that a file that cannot hold such a network is refused before memory is taken
            shapes = _build(config)
        _weights_path(shapes, folder)
        model = _build(config)
    except StudyError:
        raise
    # what config.json says may break the building in any way
    except Exception as error:
        raise StudyError(_no_fit(folder)) from error
    return fill(model, folder, config).eval().requires_grad_(False)


def fill(network: nn.Module, folder: str | Path, config: dict) -> nn.Module:
    """`network` with the weights of a model folder, as float32; `config` is what `read_config` gave of it.

    StudyError when the file is missing or damaged, the checksum differs, or the weights do not fit the
    network or are not finite.
    """
    path = _weights_path(network, folder)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StudyError(f"{path} cannot be read ({error.strerror}); copy the model folder again.") from error
    if hashlib.sha256(data).hexdigest() != config["weights_sha256"]:
        raise StudyError(f"{path} does not match the checksum in {CONFIG}; copy the model folder again.")
    try:
        # load_state_dict copies half precision into float32
        state = load_tensors(data)
        for name, value in network.state_dict().items():
            if state[name].is_floating_point() != value.is_floating_point():
                raise TypeError(name)
        network.load_state_dict(state)
    except SafetensorError as error:
        raise StudyError(f"{path} is not a safetensors file; copy the model folder again.") from error
    except (RuntimeError, TypeError, ValueError, KeyError) as error:
        raise StudyError(_no_fit(folder)) from error
    if not all(value.isfinite().all() for value in state.values()):
        raise StudyError(f"{path} holds weights that are not finite; train the model again.")
    return network


def _is_text(pattern: str, value) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _weights_path(network: nn.Module, folder: str | Path) -> Path:
    """The weights file of `folder`, of a size that `network` may have. StudyError."""
    path = Path(folder) / WEIGHTS
    if not path.is_file():
        raise StudyError(f"{folder} has no {WEIGHTS}; copy the model folder again.")
    count = sum(value.numel() for value in network.state_dict().values())
    # two bytes a number in half precision, eight at most, and the header
    if not 2 * count <= path.stat().st_size <= 8 * count + _LONGEST_CONFIG:
        raise StudyError(
            f"{path} does not have the size of the architecture in {CONFIG}; copy the model folder again."
        )
    return path


def _check_numbers(architecture: dict) -> None:
    """ValueError for what no network is built of."""
    flat = []
    for value in architecture.values():
        flat += value if isinstance(value, list) else [value]
    numbers = [v for v in flat if isinstance(v, int | float)]
    if len(numbers) > _MOST_NUMBERS:
        raise ValueError(f"{len(numbers)} numbers")
    for number in numbers:
        if not math.isfinite(number) or abs(number) > _LARGEST_NUMBER:
            raise ValueError(str(number))
    for name, (low, high) in _BOUNDS.items():
        if not low <= architecture.get(name, low) <= high:
            raise ValueError(name)


def _no_fit(folder: str | Path) -> str:
    return (
        f"the weights in {Path(folder) / WEIGHTS} do not fit the architecture in {CONFIG}; "
        "use the t1diff version that wrote them."
    )


def weights_sha256(folder: str | Path) -> str:
    """The SHA-256 of the weights as recorded in `config.json`; `load` has checked it."""
    return read_config(folder)["weights_sha256"]


def _build(config: dict) -> nn.Module:
    if config["kind"] == "t1diff":
        return T1Diff(T1DiffConfig.from_dict(config["architecture"]))
    return GFUNet(**config["architecture"])


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(data)
    os.replace(temporary, path)
