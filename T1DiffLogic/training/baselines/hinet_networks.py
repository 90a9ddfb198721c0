"""The networks of Hi-Net (Zhou et al. 2020): two modality encoders, mixed fusion, a discriminator."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import float32_head


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.2, inplace=True)


def _relu() -> nn.Module:
    return nn.ReLU(inplace=True)


def _conv(channels_in: int, channels_out: int, activation) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.BatchNorm2d(channels_out), activation()
    )


def _up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2)


class MixedFusion(nn.Module):
    """Two modalities' features, and what was fused before, into one (section III-B of the article).

    The sum, the product and the maximum of both are concatenated and mixed by a convolution; a
    second convolution mixes that with the features fused before, if there are any.
    """

    def __init__(self, channels: int, channels_out: int, activation, with_previous: bool = True):
        super().__init__()
        self.mix = _conv(3 * channels, channels, activation)
        self.join = _conv((2 if with_previous else 1) * channels, channels_out, activation)

    def forward(self, a: Tensor, b: Tensor, previous: Tensor | None = None) -> Tensor:
        mixed = self.mix(torch.cat([a + b, a * b, torch.maximum(a, b)], dim=1))
        return self.join(mixed if previous is None else torch.cat([mixed, previous], dim=1))


class ModalityAutoencoder(nn.Module):
    """One modality's encoder, and the decoder that must give the image back from its deepest features."""

    def __init__(self, width: int):
        super().__init__()
        widths = (1, width, 2 * width, 4 * width)
        self.levels = nn.ModuleList(
            nn.Sequential(_conv(a, b, _leaky), _conv(b, b, _leaky)) for a, b in zip(widths, widths[1:])
        )
        self.decoder = nn.ModuleList(
            nn.Sequential(_conv(a, a, _relu), _conv(a, b, _relu))
            for a, b in ((4 * width, 2 * width), (2 * width, width))
        )
        self.enter = _conv(4 * width, 4 * width, _relu)
        self.last = _conv(width, width, _relu)
        self.head = nn.Sequential(nn.Conv2d(width, 1, 3, padding=1), nn.Tanh())

    def encode(self, image: Tensor) -> list[Tensor]:
        """Features at S/2, S/4 and S/8."""
        features = [image]
        for level in self.levels:
            features.append(F.max_pool2d(level(features[-1]), 2))
        return features[1:]

    def decode(self, deepest: Tensor) -> Tensor:
        x = self.enter(deepest)
        for level in self.decoder:
            x = level(_up(x))
        return float32_head(self.head, self.last(_up(x)))


class HiNetGenerator(nn.Module):
    """(B, 2, S, S), a modality a channel -> the target (B, 1, S, S) and both modalities again, in [−1, 1].

    Encoders 32/64/128; fusion 64/128/128, then 256; the decoder fuses again at every level.
    """

    def __init__(self, width: int = 32):
        super().__init__()
        self.first, self.second = ModalityAutoencoder(width), ModalityAutoencoder(width)
        self.fuse = nn.ModuleList(
            [
                MixedFusion(width, 2 * width, _leaky, with_previous=False),
                MixedFusion(2 * width, 4 * width, _leaky),
                MixedFusion(4 * width, 4 * width, _leaky),
            ]
        )
        self.latent = _conv(4 * width, 8 * width, _leaky)
        self.enter = _conv(8 * width, 4 * width, _relu)
        self.decode = nn.ModuleList(
            [
                MixedFusion(4 * width, 2 * width, _relu),
                MixedFusion(2 * width, width, _relu),
                MixedFusion(width, width, _relu),
            ]
        )
        self.last = _conv(width, width, _relu)
        self.head = nn.Sequential(nn.Conv2d(width, 1, 3, padding=1), nn.Tanh())
        _init(self)

    def synthesise(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """The target from both encoders' features."""
        fused = self.fuse[0](a[0], b[0])
        for level in (1, 2):
            fused = self.fuse[level](a[level], b[level], F.max_pool2d(fused, 2))
        x = self.decode[0](a[2], b[2], self.enter(self.latent(fused)))
        for fuse, level in zip(self.decode[1:], (1, 0)):
            x = fuse(a[level], b[level], _up(x))
        return float32_head(self.head, self.last(_up(x)))

    def encode(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        return self.first.encode(images[:, :1]), self.second.encode(images[:, 1:])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The target (B, 1, S, S) and the two modalities given back (B, 2, S, S)."""
        a, b = self.encode(images)
        again = torch.cat([self.first.decode(a[-1]), self.second.decode(b[-1])], dim=1)
        return self.synthesise(a, b), again


class HiNetDiscriminator(nn.Module):
    """(B, 1, S, S) -> (B, 1, S/16 − 2, S/16 − 2): sees the target alone, not what it was made from.

    BatchNorm with ε = 0.8, as the authors' code has it.
    """

    def __init__(self, width: int = 32):
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, width, 3, 2, 1), _leaky()]
        for channels in (width, 2 * width, 4 * width):
            layers += [
                nn.Conv2d(channels, 2 * channels, 3, 2, 1),
                nn.BatchNorm2d(2 * channels, eps=0.8),
                _leaky(),
            ]
        layers.append(nn.Conv2d(8 * width, 1, 3))
        self.layers = nn.Sequential(*layers)
        _init(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).float()


def _init(net: nn.Module) -> None:
    """Weights N(0, 0.02) and norm scales N(1, 0.02); convolution biases stay torch's, as in the code."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)
