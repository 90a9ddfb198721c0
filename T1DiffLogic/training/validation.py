"""What T1 maps are measured by while training goes on: fixed slices that are never learned from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..dataset.pairs import PreparedPairs
from ..engine.gf_unet import GFUNet
from ..errors import StudyError
from ..phantom.draws import SEEDS
from .method import Method
from .prepared import tensors
from .rendered import engine_batch, engine_inputs, inner_wall, plain_inputs
from .segmented import predicted_masks

SLICES, AT_ONCE = 96, 16
LEVEL_SAMPLES = 2
"""A pair: many slices make up for few samples."""


@dataclass
class Validation:
    """`inputs` of N slices as a Method sees them, and `labels` (N, H, W) of their T1 maps."""

    inputs: dict
    labels: Tensor

    @classmethod
    def rendered(cls, phases: int, segmenter: GFUNet | None, device: torch.device) -> Validation:
        """Digital hearts of the validation range, a third of them of the wide distribution."""
        start = SEEDS["validation"].start + 1000
        parts, labels = [], []
        for i in range(SLICES // AT_ONCE):
            seeds = list(range(start + AT_ONCE * i, start + AT_ONCE * (i + 1)))
            batch = engine_batch(seeds, wide=i % 3 == 0, phases=phases, device=device)
            predicted = None if segmenter is None else predicted_masks(segmenter, batch)
            parts.append(engine_inputs(batch, torch.Generator(device).manual_seed(i), predicted))
            labels.append(batch["labels_t1"])
        return cls({k: torch.cat([p[k] for p in parts]) for k in parts[0]}, torch.cat(labels))

    @classmethod
    def prepared(cls, folder: Path, device: torch.device) -> Validation:
        """Slices of the validation split of a DATASET folder, spread evenly over it.

        StudyError when there are none.
        """
        pairs = PreparedPairs(folder, "validation", cache_mib=0)
        count = min(SLICES, len(pairs))
        picked = [i * len(pairs) // count for i in range(count)]
        batch = tensors(pairs, picked, device)
        return cls(plain_inputs(batch), batch["labels_t1"])

    def measure(self, method: Method) -> dict[str, float]:
        """RMSE (ms) in the inner wall and R of its 11 mm block means with the scan's, of every map that
        the method has to show."""
        parts = []
        for start in range(0, len(self.labels), AT_ONCE):
            part = {k: v[start : start + AT_ONCE] for k, v in self.inputs.items()}
            parts.append(method.validated_ms(part, range(start, start + len(part["cine"]))))
        row = {}
        for name in parts[0]:
            figures = self.figures(torch.cat([p[name] for p in parts]))
            row |= {f"{name}_{key}" if name else key: value for key, value in figures.items()}
        return row

    def missing_level_sd_ms(self, method: Method) -> float:
        """SD in ms of what a slice's inner wall as a whole is off, beyond what samples tell of it.

        A slice's level is the mean of its inner wall. Its error is that of the mean of LEVEL_SAMPLES
        samples; their own spread about it, drawn in antithetic pairs around their mean, is what they
        know of the error. 0 when they know all of it. StudyError when maps are not finite.
        """
        off, told = [], []
        for start in range(0, len(self.labels), AT_ONCE):
            part = {k: v[start : start + AT_ONCE] for k, v in self.inputs.items()}
            maps = method.predict_ms(part, LEVEL_SAMPLES, 0, range(start, start + len(part["cine"])))
            truth = part["t1_ms"]
            wall = (inner_wall(self.labels[start : start + AT_ONCE])[:, None] & (truth > 0)).float()
            count = wall.sum((2, 3))
            there = count[:, 0] > 0
            level, true = ((wall * m).sum((2, 3))[there] / count[there] for m in (maps, truth))
            mean = level.mean(1, keepdim=True)
            off.append((mean - true).square()[:, 0])
            told.append((level - mean).square().mean(1))
        missing = float(torch.cat(off).mean() - torch.cat(told).mean())
        if not math.isfinite(missing):
            raise StudyError(
                "the maps of the validation slices are not finite; the training diverged, resume it from an "
                "earlier state with a lower --lr."
            )
        return math.sqrt(max(missing, 0.0))

    def figures(self, maps_ms: Tensor) -> dict[str, float]:
        """The two figures of maps (N, H, W)."""
        truth = self.inputs["t1_ms"][:, 0]
        wall = inner_wall(self.labels) & (truth > 0)
        error = (maps_ms - truth)[wall]
        weight = wall.float()[:, None]
        sums = [avg_pool2d(m[:, None] * weight, 8) for m in (maps_ms, truth)]
        count = avg_pool2d(weight, 8)
        full = count > 0.15
        a, b = (s[full] / count[full] for s in sums)
        r = torch.corrcoef(torch.stack([a, b]))[0, 1]
        return {"rmse_ms": float(error.square().mean().sqrt()), "block_r": float(r)}
