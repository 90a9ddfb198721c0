"""Where tensors are computed."""

from __future__ import annotations

import torch

from .errors import StudyError


def chosen_device(name: str) -> torch.device:
    """'auto', 'cpu' or 'cuda' -> the device. StudyError when cuda is asked for and there is none."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise StudyError("--device cuda: torch sees no GPU; use --device cpu or a CUDA build of torch.")
    return torch.device("cuda" if available and name != "cpu" else "cpu")
