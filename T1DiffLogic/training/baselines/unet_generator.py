"""The U-Net generator of pix2pix (Isola et al. 2017, section 6.1.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import CoinDropout, float32_head, init_normal, norm_has_shift, norm_layer


class UNetGenerator(nn.Module):
    """(B, channels_in, S, S) -> (B, channels_out, S, S) in [−1, 1], S a multiple of 2^depth.

    4×4 convolutions of stride 2 down to S / 2^depth and as many back, every decoder level seeing
    the encoder's features of its size. Widths are width·(1, 2, 4, 8, 8, …).

    depth    7 for 128 pixels ("unet_128"), 8 for 256: a bottleneck of one pixel
    dropout  on the depth − 5 levels above the bottleneck, as the authors' later code has it; the
             article also drops the bottleneck's own
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        width: int = 64,
        depth: int = 7,
        norm: str = "batch_of_one",
        dropout: bool = True,
    ):
        super().__init__()
        if depth < 5:
            raise ValueError(f"a pix2pix U-Net has at least 5 levels, got {depth}")
        widths = [width * min(2**level, 8) for level in range(depth)]
        bias = not norm_has_shift(norm)

        def down(a: int, b: int) -> nn.Conv2d:
            return nn.Conv2d(a, b, 4, 2, 1, bias=bias)

        def up(a: int, b: int, level: int) -> nn.Sequential:
            layers = [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=bias), norm_layer(norm, b)]
            if dropout and 4 <= level < depth - 1:
                layers.append(CoinDropout())
            return nn.Sequential(*layers)

        self.first = down(channels_in, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(down(a, b), norm_layer(norm, b)) for a, b in zip(widths[:-2], widths[1:-1])
        )
        # one value a channel: a norm would leave nothing of it
        self.bottleneck = down(widths[-2], widths[-1])
        self.up = nn.ModuleList(
            up(widths[level] * (1 if level == depth - 1 else 2), widths[level - 1], level)
            for level in range(depth - 1, 0, -1)
        )
        self.head = nn.Sequential(nn.ConvTranspose2d(2 * width, channels_out, 4, 2, 1), nn.Tanh())
        init_normal(self)

    def forward(self, images: Tensor) -> Tensor:
        skips = [self.first(images)]
        for down in self.down:
            skips.append(down(F.leaky_relu(skips[-1], 0.2)))
        x = self.bottleneck(F.leaky_relu(skips[-1], 0.2))
        for up in self.up:
            x = torch.cat([skips.pop(), up(F.relu(x))], dim=1)
        return float32_head(self.head, F.relu(x))
