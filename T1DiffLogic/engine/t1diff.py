"""T1Diff assembled: E_m, the morphology encoder, the mean decoder and the noise estimator.

Tensors only. T1 maps are in ms outside and in [−1, 1] inside, by one fixed window for all images,
so that milliseconds survive.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..resources import resources_folder
from .conditions import (
    Conditions,
    MeanDecoder,
    MorphologyEncoder,
    SpreadDecoder,
    morphology,
    muscle_window,
)
from .diffusion import PREDICTIONS, SPACINGS, NoiseSchedule
from .modality_encoder import ModalityEncoder
from .noise import SampleNoise
from .noise_estimator import SCALES, NoiseEstimator
from .samplers import SAMPLERS
from .views import VIEWS, turned, turned_back

DRAWING = ("spacing", "spread_factor", "draw_factor", "level_sd_ms", "centred", "views")
"""How a model draws samples, which no option of a command changes."""

SAMPLING = ("sampler", "sampler_steps", "samples", *DRAWING)
"""What of a configuration can change without another training."""


@dataclass(frozen=True)
class T1DiffConfig:
    """Everything that makes one T1Diff; plain values, kept in JSON.

    size                 pixels on a side of the LV-centred crop
    cine_phases          P frames that E_m sees: 1 is the ED frame alone, more are resampled from ED
    muscle_window        E_m also sees every frame in a narrow window around the signal of the myocardium
    t1_low_ms, _high_ms  the one T1 window, mapped to [−1, 1]
    prediction           'epsilon', 'x0' or 'v'
    schedule, timesteps, zero_terminal_snr   see NoiseSchedule
    loss_weighting       'none' (Eq. 6) or 'min_snr' with min_snr_gamma
    residual             True: diffuse (T1 − mean) / residual_scale around a regressed mean map
    residual_scale       its unit, in normalised T1 (0.1 is 120 ms of a 2400 ms window)
    learned_spread       True: its unit is learned for every pixel instead, as the SD of T1 − mean; the
                         diffusion then has one size everywhere, and knows from its first step where doubt is
    clip_z0              |z_0| is limited to this in training and in sampling
    outside_weight       least weight of a pixel in the diffusion loss: where nothing is to be
                         learned (air) sampling must still end somewhere defined
    mean_l1              share of L1 in the mean loss, the rest is Huber
    mean_huber           its δ in units of residual_scale; a small one draws infarcts towards the rest
    mean_weight          weight of the mean loss beside the diffusion loss
    sampler, sampler_steps, samples, spacing   defaults of sampling
    spread_factor        what the spread is multiplied by after training: what one of few people
                         underestimates in people that it has not seen
    draw_factor          what z_0 is multiplied by in sampling to have the variance of 1 that it is counted in
    level_sd_ms          SD of what the samples are given beside the diffusion: one T1 more or less for all
                         the myocardium of a person, which no cine tells and no slice alone can draw
    centred              of a residual model: an antithetic pair of samples lies evenly around the mean map,
                         which knows the mean better than any number of samples
    views                in so many views (`engine.views`) a slice is seen in sampling for its mean map and
                         spread; what they agree on is less chance
    """

    size: int = 128
    cine_phases: int = 5
    muscle_window: bool = True
    t1_low_ms: float = 0.0
    t1_high_ms: float = 2400.0
    prediction: str = "v"
    schedule: str = "cosine"
    timesteps: int = 1000
    zero_terminal_snr: bool = True
    loss_weighting: str = "min_snr"
    min_snr_gamma: float = 5.0
    residual: bool = True
    residual_scale: float = 0.1
    learned_spread: bool = False
    clip_z0: float = 6.0
    outside_weight: float = 0.05
    mean_l1: float = 0.5
    mean_huber: float = 1.0
    mean_weight: float = 1.0
    modality_widths: tuple[int, int, int] = (48, 96, 192)
    modality_bottleneck: int = 256
    morphology_widths: tuple[int, int, int] = (32, 64, 128)
    estimator_widths: tuple[int, int, int] = (48, 96, 192)
    condition_scales: tuple[int, ...] = SCALES
    sampler: str = "dpm_solver_pp_2m"
    sampler_steps: int = 8
    samples: int = 8
    spacing: str = "trailing"
    spread_factor: float = 1.0
    draw_factor: float = 1.0
    level_sd_ms: float = 0.0
    centred: bool = True
    views: int = 1

    def __post_init__(self):
        for name in ("modality_widths", "morphology_widths", "estimator_widths", "condition_scales"):
            object.__setattr__(self, name, tuple(int(v) for v in getattr(self, name)))
        for name, allowed in (
            ("prediction", PREDICTIONS),
            ("loss_weighting", ("none", "min_snr")),
            ("sampler", tuple(SAMPLERS)),
            ("spacing", SPACINGS),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} '{getattr(self, name)}' is not one of {', '.join(allowed)}")
        if self.prediction == "epsilon" and self.zero_terminal_snr:
            raise ValueError("ε prediction says nothing about z_0 at a zero terminal SNR; predict x0 or v")
        if self.zero_terminal_snr and self.spacing == "leading":
            raise ValueError("a zero terminal SNR needs timesteps from the last one on: trailing or log_snr")
        if self.size % 16:
            raise ValueError(f"size {self.size} must be a multiple of 16")
        if not self.t1_low_ms < self.t1_high_ms:
            raise ValueError(f"T1 window {self.t1_low_ms}–{self.t1_high_ms} ms is empty")
        if not 0 <= self.level_sd_ms <= self.t1_high_ms - self.t1_low_ms:
            raise ValueError(f"level_sd_ms {self.level_sd_ms} is no SD within the T1 window")
        for name in ("spread_factor", "draw_factor"):
            if not 0 < getattr(self, name) <= 10:
                raise ValueError(f"{name} {getattr(self, name)} is not above 0 and at most 10")
        if self.views not in range(1, VIEWS + 1) or not isinstance(self.views, int):
            raise ValueError(f"{self.views} views are not 1 to {VIEWS}")
        if self.learned_spread and not self.residual:
            raise ValueError("a spread is learned around a mean map: learned_spread needs residual")

    @property
    def sampling(self) -> dict:
        """The values of SAMPLING: with the weights, what a map is decided by."""
        return {name: getattr(self, name) for name in SAMPLING}

    def to_dict(self) -> dict:
        """Plain JSON values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict) -> T1DiffConfig:
        """Inverse of `to_dict`; ValueError on an unknown name or value."""
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"unknown T1Diff setting {', '.join(sorted(unknown))}")
        return cls(**values)

    @classmethod
    def preset(cls, name: str, size: str = "full") -> T1DiffConfig:
        """'fast' or 'paper' in one of the sizes of Resources/Configs/<name>.json."""
        path = resources_folder() / "Configs" / f"{name}.json"
        if not path.is_file():
            raise ValueError(f"no preset '{name}'; use fast or paper")
        return cls.from_dict(json.loads(path.read_text(encoding="utf-8"))[size])


