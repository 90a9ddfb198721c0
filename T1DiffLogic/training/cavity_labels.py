"""Real slices of which an observer labelled the LV cavity alone, cut as the rendered ones are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ..engine.gf_unet import GFUNet
from ..errors import StudyError
from ..phantom.planes import gaussian_blur, smooth_field
from ..study import LV_CAVITY

UNKNOWN = 255
"""Label of a pixel of which nothing is known."""

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
        self.labels = torch.where(self.masks > 0, LV_CAVITY, UNKNOWN).to(torch.uint8)

    def complete(self, teacher: GFUNet) -> None:
        """Adds the teacher's RV and wall (`completion.completed_labels`) to the observer's cavities."""
        # what tidies contours in use needs SimpleITK, which a machine that only trains may lack
        from .completion import completed_labels

        images, masks = self.images.numpy(), self.masks.numpy()
        self.labels = torch.from_numpy(completed_labels(images, masks, self.subjects, self.PIXEL_MM, teacher))

    def crops(
        self, n: int, generator: torch.Generator, size: int = 128, deformed: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Random crops (n, size, size) and labels uint8, turned, scaled and shifted as the rendered are.

        Labels are LV_CAVITY, what `complete` added and UNKNOWN. `deformed` bends anatomy, too: some
        cavities are squeezed or widened within their walls, as in hypertrophied and dilated hearts.
        """
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
        # from the crop's pixels to the slice's, relative to the cavity's centre
        off_row, off_column = rand(-1, 1) * reach, rand(-1, 1) * reach
        scale = pixel / self.PIXEL_MM
        axis = torch.arange(size) - (size - 1) / 2
        v, u = torch.meshgrid(axis, axis, indexing="ij")
        u, v = u[None] * (scale * mirror)[:, None, None], v[None] * scale[:, None, None]
        cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
        x = off_column[:, None, None] + u * cos - v * sin
        y = off_row[:, None, None] + u * sin + v * cos
        if deformed:
            bend = smooth_field(generator, n, 2, 4, size) * (rand(0, 1) < 0.5)[:, None, None, None]
            bend = bend * (rand(0, 3.0) / self.PIXEL_MM)[:, None, None, None]
            x, y = x + bend[:, 0], y + bend[:, 1]
            squeeze = rand(-0.35, 0.9) * (rand(0, 1) < 0.4)
            radius = 1.2 * (area / torch.pi).sqrt()
            near = torch.exp(-(x.square() + y.square()) / radius.square()[:, None, None])
            factor = 1 + squeeze[:, None, None] * near
            x, y = x * factor, y * factor
        x, y = x + column[:, None, None], y + row[:, None, None]
        grid = torch.stack([2 * x / (w - 1) - 1, 2 * y / (h - 1) - 1], -1)
        blurred = gaussian_blur(images[:, None], (0.4 * scale).clamp_max(1.2))
        crops = F.grid_sample(blurred, grid, align_corners=True)[:, 0]
        cavity = F.grid_sample(masks[:, None], grid, align_corners=True)[:, 0] > 0.5
        labels = F.grid_sample(self.labels[pick][:, None].float(), grid, mode="nearest", align_corners=True)[
            :, 0
        ].to(torch.uint8)
        labels[(labels == LV_CAVITY) & ~cavity] = UNKNOWN
        labels[cavity] = LV_CAVITY
        return crops, labels


def subject_of(name: str) -> str:
    """Subject part of an image name such as 'SC-HF-I-09-IM-0001-0007'."""
    return name.split("-IM-")[0]
