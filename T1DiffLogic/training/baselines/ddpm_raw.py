"""Ablation "DDPM w/o Dis C" of the paper's Table 2: T1Diff's diffusion on raw ED and ES frames, no masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ...engine.conditions import Conditions, MapHead
from ...engine.modality_encoder import ModalityEncoder
from ...engine.noise_estimator import SCALES, DenoisingUNet, shown_maps
from ...engine.t1diff import T1Diff, T1DiffConfig
from ...engine.unet_blocks import space_to_depth
from ...errors import StudyError
from ..method import Method, ed_and_es
from ..t1diff import T1DiffFast, T1DiffPaper, steps_of
from ..validation import Validation


class RawNoiseEstimator(DenoisingUNet):
    """T1Diff's U-Net, with the frames concatenated to its input and nowhere else.

    A convolution of a concatenation is a sum of convolutions, so `project` takes the frames' share once
    a slice. The mean map and its spread are concatenated too, as T1Diff's residual arm shows them.
    """

    def __init__(self, widths: tuple[int, int, int], maps: int):
        super().__init__(widths, embed_bias=False)
        self.frames = nn.Conv2d(4 * (2 + maps), widths[0], 3, padding=1)

    def project(self, conditions: Conditions) -> dict[str, Tensor]:
        shown = [*conditions.c_mod] + ([] if conditions.mean is None else [shown_maps(conditions)])
        return {"frames": self.frames(space_to_depth(torch.cat(shown, dim=1)))}

    def fuse(self, scale: int, features: Tensor, projected: dict[str, Tensor]) -> Tensor:
        return features + projected["frames"] if scale == SCALES[0] else features


class RawMean(nn.Module):
    """Frames (B,2,H,W), alone in c_mod -> the mean map's features, of E_m's own U-Net, and its `head`."""

    def __init__(self, widths: tuple[int, int, int], bottleneck: int):
        super().__init__()
        self.unet = ModalityEncoder(2, widths, bottleneck)
        self.head = MapHead(widths[0])

    def features(self, c_mod: tuple[Tensor], c_mor: tuple[()]) -> Tensor:
        return self.unet(c_mod[0])[0]


class RawT1Diff(T1Diff):
    """T1Diff with its conditions taken out: objective, schedule, samplers and noise are inherited, so
    that they cannot differ. Of the configuration, what describes E_m's input, the morphology encoder and
    the condition scales has no meaning here."""

    def __init__(self, config: T1DiffConfig):
        super().__init__(config)
        del self.modality, self.morphology
        self.mean = RawMean(config.modality_widths, config.modality_bottleneck) if config.residual else None
        self.estimator = RawNoiseEstimator(config.estimator_widths, config.residual + config.learned_spread)

    def _encode(self, cine: Tensor, soft_ed: Tensor, soft_es: Tensor) -> Conditions:
        """Of cine (B,P,H,W) ED and ES are taken as they are; the masks are not looked at."""
        return self.combine((torch.cat(ed_and_es(cine), dim=1),), (), None)


class DDPMRaw(T1DiffFast):
    """Trained, validated and sampled by the recipe of the arm of T1Diff whose ablation it is: around a
    mean learned first (sizes 'full' and 'small'), or as published (sizes 'paper' and 'paper_small')."""

    name = "ddpm_raw"
    knows_wall = False

    def __init__(self, architecture: dict):
        try:
            config = T1DiffConfig.from_dict(architecture)
        except ValueError as error:
            raise StudyError(f"the settings of {self.name} cannot be used: {error}.") from error
        super().__init__(architecture)
        self.network = RawT1Diff(config)
        self._recipe = T1DiffFast if config.residual else T1DiffPaper
        self.stages = self._recipe.stages
        self._steps = steps_of(self.network)

    def pixel_weight(self, inputs: dict) -> Tensor:
        return self._recipe.pixel_weight(self, inputs)

    @torch.no_grad()
    def validated_ms(self, inputs: dict, slices: Sequence[int]) -> dict[str, Tensor]:
        return self._recipe.validated_ms(self, inputs, slices)

    def takes_phases(self, count: int) -> bool:
        return Method.takes_phases(self, count)

    def calibrate(self, validation: Validation) -> None:
        self._recipe.calibrate(self, validation)
        config = self.network.config
        if config.residual:
            found = {"spread_factor": config.spread_factor, "draw_factor": config.draw_factor}
            self.architecture = self.architecture | found

    def describe(self, batches: Iterator[dict]) -> dict:
        return {}

    def save(self, folder: Path, metadata: dict) -> None:
        Method.save(self, folder, metadata)  # not as a T1Diff, which the product would open
