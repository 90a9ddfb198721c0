"""Intensities as GF-UNet sees them: robust, per image, the same for cine frames and T1 maps."""

from __future__ import annotations

import torch

T1_CEILING_MS = 2600.0
"""Above blood; a T1 map is cut here first, since the fit of air and lung is noise up to any value."""


def standardise(images: torch.Tensor) -> torch.Tensor:
    """(N, H, W) images of arbitrary units -> float32 about −1 … 2, from the 1st and 98th percentile.

    A constant image becomes 0 − 1; nothing is raised.
    """
    images = images.float()
    sample = images[:, ::2, ::2].flatten(1)
    low, high = torch.quantile(sample, torch.tensor([0.01, 0.98], device=images.device), dim=1)
    spread = (high - low).clamp_min(1e-6)
    return ((images - low[:, None, None]) / spread[:, None, None]).clamp(-0.5, 1.5) * 2 - 1
