"""What the published networks share: normalisation at batch size one, dropout at test time, weight init."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...engine.noise import keyed_noise

NORMS = ("batch_of_one", "batch", "instance")


def norm_layer(kind: str, channels: int) -> nn.Module:
    """A normalisation of (B, C, H, W) features.

    'batch_of_one'  BatchNorm as pix2pix was published to train and to test, at batch size 1: every
                    image by its own statistics, with learned scale and shift. So written, it is the
                    same at any batch size, and a map does not depend on its neighbours in the batch.
    'batch'         BatchNorm over the batch; running statistics at test time
    'instance'      every image by its own statistics, no parameters (CycleGAN, pGAN)
    """
    if kind == "batch_of_one":
        return nn.InstanceNorm2d(channels, affine=True)
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "instance":
        return nn.InstanceNorm2d(channels)
    raise ValueError(f"norm '{kind}' is not one of {', '.join(NORMS)}")


def norm_has_shift(kind: str) -> bool:
    """True when the norm shifts by itself, so that the convolution before it needs no bias."""
    return kind != "instance"


class CoinDropout(nn.Module):
    """Dropout with p = 0.5: a fair coin for every value.

    In training the coins are torch's. At test time they are off, unless `drawn_coins` gives the
    keys: pix2pix and pGAN leave their dropout on at test time, where it is their only noise.
    """

    def __init__(self):
        super().__init__()
        self.keys: list[tuple[int, int, int, int]] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.keys is None:
            return F.dropout(x, 0.5, self.training)
        # the sign of a normal draw is a fair coin
        coins = torch.stack([keyed_noise(x.shape[1:], *key) > 0 for key in self.keys])
        return x * coins.to(x.device) * 2


@contextmanager
def drawn_coins(net: nn.Module, seed: int, maps: Sequence[tuple[int, int]]) -> Iterator[None]:
    """Within it, the dropout of `net` is on, each layer's coins keyed by (seed, slice, sample, layer).

    maps  (slice, sample) of every image of the batch
    """
    layers = [m for m in net.modules() if isinstance(m, CoinDropout)]
    for number, layer in enumerate(layers, start=1):
        layer.keys = [(seed, index, sample, number) for index, sample in maps]
    try:
        yield
    finally:
        for layer in layers:
            layer.keys = None


def init_normal(net: nn.Module) -> None:
    """Convolutions N(0, 0.02) without bias, norm scales N(1, 0.02): Isola et al. 2017, section 6.2."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d) and module.weight is not None:
            nn.init.normal_(module.weight, 1.0, 0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def float32_head(head: nn.Module, x: Tensor) -> Tensor:
    """The last layers of a generator in float32: bfloat16 would round the map by milliseconds."""
    with torch.autocast(x.device.type, enabled=False):
        return head(x.float())
