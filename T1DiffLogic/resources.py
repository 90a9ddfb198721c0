"""Where Resources/ lies: beside the package in a source tree and in Slicer, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

from .errors import StudyError

PRESETS = {"fast": "t1diff_fast", "paper": "t1diff_paper"}
"""Preset names of the command line and the model folders under Resources/Models that they stand for."""

SEGMENTER = "gf_unet"
"""The folder under Resources/Models with the anatomical structure encoder, the LV segmenter."""


def resources_folder() -> Path:
    """The Resources folder of this installation. StudyError when the installation lacks it."""
    package = Path(__file__).resolve().parent
    for candidate in (package.parent / "Resources", package / "Resources"):
        if (candidate / "Configs").is_dir():
            return candidate
    raise StudyError("this installation lacks its Resources folder; install t1diff again.")


def installed_segmenter() -> Path:
    """The model folder of the GF-UNet. StudyError when this installation has none."""
    folder = resources_folder() / "Models" / SEGMENTER
    if not (folder / "config.json").is_file():
        raise StudyError(
            f"this installation has no segmenter; train one with `t1diff train segmenter -o {folder}`."
        )
    return folder


def trained_on(metadata: dict) -> str:
    """What a model was trained on, in words of one line, from the `metadata` of its config.json."""
    return " ".join(str(metadata.get("trained_on") or "data that its folder does not state").split())


def model_folder(preset: str) -> Path:
    """The model folder of a preset. StudyError with the remedy when this installation has none."""
    folder = resources_folder() / "Models" / PRESETS[preset]
    if not (folder / "config.json").is_file():
        raise StudyError(
            f"this installation has no weights for --preset {preset}; "
            f"train them with `t1diff train synthesis --preset {preset} -o DIR` and pass --model DIR."
        )
    return folder
