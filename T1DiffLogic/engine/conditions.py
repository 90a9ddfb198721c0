"""The disentangled conditions: c_mor from the anatomy at ED and ES, and the container of both."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .unet_blocks import ResidualBlock, down, space_to_depth


def morphology(soft_ed: Tensor, soft_es: Tensor) -> Tensor:
    """Class probabilities (B,4,H,W) at ED and at ES -> (B,9,H,W): a_d, a_s and a_s − a_d.

    Background is dropped (it is one minus the rest). Only masks enter, no features of the
    segmenter, so that a mask corrected by a clinician can take the network's place.
    """
    if soft_ed.ndim != 4 or soft_ed.shape[1] != 4 or soft_ed.shape != soft_es.shape:
        raise ValueError(
            f"soft masks must both be (B,4,H,W), got {tuple(soft_ed.shape)}, {tuple(soft_es.shape)}"
        )
    a_d, a_s = soft_ed[:, 1:], soft_es[:, 1:]
    return torch.cat([a_d, a_s, a_s - a_d], dim=1)


WINDOW_GAIN = 4.0
"""An infarct core stands 8 to 15 % above remote muscle in a cine: ± 50 % of it fill this window."""


def muscle_window(cine: Tensor, soft_ed: Tensor) -> Tensor:
    """Cine (B,P,H,W) in a window around its own myocardium at ED: 0 there, ±2 at ±50 % of its signal.

    Blood and fat are bright, muscle is dark, and the contrasts that betray a scar are a few percent
    of the image's range; a reader narrows the window, and so does this. The one number taken from
    `soft_ed` (B,4,H,W) is the mean signal inside the myocardium, away from blood and lung; without a
    myocardium, half the blood's.
    """
    # cut at one half, so that labels handed back give what the probabilities did
    weight = -F.max_pool2d(-(soft_ed[:, 2:3] > 0.5).float(), 3, 1, 1)[:, 0]
    total = (weight * cine[:, 0].float()).sum((1, 2)) + 0.5 * 8
    reference = (total / (weight.sum((1, 2)) + 8)).clamp_min(0.05)
    window = cine / reference[:, None, None, None] - 1
    return (window * WINDOW_GAIN).clamp(-2, 2)


class MorphologyEncoder(nn.Module):
    """(B,9,H,W) morphology -> c_mor at H/2, H/4 and H/8, fine to coarse, with `widths` channels."""

    def __init__(self, widths: tuple[int, int, int] = (32, 64, 128)):
        super().__init__()
        fine, middle, coarse = widths
        self.embed = nn.Conv2d(36, fine, 3, padding=1)
        self.fine = ResidualBlock(fine)
        self.down_middle = down(fine, middle)
        self.middle = ResidualBlock(middle)
        self.down_coarse = down(middle, coarse)
        self.coarse = ResidualBlock(coarse)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fine = self.fine(self.embed(space_to_depth(maps)))
        middle = self.middle(self.down_middle(fine))
        return fine, middle, self.coarse(self.down_coarse(middle))


@dataclass(frozen=True, eq=False)
class Conditions:
    """What is known of B slices, encoded once; only the noise estimator repeats.

    c_mod, c_mor   feature pyramids at H/2, H/4, H/8
    mean           None, or (B,1,H,W) float32: the expected T1 map, normalised to [−1, 1]
    spread         None, or (B,1,H,W) float32: SD of what a scan differs from it by, in the same unit
    wall           None, or (B,1,H,W) float32: probability of LV myocardium at ED, where the person's
                   level is added to samples
    """

    c_mod: tuple[Tensor, Tensor, Tensor]
    c_mor: tuple[Tensor, Tensor, Tensor]
    mean: Tensor | None = None
    spread: Tensor | None = None
    wall: Tensor | None = None

    @property
    def batch(self) -> int:
        return self.c_mod[0].shape[0]

    def detach(self) -> Conditions:
        """The same, through which nothing is learned."""
        maps = (m if m is None else m.detach() for m in (self.mean, self.spread, self.wall))
        c_mod, c_mor = (tuple(f.detach() for f in c) for c in (self.c_mod, self.c_mor))
        return Conditions(c_mod, c_mor, *maps)


class MapHead(nn.Conv2d):
    """Features at H/2 -> one map (B,1,H,W) float32 by depth-to-space.

    bfloat16 would round a map by milliseconds, so this layer is float32 whatever autocast says.
    """

    def __init__(self, channels: int):
        super().__init__(channels, 4, 3, padding=1)

    def forward(self, fine: Tensor) -> Tensor:
        with torch.autocast(fine.device.type, enabled=False):
            return F.pixel_shuffle(super().forward(fine.float()), 2)


class MeanDecoder(nn.Module):
    """c_mod and c_mor -> the expected T1 map (B,1,H,W), normalised: `head` of the `features`."""

    def __init__(self, modality_widths: tuple[int, int, int], morphology_widths: tuple[int, int, int]):
        super().__init__()
        fine, middle, coarse = modality_widths
        self.enter = nn.ModuleList(
            nn.Conv2d(mod + mor, mod, 1) for mod, mor in zip(modality_widths, morphology_widths, strict=True)
        )
        self.coarse = ResidualBlock(coarse)
        self.up_middle = nn.ConvTranspose2d(coarse, middle, 2, stride=2)
        self.middle = ResidualBlock(middle)
        self.up_fine = nn.ConvTranspose2d(middle, fine, 2, stride=2)
        self.fine = ResidualBlock(fine)
        self.head = MapHead(fine)

    def features(self, c_mod: tuple[Tensor, ...], c_mor: tuple[Tensor, ...]) -> Tensor:
        """(B, finest width, H/2, W/2)."""
        fine, middle, coarse = (
            enter(torch.cat([a, b], dim=1)) for enter, a, b in zip(self.enter, c_mod, c_mor, strict=True)
        )
        middle = self.middle(middle + self.up_middle(self.coarse(coarse)))
        return self.fine(fine + self.up_fine(middle))

    def forward(self, c_mod: tuple[Tensor, ...], c_mor: tuple[Tensor, ...]) -> Tensor:
        return self.head(self.features(c_mod, c_mor))


class SpreadDecoder(nn.Module):
    """Features of the mean map -> SD (B,1,H,W) of what a scan differs from it by, above 0.

    unit   the SD that it starts at; it stays within a tenth and ten times of it
    """

    def __init__(self, channels: int, unit: float):
        super().__init__()
        self.enter = nn.Conv2d(channels, channels // 2, 3, padding=1)
        self.head = MapHead(channels // 2)
        self.unit = unit
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, fine: Tensor) -> Tensor:
        return self.unit * torch.exp(math.log(10) * torch.tanh(self.head(F.silu(self.enter(fine)))))
