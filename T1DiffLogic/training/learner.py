"""What all networks in training have in common: updates of one or several optimisers, stage by stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from .budget import Progress, warm_up_and_cosine


class Learner(LightningModule):
    """A network in training. A subclass sets `self.network` in its __init__ and gives `training_losses`.

    network    the nn.Module that is averaged, validated, saved and used. What else learns (a
               discriminator) is an attribute beside it. State that outlives an update (an image pool)
               belongs in buffers, so that a resumed run continues to the same result.
    stages     (name, share of the budget) in order; `self.progress.stage` is the present one
    ema_decay  of the exponential moving average of `network`; None releases the last weights
    peak_rate  learning rate of `optimisers` before the schedule
    clip_norm  of the gradients of each optimiser; inf clips nothing
    partial    True: an update may leave parameters out (another stage's, the other half of a GAN's)

    All randomness of an update is torch's global generator, which is seeded anew for every update and
    process: dropout, noise and timesteps need no generator of their own.
    """

    name: str = ""
    stages: tuple[tuple[str, float], ...] = (("train", 1.0),)
    ema_decay: float | None = 0.999
    peak_rate: float = 6e-4
    clip_norm: float = 1.0
    partial: bool = True
    network: nn.Module

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False  # a GAN has two optimisers
        self.progress = Progress()
        self.losses: dict[str, Tensor] = {}

    # what a subclass gives

    def training_losses(self, inputs: dict) -> Iterator[tuple[str, Tensor]]:
        """Yields (name of an optimiser, its loss), in the order in which the optimisers step.

        Each is stepped before the next loss is asked for, so a generator's loss meets the discriminator
        that has just learned. Gradients that a loss leaves in parts of other optimisers are dropped.
        """
        raise NotImplementedError

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """By name. The learning rate given here is the peak; `rate` scales it."""
        return {"network": adamw(self.network, self.peak_rate)}

    def rate(self, share: float, updates: int) -> float:
        """Factor of the learning rate at a share 0…1 of the stage and after `updates` in it."""
        return warm_up_and_cosine(share, updates)

    def compile_steps(self) -> None:
        """Have torch.compile speed up the modules that `training_losses` calls, in place."""
        self.network.compile()

    def describe(self, batches: Iterator[dict]) -> dict:
        """What the model folder's metadata says of the data that was learned from, read from its batches."""
        return {}

    def calibrate(self, validation) -> None:
        """Set what is not learned by gradients but read off what the run validates with, when a run ends
        and the network is the averaged one."""

    def save(self, folder: Path, metadata: dict) -> None:
        """Write the network as a model folder."""
        raise NotImplementedError

    # Lightning

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        named = self.optimisers()
        self._names = list(named)
        for optimiser in named.values():
            for group in optimiser.param_groups:
                group["peak_rate"] = group["lr"]
        return list(named.values())

    def training_step(self, inputs: dict, index: int) -> None:
        progress = self.progress
        progress.enter(self.stages)
        rate = self.rate(progress.stage_share, progress.stage_updates)
        found = self.optimizers()  # Lightning gives one alone as itself
        optimisers = dict(zip(self._names, found if isinstance(found, list) else [found]))
        for name, loss in self.training_losses(inputs):
            self._update(optimisers[name], loss, rate)
            self.losses[name] = loss.detach()
        progress.updates += 1
        progress.stage_updates += 1

    def _update(self, optimiser, loss: Tensor, rate: float) -> None:
        """One step; a gradient that is not finite is skipped, never applied."""
        parameters = []
        for group in optimiser.param_groups:
            group["lr"] = group["peak_rate"] * rate
            parameters += group["params"]
        optimiser.zero_grad(set_to_none=True)
        self.manual_backward(loss)
        norm = nn.utils.clip_grad_norm_(parameters, self.clip_norm)
        if torch.isfinite(norm):
            optimiser.step()
        else:
            self.progress.skipped += 1

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["learner"] = self.name
        checkpoint["progress"] = dataclasses.asdict(self.progress)
        checkpoint["stages"] = [list(stage) for stage in self.stages]

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.progress = Progress(**checkpoint["progress"])
        if "stages" in checkpoint:  # a state from before they were kept has those of its class
            self.stages = tuple((name, share) for name, share in checkpoint["stages"])


def adamw(module: nn.Module, rate: float) -> torch.optim.AdamW:
    """AdamW as the released networks are trained with: weights decay, biases and norms do not."""
    decay = [p for p in module.parameters() if p.ndim > 1]
    plain = [p for p in module.parameters() if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": 1e-4}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.99))
