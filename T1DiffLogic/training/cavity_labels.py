"""Real slices of which only the LV cavity is labelled, cut as the rendered ones are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ..errors import StudyError
from ..phantom.planes import gaussian_blur

HELD_BACK_EVERY = 5
"""Every fifth real subject by name (all four disease groups) is never trained on."""


class CavityLabels:
    """Real slices with cavity labels only: an .npz with `image` (N, R, C), `endocardium` (N, R, C/8
    packed bits) and `name` (subject and image), 1.25 mm pixels (Radau et al. 2009)."""

    PIXEL_MM = 1.25

    def __init__(self, path: Path, held_back: bool):
        try:
            with np.load(path, allow_pickle=False) as data:
                images, packed = data["image"], data["endocardium"]
                names = data["name"]
        except (OSError, KeyError, ValueError) as error:
            raise StudyError(f"{path} is not a set of cavity labels ({error}).") from None
        self.masks = torch.from_numpy(np.unpackbits(packed, axis=-1)[..., : images.shape[-1]])
        self.images = torch.from_numpy(images.astype(np.float32))
        subjects = np.array([subject_of(str(n)) for n in names])
        apart = sorted(set(subjects))[::HELD_BACK_EVERY]
        chosen = np.flatnonzero(np.isin(subjects, apart) == held_back)
        self.images, self.masks = self.images[chosen], self.masks[chosen]
        self.subjects = subjects[chosen]

    def crops(self, n: int, generator: torch.Generator, size: int = 128) -> tuple[torch.Tensor, torch.Tensor]:
        """Random crops (n, size, size) and cavity masks, turned, scaled and shifted as the rendered are."""
        pick = torch.randint(0, len(self.images), (n,), generator=generator)
        images, masks = self.images[pick], self.masks[pick].float()
        h, w = images.shape[1:]

        def rand(low, high):
            return low + (high - low) * torch.rand(n, generator=generator)

        pixel = torch.where(rand(0, 1) < 0.6, rand(1.1, 1.75), rand(1.6, 3.0))
        angle = rand(-3.14159, 3.14159) * (rand(0, 1) < 0.5) + rand(-0.3, 0.3)
        mirror = 1 - 2 * (rand(0, 1) < 0.5).float()
        rows, columns = torch.arange(h).float(), torch.arange(w).float()
        area = masks.sum((1, 2)).clamp_min(1)
        row = (masks.sum(2) * rows).sum(1) / area
        column = (masks.sum(1) * columns).sum(1) / area
        reach = torch.where(pixel > 1.75, 0.28 * size * pixel, torch.full_like(pixel, 16.0)) / self.PIXEL_MM
        row, column = row + rand(-1, 1) * reach, column + rand(-1, 1) * reach
        scale = pixel / self.PIXEL_MM
        axis = torch.arange(size) - (size - 1) / 2
        v, u = torch.meshgrid(axis, axis, indexing="ij")
        u, v = u[None] * (scale * mirror)[:, None, None], v[None] * scale[:, None, None]
        cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
        x = column[:, None, None] + u * cos - v * sin
        y = row[:, None, None] + u * sin + v * cos
        grid = torch.stack([2 * x / (w - 1) - 1, 2 * y / (h - 1) - 1], -1)
        blurred = gaussian_blur(images[:, None], (0.4 * scale).clamp_max(1.2))
        crops = F.grid_sample(blurred, grid, align_corners=True)[:, 0]
        cavity = F.grid_sample(masks[:, None], grid, align_corners=True)[:, 0] > 0.5
        return crops, cavity


def subject_of(name: str) -> str:
    """Subject part of an image name such as 'SC-HF-I-09-IM-0001-0007'."""
    return name.split("-IM-")[0]
