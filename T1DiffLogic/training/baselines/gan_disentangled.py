"""Ablation "GAN w/ Dis C" of the paper's Table 2: T1Diff's conditions and nets, a GAN for the diffusion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...engine.precision import inference_precision
from ...engine.t1diff import T1Diff, T1DiffConfig
from ..method import denormalise
from .adversarial import AdversarialMethod, frames_of
from .objectives import l1
from .patch_discriminator import PatchDiscriminator
from .settings import read_settings


@dataclass(frozen=True)
class GANDisentangledSettings:
    """cine_phases … condition_scales  those of T1DiffConfig, see there
    discriminator_width             of the PatchGAN
    lambda_l1                       weight of L1 beside the adversarial loss
    weighted_l1                     see AdversarialMethod
    """

    cine_phases: int
    muscle_window: bool
    modality_widths: list
    modality_bottleneck: int
    morphology_widths: list
    estimator_widths: list
    condition_scales: list
    discriminator_width: int
    lambda_l1: float
    weighted_l1: bool


class OneStepGenerator(nn.Module):
    """E_m, the morphology encoder and ε_θ of a T1Diff; ε_θ gives the map at once from noise.

    It stands at the last timestep, where its input is noise alone: G(z, c_mod, c_mor) of a GAN. Same
    nets, same conditions, same number of parameters as T1Diff without a mean; another objective.
    """

    def __init__(self, config: T1DiffConfig):
        super().__init__()
        self.t1diff = T1Diff(config)

    def project(self, cine: Tensor, soft_ed: Tensor, soft_es: Tensor) -> dict[str, Tensor]:
        """The conditions of B slices, ready for `draw`; encoded once whatever the number of draws."""
        return self.t1diff.estimator.project(self.t1diff.encode(cine, soft_ed, soft_es))

    def draw(self, projected: dict[str, Tensor], noise: Tensor) -> Tensor:
        """(B, 1, H, W) maps in [−1, 1] from as many fields of noise."""
        last = torch.full((len(noise),), self.t1diff.config.timesteps - 1, device=noise.device)
        return self.t1diff.estimator(noise, last, projected).tanh()

    def forward(self, cine: Tensor, soft_ed: Tensor, soft_es: Tensor, noise: Tensor) -> Tensor:
        return self.draw(self.project(cine, soft_ed, soft_es), noise)


class GANDisentangled(AdversarialMethod):
    """Trained as pix2pix is: PatchGAN on frames and map, cross-entropy and L1, discriminator first.

    Its weights are averaged as T1Diff's are, so that nothing but the objective tells them apart.
    """

    name = "gan_disentangled"
    deterministic = False
    ema_decay = 0.999

    def __init__(self, architecture: dict):
        super().__init__(architecture)
        self.settings = s = read_settings(GANDisentangledSettings, self.name, architecture)
        self.weighted_l1 = s.weighted_l1
        if s.cine_phases > 1:  # E_m of the paper's arm sees ED alone, the discriminator ES as well
            self.cine_phases = s.cine_phases
        self.network = OneStepGenerator(
            T1DiffConfig(
                cine_phases=s.cine_phases,
                muscle_window=s.muscle_window,
                residual=False,
                modality_widths=s.modality_widths,
                modality_bottleneck=s.modality_bottleneck,
                morphology_widths=s.morphology_widths,
                estimator_widths=s.estimator_widths,
                condition_scales=s.condition_scales,
            )
        )
        self.discriminator = PatchDiscriminator(3, s.discriminator_width)

    def takes_phases(self, count: int) -> bool:
        return self.settings.cine_phases in (1, count)

    def conditions(self, inputs: dict) -> tuple[Tensor, Tensor, Tensor]:
        """What the encoders see: the frames that T1Diff's E_m sees, and both masks."""
        cine = inputs["cine"][:, :1] if self.settings.cine_phases == 1 else inputs["cine"]
        return cine, inputs["soft_ed"], inputs["soft_es"]

    def training_losses(self, inputs: dict) -> Iterator[tuple[str, Tensor]]:
        frames, real = frames_of(inputs), self.target(inputs)
        fake = self.network(*self.conditions(inputs), torch.randn_like(real))
        image_loss = self.settings.lambda_l1 * l1(fake, real, self.l1_weight(inputs))
        yield from self.paired_losses("bce", frames, fake, real, image_loss)

    @torch.no_grad()
    def predict_ms(self, inputs: dict, samples: int, seed: int, slices: Sequence[int]) -> Tensor:
        """(B, K, H, W) ms, each map from the noise that T1Diff's sampling would begin with."""
        device = inputs["cine"].device
        noise = self.network.t1diff.noise(seed, slices, samples).at().flatten(0, 1).to(device)
        with inference_precision(device):
            projected = self.network.project(*self.conditions(inputs))
            repeated = {name: value.repeat_interleave(samples, dim=0) for name, value in projected.items()}
            value = self.network.draw(repeated, noise)
        return denormalise(value[:, 0].float()).unflatten(0, (-1, samples))
