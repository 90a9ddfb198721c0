"""The PatchGAN discriminator (Isola et al. 2017, section 6.1.2; CycleGAN and pGAN use it too)."""

from __future__ import annotations

from torch import Tensor, nn

from .layers import init_normal, norm_has_shift, norm_layer


class PatchDiscriminator(nn.Module):
    """(B, channels_in, S, S) -> (B, 1, S/8 − 2, S/8 − 2) logits, one for every 70×70 patch.

    Three 4×4 convolutions of stride 2 and two of stride 1, widths width·(1, 2, 4, 8): C64-C128-C256-C512.
    Convolutions before a norm that shifts have no bias; the first has no norm.
    """

    def __init__(self, channels_in: int, width: int = 64, norm: str = "batch_of_one"):
        super().__init__()
        bias = not norm_has_shift(norm)
        layers: list[nn.Module] = [nn.Conv2d(channels_in, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for channels, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
            layers += [
                nn.Conv2d(channels, 2 * channels, 4, stride, 1, bias=bias),
                norm_layer(norm, 2 * channels),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        layers.append(nn.Conv2d(8 * width, 1, 4, 1, 1))
        self.layers = nn.Sequential(*layers)
        init_normal(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).float()
