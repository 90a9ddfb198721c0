"""Where measured numbers come from: the commit of the code and the device."""

from __future__ import annotations

import subprocess
from pathlib import Path

import torch

from .. import __version__


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def commit() -> str:
    """The commit of the source tree, with '+ changes' when files differ from it; else the version."""
    root = Path(__file__).resolve().parents[2]
    try:
        run = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--abbrev=12", "--dirty= + changes",
             "--exclude=*"],
            capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return f"t1diff {__version__}"
    return run.stdout.strip()
