"""pix2pix: paired translation by a conditional GAN and L1 (Isola et al. 2017, CVPR)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from .adversarial import AdversarialMethod, frames_of
from .objectives import l1
from .patch_discriminator import PatchDiscriminator
from .settings import read_settings
from .unet_generator import UNetGenerator


@dataclass(frozen=True)
class Pix2PixSettings:
    """width, depth, norm, dropout  of the U-Net, see UNetGenerator; norm also of the discriminator
    discriminator_width         of the PatchGAN
    lambda_l1                   weight of L1 beside the adversarial loss
    weighted_l1                 see AdversarialMethod
    """

    width: int
    depth: int
    norm: str
    dropout: bool
    discriminator_width: int
    lambda_l1: float
    weighted_l1: bool


class Pix2Pix(AdversarialMethod):
    """The U-Net draws the map from both frames; the PatchGAN sees frames and map. The discriminator
    learns first. Dropout stays on at test time and is the method's only noise: K samples are K draws."""

    name = "pix2pix"
    deterministic = False

    def __init__(self, architecture: dict):
        super().__init__(architecture)
        self.settings = s = read_settings(Pix2PixSettings, self.name, architecture)
        self.weighted_l1 = s.weighted_l1
        self.deterministic = not s.dropout
        self.network = UNetGenerator(2, 1, s.width, s.depth, s.norm, s.dropout)
        self.discriminator = PatchDiscriminator(3, s.discriminator_width, s.norm)

    def training_losses(self, inputs: dict) -> Iterator[tuple[str, Tensor]]:
        frames, real = frames_of(inputs), self.target(inputs)
        fake = self.network(frames)
        image_loss = self.settings.lambda_l1 * l1(fake, real, self.l1_weight(inputs))
        yield from self.paired_losses("bce", frames, fake, real, image_loss)
