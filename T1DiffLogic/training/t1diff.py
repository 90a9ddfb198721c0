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
from ..engine.conditions import Conditions
from ..engine.precision import inference_precision
from ..engine.t1diff import T1Diff, T1DiffConfig
from .budget import warm_up_and_cosine
from .method import Method
from .validation import Validation

MEAN_SHARE = 0.5
"""Share of the budget in which a residual model learns its mean alone, before the diffusion joins. Diffusion
learns a mean far slower than regression does, and only around a good mean is the residual what it has to
learn."""

INTENSITY_BATCHES = 200
"""Batches of the training data that the model folder's intensity statistics are of."""


class Step(nn.Module):
    """The loss of one update in a stage of T1Diff's training; what is compiled.

    mean       E_m, the morphology encoder and the mean decoder learn the mean map. Its target is the map
               that the same anatomy would have in an average person, without noise: what this person's tissue
               times and the scan's noise add, no cine knows, and in a finite training it drowns what a cine
               does know.
    diffusion  Eq. 6, which learns that part as the spread that it is. A residual model's conditions are its
               mean's, and Eq. 6 does not move them; in a model without a mean they learn from Eq. 6.

    How wide the spread is in each pixel is learned, where it is, in every stage: it says what the diffusion
    has to fill, and wants to be known when that begins.
    """

    def __init__(self, model: T1Diff, mean: bool, diffusion: bool):
        super().__init__()
        self.model, self.mean, self.diffusion = model, mean, diffusion

    def forward(self, cine, soft_ed, soft_es, scan, expected, weight) -> Tensor:
        model = self.model
        conditions = model.encode(cine, soft_ed, soft_es)
        if model.mean is None:
            return model.training_step_losses(conditions, scan, weight)["diffusion_loss"]
        loss = model.spread_loss(conditions, scan, weight)
        if self.mean:
            loss = loss + model.mean_loss(conditions, expected, weight)
        if self.diffusion:
            drawn = model.training_step_losses(conditions.detach(), scan, weight, draws_per_slice=2)
            loss = loss + drawn["diffusion_loss"]
        return loss


def steps_of(model: T1Diff) -> dict[str, Step]:
    """The stages by name; a run goes through some of them."""
    return {
        "mean": Step(model, mean=True, diffusion=False),
        "both": Step(model, mean=True, diffusion=True),
        "diffusion": Step(model, mean=False, diffusion=True),
    }


class T1DiffFast(Method):
    """The residual arm (Resources/Configs/fast.json): its mean, then both, the diffusion around it.

    sampler, sampler_steps   of `predict_ms`; None is the configuration's
    knows_wall               whether there are contours within which a person's level can be drawn
    """

    name = "t1diff"
    knows_wall = True
    stages = (("mean", MEAN_SHARE), ("both", 1 - MEAN_SHARE))
    deterministic = False

    def __init__(self, architecture: dict):
        super().__init__(architecture)
        self.network = T1Diff(T1DiffConfig.from_dict(architecture))
        self.cine_phases = self.network.config.cine_phases
        self.sampler: str | None = None
        self.sampler_steps: int | None = None
        # in a dict, which hides them from nn.Module: their parameters are those of `network`
        self._steps = steps_of(self.network)

    def training_losses(self, inputs: dict) -> Iterator[tuple[str, Tensor]]:
        scan, expected = (self.network.normalise(inputs[name]) for name in ("t1_ms", "expected_ms"))
        yield (
            "network",
            self._steps[self.progress.stage](
                self.frames(inputs),
                inputs["soft_ed"],
                inputs["soft_es"],
                scan,
                expected,
                self.pixel_weight(inputs),
            ),
        )

    def rate(self, share: float, updates: int) -> float:
        # one fall of the rate over both stages: the mean goes on in the second
        return warm_up_and_cosine(self.progress.share, self.progress.updates)

    def keep_mean_of(self, trained: T1Diff) -> None:
        """Take over the conditions and the mean map of another, and learn the diffusion alone."""
        for name in ("modality", "morphology", "mean"):
            getattr(self.network, name).load_state_dict(getattr(trained, name).state_dict())
        self.stages = (("diffusion", 1.0),)

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

    def _seen(self, inputs: dict) -> Conditions:
        """The slices of `inputs` in as many views as are sampled in."""
        network = self.network
        return network.encode(self.frames(inputs), inputs["soft_ed"], inputs["soft_es"], network.config.views)

    @torch.no_grad()
    def predict_ms(self, inputs: dict, samples: int, seed: int, slices: Sequence[int]) -> Tensor:
        network = self.network
        with inference_precision(inputs["cine"].device):
            conditions = self._seen(inputs)
            noise = network.noise(seed, slices, samples)
            return network.sample(conditions, noise, self.sampler, self.sampler_steps).float()

    @torch.no_grad()
    def sd_ms(self, inputs: dict) -> Tensor | None:
        with inference_precision(inputs["cine"].device):
            return self.network.sd_ms(self._seen(inputs))

    @torch.no_grad()
    def unit_ms(self, inputs: dict) -> Tensor:
        """(B,H,W) ms: what z_0 is counted in."""
        with inference_precision(inputs["cine"].device):
            return self.network.unit_ms(self._seen(inputs))

    @torch.no_grad()
    def validated_ms(self, inputs: dict, slices: Sequence[int]) -> dict[str, Tensor]:
        network = self.network
        with inference_precision(inputs["cine"].device):
            mean = network.mean_ms(self._seen(inputs)).float()
        if network.config.centred or self.progress.stage == "mean":
            return {"": mean, "mean": mean}  # to which centred samples average
        sampled = self.predict_ms(inputs, 2, 0, slices).mean(1)
        return {"": sampled, "mean": mean, "sampled": sampled}

    def calibrate(self, validation: Validation) -> None:
        """What samples lack of the validation slices' spread becomes `spread_factor`, `draw_factor` and
        `level_sd_ms`."""
        network = self.network
        network.config = dataclasses.replace(
            network.config, spread_factor=1.0, draw_factor=1.0, level_sd_ms=0.0
        )
        spread, draw, level = validation.missing_spread(self, self.knows_wall)
        network.config = dataclasses.replace(
            network.config,
            spread_factor=round(spread, 3),
            draw_factor=round(draw, 3),
            level_sd_ms=round(level, 1),
        )

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
