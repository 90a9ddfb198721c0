"""What adversarial methods share: a generator and a discriminator that learn in turn, and their schedule."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ...engine.precision import inference_precision
from ..method import Method, denormalise, ed_and_es, normalise
from .layers import drawn_coins
from .objectives import adversarial_loss, discriminator_loss

BETAS = (0.5, 0.999)
"""Adam's, in all four articles."""


def frames_of(inputs: dict) -> Tensor:
    """(B, 2, H, W) ED and ES frames in [−1, 1]: myocardium near 0, blood near 1/3, twice its signal at 1.

    Generators end in tanh and two of the methods give frames back, hence the limit; what lies above it
    is fat and inflow beside a coil.
    """
    return (torch.cat(ed_and_es(inputs["cine"]), dim=1) / 3).clamp(-1, 1)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Within it the parameters of `module` ask for no gradient; gradients pass through it all the same."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)


class AdversarialMethod(Method):
    """A generator `network` from the ED and ES frames to the map, and a `discriminator`.

    No weighting of the myocardium, no averaging of weights, no clipping of gradients, as published. A
    subclass gives `training_losses`, and sets

    constant_share  share of the budget at the full learning rate, which then falls linearly to 0
    weighted_l1     True: the L1 loss of the map weighs pixels as T1Diff's losses do. Off as published; a
                    run with it tells whether T1Diff is ahead by its weighting alone.
    """

    ema_decay = None
    peak_rate = 2e-4
    clip_norm = math.inf
    constant_share = 0.5
    weighted_l1 = False
    discriminator: nn.Module

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        parts = {"network": self.network, "discriminator": self.discriminator}
        return {
            name: torch.optim.Adam(part.parameters(), self.peak_rate, BETAS) for name, part in parts.items()
        }

    def rate(self, share: float, updates: int) -> float:
        return min(1.0, (1 - share) / (1 - self.constant_share))

    def compile_steps(self) -> None:
        self.network.compile()
        self.discriminator.compile()

    @staticmethod
    def target(inputs: dict) -> Tensor:
        """(B, 1, H, W) the native map in [−1, 1]."""
        return normalise(inputs["t1_ms"])

    def l1_weight(self, inputs: dict) -> Tensor | None:
        return inputs["weight"] if self.weighted_l1 else None

    def paired_losses(
        self, kind: str, frames: Tensor, fake: Tensor, real: Tensor, image_loss: Tensor
    ) -> Iterator[tuple[str, Tensor]]:
        """The turn of a discriminator that sees frames and map together, then that of the generator.

        kind        of adversarial loss, see objectives
        fake, real  (B, 1, H, W) maps in [−1, 1]
        image_loss  0-dim: what the generator is asked beside misleading the discriminator
        """

        def judge(image: Tensor) -> Tensor:
            return self.discriminator(torch.cat([frames, image], dim=1))

        yield "discriminator", discriminator_loss(kind, judge(real), judge(fake.detach()))
        with frozen(self.discriminator):
            loss = adversarial_loss(kind, judge(fake), real=True)
        yield "network", loss + image_loss

    def generate(self, frames: Tensor) -> Tensor:
        """(B, 2, H, W) frames -> (B, 1, H, W) map in [−1, 1]."""
        return self.network(frames)

    @torch.no_grad()
    def predict_ms(self, inputs: dict, samples: int, seed: int, slices: Sequence[int]) -> Tensor:
        """(B, K, H, W) ms; K is 1 of a deterministic method, else each map has its own dropout coins."""
        count = 1 if self.deterministic else samples
        maps = [(index, sample) for index in slices for sample in range(count)]
        with inference_precision(inputs["cine"].device), drawn_coins(self.network, seed, maps):
            value = self.generate(frames_of(inputs).repeat_interleave(count, dim=0))
        return denormalise(value[:, 0].float()).unflatten(0, (-1, count))
