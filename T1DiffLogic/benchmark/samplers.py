"""Who draws maps in the benchmark: T1Diff as the product does, and MONAI's DiffusionModelUNet."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..engine.precision import inference_precision
from ..engine.t1diff import T1Diff
from ..progress import silent, within
from ..sampling import MAPS_AT_ONCE, EngineInputs, draw_samples
from ..training.learner import Learner

DDIM, DDPM = ("ddim", 50), ("ddpm", 1000)
NAMES = {"ddim": "DDIM", "ddpm": "DDPM", "dpm_solver_pp_2m": "DPM-Solver++(2M)"}
TIMESTEPS = 1000
MONAI = "MONAI DiffusionModelUNet"

MONAI_WIDTHS, MONAI_GROUPS, MONAI_HEAD = (64, 128, 192), 16, 32
"""MONAI's network with attention at its coarsest level, about as many parameters as T1Diff's full size."""

Draw = Callable[[EngineInputs, int, int, int | None], object]


@dataclass(frozen=True)
class Contestant:
    """A network with a sampler.

    draw  (inputs of S slices, samples, evaluations, maps in one batch or None for the device's usual)
          -> the maps; fewer `evaluations` than `self.evaluations` are a part of the pass, for timing
    """

    name: str
    sampler: str
    evaluations: int
    parameters: int
    draw: Draw


def parameters_of(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def t1diff_contestant(network: T1Diff, sampler: str | None = None, steps: int | None = None) -> Contestant:
    """T1Diff with the sampler of its configuration, or with another one, through `sampling.draw_samples`."""
    network = copy.copy(network)
    network.config = dataclasses.replace(
        network.config,
        sampler=sampler or network.config.sampler,
        sampler_steps=steps or network.config.sampler_steps,
    )

    def draw(inputs: EngineInputs, samples: int, evaluations: int, at_once: int | None = None) -> np.ndarray:
        slices = np.arange(len(inputs.cine))
        reached = within(silent, "benchmark")
        return draw_samples(network, inputs, slices, samples, 0, evaluations, reached, at_once)[0]

    config = network.config
    return Contestant("T1Diff", config.sampler, config.sampler_steps, parameters_of(network), draw)


def monai_missing() -> str | None:
    """Why MONAI's network cannot be measured; None where it can."""
    for package in ("monai", "einops"):
        if importlib.util.find_spec(package) is None:
            return f"not measured: the package '{package}' is missing; pip install t1diff[bench]"
    return None


def monai_network(cine_phases: int) -> nn.Module:
    """DiffusionModelUNet of a map and, as further channels, the cine frames and six masks at ED and ES."""
    from monai.networks.nets import DiffusionModelUNet

    return DiffusionModelUNet(
        spatial_dims=2,
        in_channels=1 + cine_phases + 6,
        out_channels=1,
        channels=MONAI_WIDTHS,
        attention_levels=(False, False, True),
        num_res_blocks=1,
        num_head_channels=MONAI_HEAD,
        norm_num_groups=MONAI_GROUPS,
    )


def monai_conditions(cine: Tensor, soft_ed: Tensor, soft_es: Tensor) -> Tensor:
    """(B, P + 6, H, W): what T1Diff is conditioned on, as channels."""
    return torch.cat([2 * (cine - 0.5), soft_ed[:, 1:], soft_es[:, 1:]], dim=1)


def monai_contestant(network: nn.Module, sampler: str, steps: int) -> Contestant:
    """MONAI's network with MONAI's own scheduler, its conditions concatenated at every evaluation."""
    from monai.networks.schedulers import DDIMScheduler, DDPMScheduler

    scheduler = {"ddim": DDIMScheduler, "ddpm": DDPMScheduler}[sampler](num_train_timesteps=TIMESTEPS)
    scheduler.set_timesteps(steps)
    device = next(network.parameters()).device

    @torch.inference_mode()
    def draw(inputs: EngineInputs, samples: int, evaluations: int, at_once: int | None = None) -> Tensor:
        per_batch = max(1, (at_once or MAPS_AT_ONCE[device.type]) // samples)
        drawn = []
        for start in range(0, len(inputs.cine), per_batch):
            own = slice(start, start + per_batch)
            with inference_precision(device):
                seen = monai_conditions(
                    *(t[own].to(device) for t in (inputs.cine, inputs.soft_ed, inputs.soft_es))
                ).repeat_interleave(samples, dim=0)
                maps = torch.randn(len(seen), 1, *seen.shape[-2:]).to(device)
                for t in scheduler.timesteps[:evaluations]:
                    when = torch.full((len(seen),), int(t), device=device)
                    output = network(torch.cat([maps, seen], dim=1), when)
                    maps, _ = scheduler.step(output.float(), int(t), maps)
            drawn.append(maps.float().cpu())
        return torch.cat(drawn)

    return Contestant(MONAI, sampler, steps, parameters_of(network), draw)


class MonaiLearner(Learner):
    """The usual DDPM training of MONAI's network: the noise at a random timestep, mean squared error."""

    name = "monai"
    partial = False

    def __init__(self, cine_phases: int):
        super().__init__()
        from monai.networks.schedulers import DDPMScheduler

        self.network = monai_network(cine_phases)
        self._scheduler = DDPMScheduler(num_train_timesteps=TIMESTEPS)

    def training_losses(self, inputs: dict) -> Iterator[tuple[str, Tensor]]:
        target = inputs["t1_ms"] / 1200 - 1
        noise = torch.randn_like(target)
        t = torch.randint(0, TIMESTEPS, (len(target),), device=target.device)
        seen = monai_conditions(inputs["cine"], inputs["soft_ed"], inputs["soft_es"])
        found = self.network(torch.cat([self._scheduler.add_noise(target, noise, t), seen], dim=1), t)
        yield "network", nn.functional.mse_loss(found.float(), noise)
