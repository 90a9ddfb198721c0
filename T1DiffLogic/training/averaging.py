"""The exponential moving average of the weights: what is validated and released."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from .learner import Learner


class Ema(Callback):
    """Average of `learner.network`, warmed up as (1 + n) / (10 + n) after n updates of a stage (Karras et al.
    2022).

    A new stage begins with the averaged weights, which it takes as they stand, and a new warm-up: what
    learns only in it would else keep, over a short stage, a share of the weights that it began with.

    Integers (a batch norm's count) are copied. A learner without `ema_decay` is averaged over nothing:
    its last weights are the ones.
    """

    def __init__(self, learner: Learner):
        self.decay = learner.ema_decay
        self.updates, self.stage = 0, ""
        self.shadow = None if self.decay is None else _frozen_copy(learner.network)

    def on_fit_start(self, trainer, learner: Learner) -> None:
        if self.shadow is not None:
            self.shadow.to(learner.device)

    def on_train_batch_end(self, trainer, learner: Learner, outputs, batch, index) -> None:
        if self.shadow is None:
            return
        if learner.progress.stage != self.stage:
            if self.stage:
                learner.network.load_state_dict(self.shadow.state_dict())
            self.updates, self.stage = 0, learner.progress.stage
        self.update(learner.network)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        averaged, present = self.shadow.state_dict(), network.state_dict()
        floating = [name for name, value in averaged.items() if value.is_floating_point()]
        torch._foreach_lerp_([averaged[n] for n in floating], [present[n] for n in floating], 1 - decay)
        for name in averaged.keys() - set(floating):
            averaged[name].copy_(present[name])

    @contextmanager
    def applied(self, learner: Learner) -> Iterator[None]:
        """The learner with the averaged weights, in evaluation mode."""
        network, training = learner.network, learner.training
        learner.network = network if self.shadow is None else self.shadow
        learner.eval()
        try:
            yield
        finally:
            learner.network = network
            learner.train(training)

    def state_dict(self) -> dict:
        shadow = self.shadow.state_dict() if self.shadow else None
        return {"updates": self.updates, "stage": self.stage, "shadow": shadow}

    def load_state_dict(self, state: dict) -> None:
        self.updates, self.stage = state["updates"], state.get("stage", "")
        if self.shadow is not None:
            self.shadow.load_state_dict(state["shadow"])


def _frozen_copy(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).eval().requires_grad_(False)
