"""Control: a U-Net that regresses the T1 map from the very conditions of T1Diff, without diffusion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from ..engine.conditions import MeanDecoder, MorphologyEncoder, morphology, muscle_window
from ..engine.modality_encoder import ModalityEncoder
from ..engine.precision import inference_precision
from ..engine.views import turned, turned_back
from .method import Method, denormalise, normalise

HUBER_DELTA, HUBER_UNIT = 2.0, 0.1
"""δ and its unit in normalised T1: those of T1Diff's own mean (Resources/Configs/fast.json)."""


class RegressionUNet(nn.Module):
    """The encoders and the mean decoder of T1Diff's fast arm: in the full size as wide as the whole of it,
    in the small size its mean and nothing else.

    cine (B,P,H,W) and class probabilities (B,4,H,W) at ED and ES -> (B,1,H,W) normalised T1.
    """

    def __init__(
        self,
        cine_phases: int,
        modality_widths: Sequence[int],
        modality_bottleneck: int,
        morphology_widths: Sequence[int],
    ):
        super().__init__()
        self.modality = ModalityEncoder(2 * cine_phases, tuple(modality_widths), modality_bottleneck)
        self.morphology = MorphologyEncoder(tuple(morphology_widths))
        self.decoder = MeanDecoder(tuple(modality_widths), tuple(morphology_widths))

    def forward(self, cine: Tensor, soft_ed: Tensor, soft_es: Tensor) -> Tensor:
        frames = torch.cat([2 * (cine - 0.5), muscle_window(cine, soft_ed)], dim=1)
        return self.decoder(self.modality(frames), self.morphology(morphology(soft_ed, soft_es)))


class Regression(Method):
    """Weighted Huber loss. `target` "expected" is what T1Diff's mean learns, "scan" the T1 map itself;
    on pairs without an expected map they are the same. `views` are T1Diff's (engine.views): the map is the
    mean of what the network makes of each."""

    name = "regression"
    partial = False

    def __init__(self, architecture: dict):
        super().__init__(architecture)
        widths = dict(architecture)
        self.target = {"expected": "expected_ms", "scan": "t1_ms"}[widths.pop("target")]
        self.views = widths.pop("views", 1)
        self.network = RegressionUNet(**widths)
        self.cine_phases = widths["cine_phases"]

    def takes_phases(self, count: int) -> bool:
        return count == self.cine_phases

    def training_losses(self, inputs: dict) -> Iterator[tuple[str, Tensor]]:
        found = self.network(inputs["cine"], inputs["soft_ed"], inputs["soft_es"])
        error = (normalise(inputs[self.target]) - found) / HUBER_UNIT
        per_pixel = nn.functional.huber_loss(
            error, torch.zeros_like(error), reduction="none", delta=HUBER_DELTA
        )
        weight = inputs["weight"]
        yield "network", (weight * per_pixel).sum() / weight.sum().clamp_min(1e-6)

    @torch.no_grad()
    def predict_ms(self, inputs: dict, samples: int, seed: int, slices: Sequence[int]) -> Tensor:
        with inference_precision(inputs["cine"].device):
            seen = [inputs[name] for name in ("cine", "soft_ed", "soft_es")]
            maps = [
                turned_back(denormalise(self.network(*(turned(x, view) for x in seen)).float()), view)
                for view in range(self.views)
            ]
        return torch.stack(maps).mean(0)
