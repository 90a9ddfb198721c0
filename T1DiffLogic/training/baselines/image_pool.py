"""The history of generated images that CycleGAN's discriminators learn from (Shrivastava et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """Generated images, `capacity` of them at most; buffers, so that a run resumes with its pool.

    While it fills, every image is kept and handed back. Full, it hands back each image itself or, as
    often, one of those it holds, whose place the image then takes. Coins and places come from torch's
    global generator on the CPU.
    """

    def __init__(self, capacity: int, image_shape: tuple[int, int, int]):
        super().__init__()
        self.register_buffer("images", torch.zeros(capacity, *image_shape))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def exchange(self, images: Tensor) -> Tensor:
        """(B, C, H, W) new images -> as many for the discriminator, without gradient."""
        capacity, given = len(self.images), images.detach().clone()
        for i, image in enumerate(images.detach()):
            if self.filled < capacity:
                self.images[int(self.filled)] = image
                self.filled += 1
            elif torch.rand(()) > 0.5:
                place = int(torch.randint(0, capacity, ()))
                given[i] = self.images[place]
                self.images[place] = image
        return given
