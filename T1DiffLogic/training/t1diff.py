"""Training of T1Diff: the fast arm, a diffusion around a mean that is learned first, and the paper's arm."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from ..anatomy.normalisation import FEATURES, intensity_distance, intensity_features
from ..engine import checkpoint
from ..engine.precision import inference_precision
from ..engine.t1diff import T1Diff, T1DiffConfig
from .method import Method
from .validation import Validation

MEAN_SHARE = 0.7
"""Share of the budget in which a residual model learns its mean alone. Diffusion learns a mean far
slower than regression does, and only around a good mean is the residual what it has to learn."""

INTENSITY_BATCHES = 200
"""Batches of the training data that the model folder's intensity statistics are of."""


class MeanStep(nn.Module):
    """First stage of a residual model: E_m, the morphology encoder and the mean decoder.

    Its target is the map that the same anatomy would have in an average person, without noise: what
    this person's tissue times and the scan's noise add, no cine knows, and in a finite training it
    drowns what a cine does know. The diffusion learns that part, as the spread that it is.
    """

    def __init__(self, model: T1Diff):
        super().__init__()
        self.model = model

    def forward(self, cine, soft_ed, soft_es, target, weight):
        return self.model.mean_loss(self.model.encode(cine, soft_ed, soft_es), target, weight)


class DiffusionStep(nn.Module):
    """Conditions and Eq. 6; a residual model's conditions stand still meanwhile, the others learn."""

    def __init__(self, model: T1Diff):
        super().__init__()
        self.model = model

    def forward(self, cine, soft_ed, soft_es, target, weight):
        with torch.set_grad_enabled(self.model.mean is None):
            conditions = self.model.encode(cine, soft_ed, soft_es)
        draws = 1 if self.model.mean is None else 2
        return self.model.training_step_losses(conditions, target, weight, draws_per_slice=draws)[
            "diffusion_loss"
        ]


class T1DiffFast(Method):
    """The residual arm (Resources/Configs/fast.json): its mean, then the diffusion around it.

    sampler, sampler_steps   of `predict_ms`; None is the configuration's
    """

    name = "t1diff"
    stages = (("mean", MEAN_SHARE), ("diffusion", 1 - MEAN_SHARE))
    deterministic = False

    def __init__(self, architecture: dict):
        super().__init__(architecture)
        self.network = T1Diff(T1DiffConfig.from_dict(architecture))
        self.cine_phases = self.network.config.cine_phases
        self.sampler: str | None = None
        self.sampler_steps: int | None = None
        # in a dict, which hides them from nn.Module: their parameters are those of `network`
        self._steps = {"mean": MeanStep(self.network), "diffusion": DiffusionStep(self.network)}

    def training_losses(self, inputs: dict) -> Iterator[tuple[str, Tensor]]:
        stage = self.progress.stage
        target = inputs["expected_ms" if stage == "mean" else "t1_ms"]
        yield "network", self._steps[stage](
            self.frames(inputs), inputs["soft_ed"], inputs["soft_es"],
            self.network.normalise(target), self.pixel_weight(inputs),
        )  # fmt: skip

    def takes_phases(self, count: int) -> bool:
        return self.cine_phases == 1 or count == self.cine_phases

    def frames(self, inputs: dict) -> Tensor:
        """(B,P,H,W): the frames that E_m sees; P = 1 is the ED frame of however many there are."""
        return inputs["cine"][:, :1] if self.cine_phases == 1 else inputs["cine"]

    def pixel_weight(self, inputs: dict) -> Tensor:
        """(B,1,H,W) weight of each pixel in the losses."""
        return inputs["weight"]

    def compile_steps(self) -> None:
        for step in self._steps.values():
            step.compile()

    @torch.no_grad()
    def predict_ms(self, inputs: dict, samples: int, seed: int, slices: Sequence[int]) -> Tensor:
        network = self.network
        with inference_precision(inputs["cine"].device):
            conditions = network.encode(self.frames(inputs), inputs["soft_ed"], inputs["soft_es"])
            noise = network.noise(seed, slices, samples)
            return network.sample(conditions, noise, self.sampler, self.sampler_steps).float()

    @torch.no_grad()
    def validated_ms(self, inputs: dict, slices: Sequence[int]) -> dict[str, Tensor]:
        network = self.network
        with inference_precision(inputs["cine"].device):
            conditions = network.encode(self.frames(inputs), inputs["soft_ed"], inputs["soft_es"])
            mean = network.mean_ms(conditions).float()
        if self.progress.stage == "mean":
            return {"": mean, "mean": mean}
        sampled = self.predict_ms(inputs, 2, 0, slices).mean(1)
        return {"": sampled, "mean": mean, "sampled": sampled}

    def calibrate(self, validation: Validation) -> None:
        """What the samples lack of the spread of a slice's T1 as a whole becomes `level_sd_ms`."""
        network = self.network
        network.config = dataclasses.replace(network.config, level_sd_ms=0.0)
        missing = validation.missing_level_sd_ms(self)
        network.config = dataclasses.replace(network.config, level_sd_ms=round(missing, 1))

    def save(self, folder: Path, metadata: dict) -> None:
        checkpoint.save(self.network, folder, metadata | {"method": self.name})

    def describe(self, batches: Iterator[dict]) -> dict:
        seen = [
            intensity_features(self.frames(inputs), inputs["soft_ed"]).cpu()
            for inputs in islice(batches, INTENSITY_BATCHES)
        ]
        return {"intensity": intensity_statistics(torch.cat(seen))}


class T1DiffPaper(T1DiffFast):
    """The arm as published (Resources/Configs/paper.json): no mean, all parts learn together on Eq. 6."""

    name = "paper"
    stages = (("diffusion", 1.0),)

    def pixel_weight(self, inputs: dict) -> Tensor:
        return (inputs["weight"] > 0).float()  # Eq. 6 weighs every pixel alike

    def calibrate(self, validation: Validation) -> None:
        """Nothing: the published arm is what it draws."""

    @torch.no_grad()
    def validated_ms(self, inputs: dict, slices: Sequence[int]) -> dict[str, Tensor]:
        # a thousand steps of DDPM would take longer than the training between two validations
        kept = self.sampler, self.sampler_steps
        self.sampler, self.sampler_steps = "ddim", 20
        try:
            return {"": self.predict_ms(inputs, 1, 0, slices)[:, 0]}
        finally:
            self.sampler, self.sampler_steps = kept


def intensity_statistics(features: Tensor) -> dict:
    """What `LoadedModel.far_from_training` compares a study with, from features (N, len(FEATURES)).

    The limit is twice the distance that one training slice in a thousand exceeds: real images differ
    from digital hearts without being beyond judgement, and what is beyond lies much farther out.
    """
    seen = features[features.isfinite().all(1)]
    mean, sd = seen.mean(0), seen.std(0)
    limit = 2 * float(torch.quantile(intensity_distance(seen, mean, sd), 0.999))
    return {
        "features": list(FEATURES),
        "mean": [round(float(v), 6) for v in mean],
        "sd": [round(float(v), 6) for v in sd],
        "limit": round(limit, 3),
    }
