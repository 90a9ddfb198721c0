"""pGAN: the paired method of Dar et al. 2019 (IEEE TMI 38:2375), the cGAN of the paper's Table 1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .adversarial import AdversarialMethod, frames_of
from .objectives import l1
from .patch_discriminator import PatchDiscriminator
from .random_features import RandomFeatures
from .resnet_generator import ResNetGenerator
from .settings import read_settings


@dataclass(frozen=True)
class PGANSettings:
    """width, blocks, dropout      of the generator, see ResNetGenerator
    discriminator_width         of the PatchGAN
    feature_width               of the perceptual loss's net, see RandomFeatures
    feature_scale               its features are multiplied by this, so that the perceptual term stands to
                                the pixel term as in the authors' training log (docs/baselines.md)
    lambda_l1, lambda_features  weights beside the adversarial loss
    weighted_l1                 see AdversarialMethod
    """

    width: int
    blocks: int
    dropout: bool
    discriminator_width: int
    feature_width: int
    feature_scale: float
    lambda_l1: float
    lambda_features: float
    weighted_l1: bool


class PGAN(AdversarialMethod):
    """The residual generator draws the map from both frames; the PatchGAN sees frames and map. The
    discriminator learns first. Dropout stays on at test time, as in pix2pix: K samples are K draws."""

    name = "pgan"
    deterministic = False

    def __init__(self, architecture: dict):
        super().__init__(architecture)
        self.settings = s = read_settings(PGANSettings, self.name, architecture)
        self.weighted_l1 = s.weighted_l1
        self.deterministic = not s.dropout
        self.network = ResNetGenerator(2, 1, s.width, s.blocks, "instance", s.dropout)
        self.discriminator = PatchDiscriminator(3, s.discriminator_width, "instance")
        self.features = RandomFeatures(s.feature_width)

    def training_losses(self, inputs: dict) -> Iterator[tuple[str, Tensor]]:
        frames, real = frames_of(inputs), self.target(inputs)
        fake = self.network(frames)
        pixels = l1(fake, real, self.l1_weight(inputs))
        features = self.perceptual_loss(fake, real)
        image_loss = self.settings.lambda_l1 * pixels + self.settings.lambda_features * features
        yield from self.paired_losses("lsgan", frames, fake, real, image_loss)

    def perceptual_loss(self, fake: Tensor, real: Tensor) -> Tensor:
        """0-dim: L1 between the features of both maps."""
        with torch.no_grad():
            wanted = self.features(real)
        return self.settings.feature_scale * l1(self.features(fake), wanted.float())
