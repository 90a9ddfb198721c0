"""A model on disk: a folder with `config.json` and `model.safetensors` in half precision.

    {"format": 1, "kind": "t1diff" | "gf_unet", "architecture": {…}, "weights_sha256": "…", "metadata": {…}}

Never pickle: opening a model folder from a stranger must not run code. Weights come back as
float32; what half precision costs is tested.
"""

from __future__ import annotations

import hashlib
import json
import os
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


def save(model: T1Diff | GFUNet, folder: str | Path, metadata: dict | None = None) -> Path:
    """Writes the model folder and returns it; `metadata` (JSON values) says how it was made.

    `config.json` is written last, and each file in one move, so that an interrupted save never
    looks like a model. StudyError when weights are not finite or do not fit half precision.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {}
    for name, value in model.state_dict().items():
        half = value.detach().to("cpu", torch.float16).contiguous()
        if not half.isfinite().all():
            raise StudyError(
                f"weights '{name}' are not finite in half precision; the training diverged, "
                "resume it from an earlier checkpoint with a lower learning rate."
            )
        state[name] = half
    data = save_tensors(state)
    config = {
        "format": FORMAT,
        "kind": "t1diff" if isinstance(model, T1Diff) else "gf_unet",
        "architecture": model.config.to_dict() if isinstance(model, T1Diff) else model.config,
        "weights_sha256": hashlib.sha256(data).hexdigest(),
        "metadata": metadata or {},
    }
    text = json.dumps(config, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    _replace(folder / WEIGHTS, data)
    _replace(folder / CONFIG, text.encode())
    return folder


def read_config(folder: str | Path, kind: str | None = None) -> dict:
    """The content of `config.json`, without touching the weights.

    kind  't1diff' or 'gf_unet' when only that will do. StudyError when the folder is no model
    folder, is of another kind or of a newer format.
    """
    folder = Path(folder)
    path = folder / CONFIG
    if not path.is_file():
        raise StudyError(
            f"{folder} is not a model folder: it has no {CONFIG}; name the folder that holds it."
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StudyError(f"{path} cannot be read as JSON; copy the model folder again.") from error
    if not isinstance(config, dict) or config.get("kind") not in NAMES or "weights_sha256" not in config:
        raise StudyError(f"{path} does not describe a T1Diff model; name a folder written by `t1diff train`.")
    if config.get("format") != FORMAT:
        raise StudyError(
            f"{path} has format {config.get('format')}, this version reads {FORMAT}; update t1diff."
        )
    if kind is not None and config["kind"] != kind:
        raise StudyError(f"{folder} holds {NAMES[config['kind']]}, not {NAMES[kind]}; name the other folder.")
    return config


def load(folder: str | Path, kind: str | None = None) -> T1Diff | GFUNet:
    """The model of a folder: float32, on the CPU, in evaluation mode, without gradients.

    StudyError when a file is missing or damaged, the checksum differs, or the weights do not fit
    the architecture or are not finite.
    """
    folder = Path(folder)
    config = read_config(folder, kind)
    path = folder / WEIGHTS
    if not path.is_file():
        raise StudyError(f"{folder} has no {WEIGHTS}; copy the model folder again.")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != config["weights_sha256"]:
        raise StudyError(f"{path} does not match the checksum in {CONFIG}; copy the model folder again.")
    try:
        state = {name: value.float() for name, value in load_tensors(data).items()}
    except SafetensorError as error:
        raise StudyError(f"{path} is not a safetensors file; copy the model folder again.") from error
    try:
        model = _build(config)
        model.load_state_dict(state)
    except (RuntimeError, TypeError, ValueError, KeyError) as error:
        raise StudyError(
            f"the weights in {path} do not fit the architecture in {CONFIG}; "
            "use the t1diff version that wrote them."
        ) from error
    if not all(value.isfinite().all() for value in state.values()):
        raise StudyError(f"{path} holds weights that are not finite; train the model again.")
    return model.eval().requires_grad_(False)


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
