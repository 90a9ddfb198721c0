"""CycleGAN: unpaired translation held together by going there and back (Zhu et al. 2017, ICCV)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .adversarial import BETAS, AdversarialMethod, frames_of, frozen
from .image_pool import ImagePool
from .objectives import adversarial_loss, discriminator_loss, l1
from .patch_discriminator import PatchDiscriminator
from .resnet_generator import ResNetGenerator
from .settings import read_settings


@dataclass(frozen=True)
class CycleGANSettings:
    """width, blocks         of both generators, see ResNetGenerator
    discriminator_width   of both PatchGANs
    lambda_cycle          weight of both cycle losses
    pool                  images of each kind that are remembered for the discriminators
    size                  pixels on a side, which the pools need to know
    """

    width: int
    blocks: int
    discriminator_width: int
    lambda_cycle: float
    pool: int
    size: int


class CycleGAN(AdversarialMethod):
    """`network` draws the map from both frames and `inverse` the frames from the map; the generators
    learn first. No loss compares a frame with its own map, so it matters not that a batch holds pairs.

    There is no identity loss: frames and map differ in channels, and the authors' code then asks for 0.
    """

    name = "cyclegan"

    def __init__(self, architecture: dict):
        super().__init__(architecture)
        self.settings = s = read_settings(CycleGANSettings, self.name, architecture)
        self.network = ResNetGenerator(2, 1, s.width, s.blocks)
        self.inverse = ResNetGenerator(1, 2, s.width, s.blocks)
        self.discriminator = nn.ModuleDict(
            {
                "map": PatchDiscriminator(1, s.discriminator_width, "instance"),
                "frames": PatchDiscriminator(2, s.discriminator_width, "instance"),
            }
        )
        self.pools = nn.ModuleDict(
            {
                "map": ImagePool(s.pool, (1, s.size, s.size)),
                "frames": ImagePool(s.pool, (2, s.size, s.size)),
            }
        )

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        generators = [*self.network.parameters(), *self.inverse.parameters()]
        return {
            "network": torch.optim.Adam(generators, self.peak_rate, BETAS),
            "discriminator": torch.optim.Adam(self.discriminator.parameters(), self.peak_rate, BETAS),
        }

    def compile_steps(self) -> None:
        for part in (self.network, self.inverse, *self.discriminator.values()):
            part.compile()

    def training_losses(self, inputs: dict) -> Iterator[tuple[str, Tensor]]:
        real = {"frames": frames_of(inputs), "map": self.target(inputs)}
        fake = {"map": self.network(real["frames"]), "frames": self.inverse(real["map"])}
        again = {"frames": self.inverse(fake["map"]), "map": self.network(fake["frames"])}
        with frozen(self.discriminator):
            adversarial = sum(
                adversarial_loss("lsgan", self.discriminator[kind](fake[kind]), real=True) for kind in real
            )
        yield "network", adversarial + self.settings.lambda_cycle * self.cycle_loss(again, real)

        losses = []
        for kind, judge in self.discriminator.items():
            shown = self.pools[kind].exchange(fake[kind])
            losses.append(discriminator_loss("lsgan", judge(real[kind]), judge(shown)))
        yield "discriminator", sum(losses)

    @staticmethod
    def cycle_loss(again: dict[str, Tensor], real: dict[str, Tensor]) -> Tensor:
        """0-dim: L1 of frames → map → frames and of map → frames → map."""
        return sum(l1(again[kind], real[kind]) for kind in real)