class T1Diff(nn.Module):
    """Cine frames and soft masks of a slice -> samples of its native T1 map.

    Runs under autocast(bfloat16) with channels-last memory; the diffusion itself stays float32.
    """

    def __init__(self, config: T1DiffConfig | None = None):
        super().__init__()
        self.config = config = config or T1DiffConfig()
        self.schedule = NoiseSchedule(config.schedule, config.timesteps, config.zero_terminal_snr)
        decode_finest = config.residual or SCALES[0] in config.condition_scales
        self.modality = ModalityEncoder(
            config.cine_phases * (2 if config.muscle_window else 1),
            config.modality_widths,
            config.modality_bottleneck,
            decode_finest,
        )
        self.morphology = MorphologyEncoder(config.morphology_widths)
        self.mean = MeanDecoder(config.modality_widths, config.morphology_widths) if config.residual else None
        learned = config.learned_spread
        self.spread = SpreadDecoder(config.modality_widths[0], config.residual_scale) if learned else None
        self.estimator = NoiseEstimator(
            config.estimator_widths,
            config.modality_widths,
            config.morphology_widths,
            config.condition_scales,
            maps=config.residual + config.learned_spread,
        )
        weight = torch.ones(config.timesteps, dtype=torch.float64)
        if config.loss_weighting == "min_snr":
            weight = self.schedule.min_snr_weight(config.prediction, config.min_snr_gamma)
        self.register_buffer("timestep_weight", weight.float(), persistent=False)

    # T1 window

    def normalise(self, t1_ms: Tensor) -> Tensor:
        """ms -> [−1, 1] over the fixed window, clipped to it."""
        low, high = self.config.t1_low_ms, self.config.t1_high_ms
        return (t1_ms.clamp(low, high) - low) * (2 / (high - low)) - 1

    def denormalise(self, value: Tensor) -> Tensor:
        """[−1, 1] -> ms, clipped to the fixed window."""
        low, high = self.config.t1_low_ms, self.config.t1_high_ms
        return (value.clamp(-1, 1) + 1) * ((high - low) / 2) + low

    # conditions

    def encode(self, cine: Tensor, soft_ed: Tensor, soft_es: Tensor, views: int = 1) -> Conditions:
        """Once per slice: cine (B,P,H,W), normalised by the caller, and class probabilities
        (B,4,H,W) at ED and ES -> Conditions, with the mean map in the residual arm.

        views  in how many ways (`engine.views`) the slices are seen for mean map and spread, which are then
               the mean of all; sampling wants the configuration's
        """
        first = self._encode(cine, soft_ed, soft_es)
        if views == 1 or first.mean is None:
            return first
        seen = [first]
        for view in range(1, views):
            other = self._encode(*(turned(x, view) for x in (cine, soft_ed, soft_es)))
            maps = (m if m is None else turned_back(m, view) for m in (other.mean, other.spread))
            seen.append(Conditions((), (), *maps))
        mean = torch.stack([v.mean for v in seen]).mean(0)
        if first.spread is None:
            return dataclasses.replace(first, mean=mean)
        spread = torch.stack([v.spread**2 for v in seen]).mean(0).sqrt()
        return dataclasses.replace(first, mean=mean, spread=spread)

    def _encode(self, cine: Tensor, soft_ed: Tensor, soft_es: Tensor) -> Conditions:
        """Conditions of one view."""
        expected = (self.config.cine_phases, self.config.size, self.config.size)
        if cine.shape[1:] != expected:
            raise ValueError(f"cine must be (B, {', '.join(map(str, expected))}), got {tuple(cine.shape)}")
        # blood is near 1 and myocardium near one half: centred there
        frames = 2 * (cine - 0.5)
        if self.config.muscle_window:
            frames = torch.cat([frames, muscle_window(cine, soft_ed)], dim=1)
        c_mod = self.modality(frames)
        c_mor = self.morphology(morphology(soft_ed, soft_es))
        return self.combine(c_mod, c_mor, soft_ed[:, 2:3].float())

    def combine(
        self, c_mod: tuple[Tensor, ...], c_mor: tuple[Tensor, ...], wall: Tensor | None
    ) -> Conditions:
        """The Conditions that c_mod and c_mor make, which may be of different hearts."""
        if self.mean is None:
            return Conditions(c_mod, c_mor, wall=wall)
        return Conditions(c_mod, c_mor, *self._maps(self.mean.features(c_mod, c_mor)), wall)

    def _maps(self, fine: Tensor) -> tuple[Tensor, Tensor | None]:
        """Mean map and spread of the mean's finest features; the spread is only read off them."""
        return self.mean.head(fine), None if self.spread is None else self.spread(fine.detach())

    def mean_ms(self, conditions: Conditions) -> Tensor:
        """(B,H,W) ms: the regressed mean; ValueError in an arm without one."""
        if conditions.mean is None:
            raise ValueError("this model has no mean map (residual = false); sample it instead")
        return self.denormalise(conditions.mean[:, 0])

    # training

    def training_step_losses(
        self,
        conditions: Conditions,
        target: Tensor,
        weight: Tensor,
        generator: torch.Generator | None = None,
        draws_per_slice: int = 1,
    ) -> dict[str, Tensor]:
        """Losses of one step: {'loss', 'diffusion_loss', 'diffusion', 'mean'}
        (0-dim float32, the last two detached; 'diffusion_loss' is the diffusion's share of 'loss', and 'mean'
        the mean map's with its spread's).

        target            (B,1,H,W) normalised T1
        weight            (B,1,H,W) ≥ 0, per pixel; 0 where the map says nothing (air)
        generator         source of t and ε; its device may differ from the model's
        draws_per_slice   (t, ε) draws for every encoded slice; only the noise estimator repeats

        Eq. 6 with a per-pixel weight and, if configured, min-SNR-γ; timesteps are stratified over
        the batch, which leaves their distribution uniform and lowers the variance.
        """
        config = self.config
        if self.mean is not None:
            mean_loss = self.mean_loss(conditions, target, weight)
            mean_loss = mean_loss + self.spread_loss(conditions, target, weight)
            # where the target says nothing, the diffusion adds nothing to the mean
            error = ((target - conditions.mean) / self._unit(conditions)).detach()
            z_0 = torch.where(weight > 0, error, torch.zeros_like(error))
        else:
            mean_loss = torch.zeros((), device=target.device)
            z_0 = target
        z_0 = z_0.clamp(-config.clip_z0, config.clip_z0)

        n = z_0.shape[0] * draws_per_slice
        source = {"generator": generator, "device": generator.device if generator is not None else z_0.device}
        strata = (torch.randperm(n, **source) + torch.rand(n, **source)) / n
        t = (strata * config.timesteps).long().clamp_max(config.timesteps - 1).to(z_0.device)
        noise = torch.randn((n, *z_0.shape[1:]), **source).to(z_0.device)

        z_0 = z_0.repeat_interleave(draws_per_slice, dim=0)
        projected = self._repeat(self.estimator.project(conditions), draws_per_slice)
        output = self.estimator(self.schedule.add_noise(z_0, noise, t), t, projected)
        wanted = self.schedule.training_target(config.prediction, z_0, noise, t)
        pixel = weight.clamp_min(config.outside_weight).repeat_interleave(draws_per_slice, dim=0)
        squared = (pixel * (output - wanted) ** 2).sum(dim=(1, 2, 3)) / pixel.sum(dim=(1, 2, 3))
        diffusion = (self.timestep_weight[t] * squared).mean()
        return {
            "loss": diffusion + config.mean_weight * mean_loss,
            "diffusion_loss": diffusion,
            "diffusion": diffusion.detach(),
            "mean": mean_loss.detach(),
        }

    def mean_loss(self, conditions: Conditions, target: Tensor, weight: Tensor) -> Tensor:
        """0-dim float32: weighted L1 and Huber loss of the mean map, in units of `residual_scale`."""
        config = self.config
        error = (target - conditions.mean) / config.residual_scale
        per_pixel = config.mean_l1 * error.abs() + (1 - config.mean_l1) * F.huber_loss(
            error, torch.zeros_like(error), reduction="none", delta=config.mean_huber
        )
        return (weight * per_pixel).sum() / weight.sum().clamp_min(1e-6)

    def spread_loss(self, conditions: Conditions, target: Tensor, weight: Tensor) -> Tensor:
        """0-dim float32: weighted negative log likelihood of T1 − mean as normal with the learned SD (Nix and
        Weigend 1994), without its constant; 0 where none is learned. The mean learns nothing from it."""
        if conditions.spread is None:
            return torch.zeros((), device=target.device)
        squared = ((target - conditions.mean.detach()) / conditions.spread) ** 2
        per_pixel = 0.5 * squared + conditions.spread.log()
        return (weight * per_pixel).sum() / weight.sum().clamp_min(1e-6)

    def _unit(self, conditions: Conditions) -> Tensor:
        """(B,1,H,W): what z_0 is counted in, in normalised T1; of a residual model."""
        if conditions.spread is None:
            return torch.full_like(conditions.mean, self.config.residual_scale)
        return conditions.spread

    # sampling

    @staticmethod
    def _repeat(projected: dict[str, Tensor], times: int) -> dict[str, Tensor]:
        if times == 1:
            return projected
        return {name: value.repeat_interleave(times, dim=0) for name, value in projected.items()}

    @torch.no_grad()
    def sample(
        self,
        conditions: Conditions,
        noise: SampleNoise,
        sampler: str | None = None,
        steps: int | None = None,
        callback: Callable[[int, int], None] | None = None,
    ) -> Tensor:
        """K samples of every slice: (B,K,H,W) ms, clipped to the T1 window.

        noise        of the slices that `conditions` are of, see `noise`; a last sample without its partner
                     is not centred and has no level
        sampler      'ddpm', 'ddim' or 'dpm_solver_pp_2m'; None is the configuration's
        steps        evaluations of the noise estimator; None is the configuration's
        callback     called with (step, total) after each; what it raises passes through
        """
        config = self.config
        sampler = sampler or config.sampler
        steps = steps or config.sampler_steps
        if sampler not in SAMPLERS:
            raise ValueError(f"sampler '{sampler}' is not one of {', '.join(SAMPLERS)}")
        if (len(noise.slices), noise.size) != (conditions.batch, config.size):
            raise ValueError(
                f"noise must be of {conditions.batch} slices of {config.size} pixels, "
                f"got {len(noise.slices)} of {noise.size}"
            )
        device, samples = conditions.c_mod[0].device, noise.samples
        projected = self._repeat(self.estimator.project(conditions), samples)
        levels = config.level_sd_ms / self._ms * noise.levels().to(device)[:, None, None]

        def drawn(step: int) -> Tensor:
            return noise.at(step).flatten(0, 1).to(device)

        def predict(z: Tensor, t: int) -> tuple[Tensor, Tensor]:
            index = torch.full((z.shape[0],), t, device=device)
            output = self.estimator(z, index, projected)
            x0, _ = self.schedule.x0_and_epsilon(config.prediction, output, z, index)
            x0 = x0.clamp(-config.clip_z0, config.clip_z0)
            alpha, sigma = self.schedule.coefficients(index, z)
            return x0, (z - alpha * x0) / sigma

        z_0 = SAMPLERS[sampler](
            predict, drawn(0), self.schedule, steps, noise=drawn, callback=callback, spacing=config.spacing
        ).unflatten(0, (-1, samples))[:, :, 0]
        if conditions.mean is None:
            return self.denormalise(z_0)
        if config.centred:
            paired = z_0[:, : samples // 2 * 2].unflatten(1, (-1, 2))
            paired -= paired.mean(2, keepdim=True)
        maps = conditions.mean + self._drawn_sd(conditions, levels != 0) * z_0
        if conditions.wall is not None:
            # a pixel beyond the window stays there, whatever the person's level
            maps = maps.clamp(-1, 1) + levels * conditions.wall
        return self.denormalise(maps)

    @property
    def _ms(self) -> float:
        """ms in one unit of normalised T1."""
        return (self.config.t1_high_ms - self.config.t1_low_ms) / 2

    def _variances(self, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """(B,1,H,W) each, normalised: of T1 around the mean map, and what of it the person's level adds."""
        whole = (self.config.spread_factor * self._unit(conditions)) ** 2
        if conditions.wall is None:
            return whole, torch.zeros_like(whole)
        return whole, (self.config.level_sd_ms / self._ms * conditions.wall) ** 2

    def _drawn_sd(self, conditions: Conditions, with_level: Tensor) -> Tensor:
        """(B,K,H,W), normalised: what z_0 is multiplied by in each sample, the SD that is left to the
        diffusion, a tenth of the variance at least where there is a level."""
        whole, level = self._variances(conditions)
        rest = torch.where(with_level, torch.maximum(whole - level, 0.1 * whole), whole)
        return self.config.draw_factor * rest.sqrt()

    def unit_ms(self, conditions: Conditions) -> Tensor:
        """(B,H,W) ms, of a residual model: what z_0 is counted in."""
        return self._unit(conditions)[:, 0] * self._ms

    def sd_ms(self, conditions: Conditions) -> Tensor | None:
        """(B,H,W) ms: the SD of T1 around the mean map that the model has learned, and that endless samples
        should have; None where no spread is learned and only samples tell."""
        if conditions.spread is None:
            return None
        whole, level = self._variances(conditions)
        return torch.maximum(whole, 0.1 * whole + level)[:, 0].sqrt() * self._ms

    def noise(self, seed: int, slices: Sequence[int], samples: int) -> SampleNoise:
        """What `sample` begins from, for K `samples` of the slices of these numbers."""
        return SampleNoise(seed, slices, samples, self.config.size)
