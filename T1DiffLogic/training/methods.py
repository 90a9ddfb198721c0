"""The methods of the study by name: built from their configuration, or read from a model folder."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StudyError
from ..resources import resources_folder

if TYPE_CHECKING:
    from .method import Method

SIZES = ("full", "small")
"""`full` as published, `small` for what a CPU can train in the same budget."""

METHODS = {
    "t1diff": "t1diff:T1DiffFast",
    "paper": "t1diff:T1DiffPaper",
    "regression": "regression:Regression",
    "pix2pix": "baselines.pix2pix:Pix2Pix",
    "cyclegan": "baselines.cyclegan:CycleGAN",
    "pgan": "baselines.pgan:PGAN",
    "hinet": "baselines.hinet:HiNet",
    "gan_disentangled": "baselines.gan_disentangled:GANDisentangled",
    "ddpm_raw": "baselines.ddpm_raw:DDPMRaw",
}
"""name: module of this room and class. The name is also that of Resources/Configs/<name>.json …"""

_PRESETS = {"t1diff": "fast"}
"""… but for the arms of T1Diff, whose configurations are the presets of the command line."""


def method_class(name: str) -> type[Method]:
    """The class of a method. StudyError when there is none of that name, or Lightning is missing."""
    if name not in METHODS:
        raise StudyError(f"method '{name}' is not known; use one of {', '.join(METHODS)}.")
    need_lightning()
    module, attribute = METHODS[name].split(":")
    return getattr(importlib.import_module(f".{module}", __package__), attribute)


def need_lightning() -> None:
    """StudyError with the remedy where the package is missing."""
    if importlib.util.find_spec("lightning") is None:
        raise StudyError(
            "training needs the Python package 'lightning'; install it with `pip install t1diff[train]`."
        )


def configuration(name: str, size: str = "full") -> dict:
    """The architecture of a method, from Resources/Configs/<name>.json. StudyError without that size."""
    path = resources_folder() / "Configs" / f"{_PRESETS.get(name, name)}.json"
    sizes = json.loads(path.read_text(encoding="utf-8"))
    if size not in sizes:
        raise StudyError(f"{name} has no size '{size}'; use {' or '.join(sizes)}.")
    return sizes[size]


def create(name: str, size: str = "full") -> Method:
    """A method with weights not yet trained, drawn from torch's global generator."""
    return method_class(name)(configuration(name, size))


def load(folder: str | Path) -> Method:
    """The trained method of a model folder: on the CPU, in evaluation mode, without gradients.

    StudyError when the folder is damaged or holds no method of the study.
    """
    from ..engine import checkpoint

    config = checkpoint.read_config(folder)
    name = config["metadata"].get("method", config["kind"])
    method = method_class(name)(config["architecture"])
    checkpoint.fill(method.network, folder, config)
    return method.eval().requires_grad_(False)
