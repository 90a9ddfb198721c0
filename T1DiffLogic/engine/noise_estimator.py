"""ε_θ(z_t, t, c_mod, c_mor): the network that repeats at every sampling step."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .conditions import Conditions
from .unet_blocks import ResidualBlock, Up, down, space_to_depth

SCALES = (64, 32, 16)
"""Names of the three levels: their side in pixels for a 128-pixel image."""


def sinusoidal(t: Tensor, channels: int = 128) -> Tensor:
    """(B,) timestep indices -> (B, channels) float32 (Ho et al. 2020, after Vaswani et al. 2017)."""
    half = channels // 2
    frequency = torch.exp(-math.log(10000) * torch.arange(half, device=t.device, dtype=torch.float32) / half)
    angle = t.float()[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class DenoisingUNet(nn.Module):
    """The U-Net of every noise estimator: half resolution (space-to-depth 2), time in every block.

    embed_bias  False where what is added to the embedded z_t has a bias of its own
    """

    def __init__(self, widths: tuple[int, int, int], embed_bias: bool = True):
        super().__init__()
        fine, middle, coarse = widths
        time = 4 * fine
        self.time = nn.Sequential(nn.Linear(128, time), nn.SiLU(), nn.Linear(time, time), nn.SiLU())
        self.embed = nn.Conv2d(4, fine, 3, padding=1, bias=embed_bias)
        self.encode_fine = ResidualBlock(fine, time)
        self.down_middle = down(fine, middle)
        self.encode_middle = ResidualBlock(middle, time)
        self.down_coarse = down(middle, coarse)
        self.encode_coarse = ResidualBlock(coarse, time)
        self.decode_coarse = ResidualBlock(coarse, time)
        self.up_middle = Up(coarse, middle, middle)
        self.decode_middle = ResidualBlock(middle, time)
        self.up_fine = Up(middle, fine, fine)
        self.decode_fine = ResidualBlock(fine, time)
        self.norm = nn.GroupNorm(8, fine)
        self.head = nn.Conv2d(fine, 4, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def project(self, conditions: Conditions) -> dict[str, Tensor]:
        """What of the conditions z_t does not touch: computed once a slice, used at every step."""
        raise NotImplementedError

    def fuse(self, scale: int, features: Tensor, projected: dict[str, Tensor]) -> Tensor:
        """The features on their way into the encoder's block of a scale, with the conditions' share."""
        raise NotImplementedError

    def forward(self, z_t: Tensor, t: Tensor, projected: dict[str, Tensor]) -> Tensor:
        """z_t (B,1,H,W), t (B,) indices, projected conditions of batch B -> (B,1,H,W) float32."""
        time = self.time(sinusoidal(t))
        fine = self.encode_fine(self.fuse(64, self.embed(space_to_depth(z_t)), projected), time)
        middle = self.encode_middle(self.fuse(32, self.down_middle(fine), projected), time)
        coarse = self.encode_coarse(self.fuse(16, self.down_coarse(middle), projected), time)
        coarse = self.decode_coarse(coarse, time)
        middle = self.decode_middle(self.up_middle(coarse, middle), time)
        fine = self.decode_fine(self.up_fine(middle, fine), time)
        with torch.autocast(fine.device.type, enabled=False):
            return F.pixel_shuffle(self.head(F.silu(self.norm(fine.float()))), 2)


def shown_maps(conditions: Conditions) -> Tensor:
    """(B,1 or 2,H,W): the mean map and, where it is learned, the logarithm of its spread, as they stand: the
    diffusion's loss must not bend them."""
    if conditions.spread is None:
        return conditions.mean.detach()
    return torch.cat([conditions.mean, conditions.spread.log()], dim=1).detach()


class NoiseEstimator(DenoisingUNet):
    """Conditioned in the middle layers.

    The paper concatenates the conditions with the features of the middle layers. A 1×1 convolution
    of that concatenation is a sum of two 1×1 convolutions, and the one that sees the conditions
    does not depend on z_t: `project` computes it once a slice, `forward` adds it at every step.

    condition_scales   which of 64, 32, 16 receive conditions
    maps               how many maps are shown beside, at the finest scale: the mean map of the residual
                       arm, and its spread if that is learned
    """

    def __init__(
        self,
        widths: tuple[int, int, int] = (48, 96, 192),
        modality_widths: tuple[int, int, int] = (48, 96, 192),
        morphology_widths: tuple[int, int, int] = (32, 64, 128),
        condition_scales: tuple[int, ...] = SCALES,
        maps: int = 0,
    ):
        super().__init__(widths)
        if not condition_scales or not set(condition_scales) <= set(SCALES):
            raise ValueError(f"condition scales {condition_scales} must be some of {SCALES}")
        self.condition_scales = tuple(condition_scales)
        self.features = nn.ModuleDict()
        self.conditions = nn.ModuleDict()
        for scale, width, mod, mor in zip(SCALES, widths, modality_widths, morphology_widths, strict=True):
            if scale in self.condition_scales:
                self.features[str(scale)] = nn.Conv2d(width, width, 1)
                self.conditions[str(scale)] = nn.Conv2d(mod + mor, width, 1)
        self.mean = nn.Conv2d(4 * maps, widths[0], 3, padding=1) if maps else None

    def project(self, conditions: Conditions) -> dict[str, Tensor]:
        """The share of the conditions in the fused features, per scale."""
        projected = {}
        for scale, c_mod, c_mor in zip(SCALES, conditions.c_mod, conditions.c_mor, strict=True):
            if scale in self.condition_scales:
                projected[str(scale)] = self.conditions[str(scale)](torch.cat([c_mod, c_mor], dim=1))
        if self.mean is not None:
            projected["mean"] = self.mean(space_to_depth(shown_maps(conditions)))
        return projected

    def fuse(self, scale: int, features: Tensor, projected: dict[str, Tensor]) -> Tensor:
        if scale == SCALES[0] and self.mean is not None:
            features = features + projected["mean"]
        if scale not in self.condition_scales:
            return features
        return self.features[str(scale)](features) + projected[str(scale)]
