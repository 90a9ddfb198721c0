"""The parts that the encoders, the mean decoder and the noise estimator are built from.

Element-wise work and norms are memory-bound while convolutions are nearly free in bfloat16, so a
block has one norm, and skips are added (through a 1×1 convolution) where others concatenate: a
1×1 convolution of a concatenation is the same sum.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """x + conv(SiLU(norm(conv(x)))), the norm scaled and shifted by a time embedding if there is one."""

    def __init__(self, channels: int, time_channels: int = 0):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.GroupNorm(8, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.time = nn.Linear(time_channels, 2 * channels) if time_channels else None
        # the block starts as the identity (Dhariwal and Nichol 2021)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        h = self.norm(self.first(x))
        if self.time is not None:
            scale, shift = self.time(time).to(h.dtype)[:, :, None, None].chunk(2, dim=1)
            h = h * (1 + scale) + shift
        return x + self.second(F.silu(h))


class Up(nn.Module):
    """2×2 transposed convolution, plus the skip through a 1×1 convolution."""

    def __init__(self, channels_in: int, channels_skip: int, channels: int):
        super().__init__()
        self.up = nn.ConvTranspose2d(channels_in, channels, 2, stride=2)
        self.skip = nn.Conv2d(channels_skip, channels, 1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.up(x) + self.skip(skip)


def down(channels_in: int, channels: int) -> nn.Conv2d:
    """2×2 stride-2 convolution."""
    return nn.Conv2d(channels_in, channels, 2, stride=2)


def space_to_depth(x: Tensor) -> Tensor:
    """(B,C,H,W) -> (B,4C,H/2,W/2) without loss; `F.pixel_shuffle(…, 2)` is its inverse."""
    return F.pixel_unshuffle(x, 2)
