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

FACTORS = 0.1, 10.0
"""Bounds of `missing_spread`'s factors: beyond them a training has only just begun."""


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

    def missing_spread(self, method: Method, level: bool = True) -> tuple[float, float, float]:
        """(factor c of the spread, factor g of what is drawn, level L in ms) that give samples, and the SD
        map, the spread that the mean map's errors have.

        method  draws with factors of 1 and without a level; its `unit_ms` tells what z_0 is counted in
        level   False: there is none, L = 0

        Over the inner walls, E and S are the mean squared errors of the mean of a pair of samples, pixel by
        pixel and of a slice's level, which is the mean of its inner wall; D and D' are the variances
        within the pair of the same, U the mean square of the unit. The SD map is right with c² = E / U,
        what is drawn has its unit with g² = U / D, and of that the level's variance is left out. So
        (E − L²)·D'/D + L² = S. Factors stay within FACTORS; one that nothing tells is 1. StudyError when
        maps are not finite, or no slice has a wall.
        """
        sums = torch.zeros(2, 2, dtype=torch.float64)  # pixels, levels: errors, within pairs
        counts, unit = torch.zeros(2, 1, dtype=torch.float64), 0.0
        for start in range(0, len(self.labels), AT_ONCE):
            part = {k: v[start : start + AT_ONCE] for k, v in self.inputs.items()}
            maps = method.predict_ms(part, 2, 0, range(start, start + len(part["cine"]))).double()
            truth = part["t1_ms"].double()
            wall = inner_wall(self.labels[start : start + AT_ONCE])[:, None] & (truth > 0)
            there = wall.sum((2, 3))[:, 0] > 0
            wall, maps, truth = wall[there].double(), maps[there], truth[there]
            size = wall.sum((2, 3), keepdim=True)
            levels = [(wall * m).sum((2, 3), keepdim=True) / size for m in (maps, truth)]
            for row, weight, a, b in ((0, wall, maps, truth), (1, torch.ones_like(size), *levels)):
                mean = a.mean(1, keepdim=True)
                parts = (mean - b).square(), (a - mean).square().mean(1, keepdim=True)
                sums[row] += torch.stack([(weight * p).sum() for p in parts]).cpu()
                counts[row] += weight.sum().cpu()
            unit += float((wall[:, 0] * method.unit_ms(part)[there].double() ** 2).sum())
        if not counts.all():
            raise StudyError("no validation slice has LV myocardium in its T1 map; add patients that have.")
        if not sums.isfinite().all():
            raise StudyError(
                "the maps of the validation slices are not finite; the training diverged, resume it from an "
                "earlier state with a lower --lr."
            )
        (error, drawn), (off, told) = (sums / counts).tolist()
        known = told / drawn if drawn > 0 else 0.0  # of a pixel's variance, what all of a slice share
        missing = (off - known * error) / (1 - known) if level and known < 1 else 0.0
        unit /= float(counts[0])
        factors = error / unit, (unit / drawn if drawn > 0 else 1.0)
        spread, draw = (min(max(math.sqrt(f), FACTORS[0]), FACTORS[1]) for f in factors)
        return spread, draw, math.sqrt(min(max(missing, 0.0), error, off))

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
