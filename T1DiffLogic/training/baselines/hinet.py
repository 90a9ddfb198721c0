"""Hi-Net: hybrid fusion of two modalities (Zhou et al. 2020, IEEE TMI 39:2772); here the ED and ES frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from .adversarial import AdversarialMethod, frames_of, frozen
from .hinet_networks import HiNetDiscriminator, HiNetGenerator
from .objectives import adversarial_loss, discriminator_loss, l1
from .settings import read_settings


@dataclass(frozen=True)
class HiNetSettings:
    """width                        of generator and discriminator
    lambda_l1                    weight of the map's L1 beside the adversarial loss
    lambda_reconstruction        weight of the L1 of each modality given back
    weighted_l1                  see AdversarialMethod; of the map alone
    """

    width: int
    lambda_l1: float
    lambda_reconstruction: float
    weighted_l1: bool


class HiNet(AdversarialMethod):
    """The generator learns first, from the map and from both frames given back; the discriminator sees
    maps alone. BatchNorm over the batch in training, its running statistics at test time."""

    name = "hinet"
    constant_share = 0.25

    def __init__(self, architecture: dict):
        super().__init__(architecture)
        self.settings = s = read_settings(HiNetSettings, self.name, architecture)
        self.weighted_l1 = s.weighted_l1
        self.network = HiNetGenerator(s.width)
        self.discriminator = HiNetDiscriminator(s.width)

    def training_losses(self, inputs: dict) -> Iterator[tuple[str, Tensor]]:
        s, frames, real = self.settings, frames_of(inputs), self.target(inputs)
        fake, again = self.network(frames)
        with frozen(self.discriminator):
            loss = adversarial_loss("lsgan", self.discriminator(fake), real=True)
        loss = loss + s.lambda_l1 * l1(fake, real, self.l1_weight(inputs))
        for modality in (0, 1):
            loss = loss + s.lambda_reconstruction * l1(again[:, modality], frames[:, modality])
        yield "network", loss
        scores = self.discriminator(real), self.discriminator(fake.detach())
        yield "discriminator", discriminator_loss("lsgan", *scores)

    def generate(self, frames: Tensor) -> Tensor:
        return self.network.synthesise(*self.network.encode(frames))
