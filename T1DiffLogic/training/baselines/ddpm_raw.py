"""Ablation "DDPM w/o Dis C" of the paper's Table 2: T1Diff's diffusion on raw ED and ES frames, no masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...engine.conditions import Conditions
from ...engine.modality_encoder import ModalityEncoder
from ...engine.noise_estimator import sinusoidal
from ...engine.t1diff import T1Diff, T1DiffConfig
from ...engine.unet_blocks import ResidualBlock, Up, down, space_to_depth
from ...errors import StudyError
from ..method import Method, ed_and_es
from ..t1diff import DiffusionStep, MeanStep, T1DiffFast, T1DiffPaper
from ..validation import Validation


class RawNoiseEstimator(nn.Module):
    """ε_θ(z_t, t, frames): the U-Net of T1Diff, the frames concatenated to its input and nowhere else.

    A convolution of a concatenation is a sum of convolutions, so `project` takes the frames' share once
    a slice. With `with_mean` the mean map is concatenated too, as T1Diff's residual arm shows it.
    """

    def __init__(self, widths: tuple[int, int, int], with_mean: bool):
        super().__init__()
        fine, middle, coarse = widths
        time = 4 * fine
        self.time = nn.Sequential(nn.Linear(128, time), nn.SiLU(), nn.Linear(time, time), nn.SiLU())
        self.frames = nn.Conv2d(4 * (3 if with_mean else 2), fine, 3, padding=1)
        self.embed = nn.Conv2d(4, fine, 3, padding=1, bias=False)
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
        shown = [*conditions.c_mod] + ([] if conditions.mean is None else [conditions.mean.detach()])
        return {"frames": self.frames(space_to_depth(torch.cat(shown, dim=1)))}

    def forward(self, z_t: Tensor, t: Tensor, projected: dict[str, Tensor]) -> Tensor:
        """z_t (B,1,H,W), t (B,) indices -> (B,1,H,W) float32."""
        time = self.time(sinusoidal(t))
        fine = self.encode_fine(self.embed(space_to_depth(z_t)) + projected["frames"], time)
        middle = self.encode_middle(self.down_middle(fine), time)
        coarse = self.decode_coarse(self.encode_coarse(self.down_coarse(middle), time), time)
        middle = self.decode_middle(self.up_middle(coarse, middle), time)
        fine = self.decode_fine(self.up_fine(middle, fine), time)
        with torch.autocast(fine.device.type, enabled=False):
            return F.pixel_shuffle(self.head(F.silu(self.norm(fine.float()))), 2)


class RawMean(nn.Module):
    """Frames (B,2,H,W) -> the mean map (B,1,H,W), normalised: E_m's own U-Net with a head."""

    def __init__(self, widths: tuple[int, int, int], bottleneck: int):
        super().__init__()
        self.unet = ModalityEncoder(2, widths, bottleneck)
        self.head = nn.Conv2d(widths[0], 4, 3, padding=1)

    def forward(self, frames: Tensor) -> Tensor:
        fine = self.unet(frames)[0]
        with torch.autocast(fine.device.type, enabled=False):
            return F.pixel_shuffle(self.head(fine.float()), 2)


class RawT1Diff(T1Diff):
    """T1Diff with its conditions taken out: objective, schedule, samplers and noise are inherited, so
    that they cannot differ. Of the configuration, what describes E_m's input, the morphology encoder and
    the condition scales has no meaning here."""

    def __init__(self, config: T1DiffConfig):
        super().__init__(config)
        del self.modality, self.morphology
        self.mean = RawMean(config.modality_widths, config.modality_bottleneck) if config.residual else None
        self.estimator = RawNoiseEstimator(config.estimator_widths, config.residual)

    def encode(self, cine: Tensor, soft_ed: Tensor, soft_es: Tensor) -> Conditions:
        """Cine (B,P,H,W), of which ED and ES are taken as they are; the masks are not looked at."""
        frames = torch.cat(ed_and_es(cine), dim=1)
        return Conditions((frames,), (), self.mean(frames) if self.mean is not None else None)


class DDPMRaw(T1DiffFast):
    """Trained, validated and sampled by the recipe of the arm of T1Diff whose ablation it is: around a
    mean learned first (sizes 'full' and 'small'), or as published (sizes 'paper' and 'paper_small')."""

    name = "ddpm_raw"

    def __init__(self, architecture: dict):
        try:
            config = T1DiffConfig.from_dict(architecture)
        except ValueError as error:
            raise StudyError(f"the settings of {self.name} cannot be used: {error}.") from error
        super().__init__(architecture)
        self.network = RawT1Diff(config)
        self._recipe = T1DiffFast if config.residual else T1DiffPaper
        self.stages = self._recipe.stages
        self._steps = {"mean": MeanStep(self.network), "diffusion": DiffusionStep(self.network)}

    def pixel_weight(self, inputs: dict) -> Tensor:
        return self._recipe.pixel_weight(self, inputs)

    @torch.no_grad()
    def validated_ms(self, inputs: dict, slices: Sequence[int]) -> dict[str, Tensor]:
        return self._recipe.validated_ms(self, inputs, slices)

    def calibrate(self, validation: Validation) -> None:
        """Nothing: without contours there is no myocardium whose level could be drawn."""

    def describe(self, batches: Iterator[dict]) -> dict:
        return {}

    def save(self, folder: Path, metadata: dict) -> None:
        Method.save(self, folder, metadata)  # not as a T1Diff, which the product would open
