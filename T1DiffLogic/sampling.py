"""Between the study and the engine: crops in, K samples out, back onto the cine's pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from .anatomy.normalisation import normalise_cine
from .anatomy.phase_sampling import engine_phases
from .anatomy.roi import Roi
from .engine.precision import inference_precision
from .study import LV_MYOCARDIUM, CardiacPhases, Cine, LVSegmentation

MAPS_AT_ONCE = {"cpu": 8, "cuda": 256}
"""Slices × samples in one batch: what fits a CPU's cache (measured faster than 32), what fills a GPU."""

VALUED = 0.999
"""A cine pixel has a value when all that it was interpolated from lies inside the region of interest."""


@dataclass(frozen=True, eq=False)
class EngineInputs:
    """What the engine sees of S slices, on the region of interest.

    cine              (S, P, H, W) float32, normalised, phases as the model was trained with
    soft_ed, soft_es  (S, 4, H, W) float32 probabilities that sum to one
    """

    cine: torch.Tensor
    soft_ed: torch.Tensor
    soft_es: torch.Tensor


def engine_inputs(
    cine: Cine, phases: CardiacPhases, segmentation: LVSegmentation, roi: Roi, n_phases: int
) -> EngineInputs:
    """Cuts, resamples and normalises one study for a model that sees `n_phases` cine phases."""
    chosen = engine_phases(phases.ed, phases.es, phases.count, n_phases)
    crops = torch.from_numpy(roi.extract(cine.images[:, chosen]))
    soft_ed, soft_es = (_soft_crop(masks, roi) for masks in (segmentation.ed, segmentation.es))
    return EngineInputs(normalise_cine(crops, soft_ed), soft_ed, soft_es)


def _soft_crop(masks: np.ndarray, roi: Roi) -> torch.Tensor:
    """(S, 4, R, C) -> (S, 4, H, W); what lies beyond the image is background."""
    crop = torch.from_numpy(roi.extract(masks)).clamp(0.0, 1.0)
    crop[:, 0] = 1.0 - crop[:, 1:].sum(dim=1).clamp(max=1.0)
    return crop


@torch.inference_mode()
def draw_samples(
    network,
    inputs: EngineInputs,
    slices: np.ndarray,
    samples: int,
    seed: int,
    steps: int | None,
    progress: Callable[[float], None],
    maps_at_once: int | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Samples (len(slices), K, H, W) and SD (len(slices), H, W), float32 ms, of the slices with the given
    indices; an SD of None where only the samples tell it.

    maps_at_once  slices × samples in one batch, where less memory must do; None is what the device likes

    Noise is keyed by (seed, slice, sample), so the batches that the work is cut into do not matter.
    """
    device = next(network.parameters()).device
    per_batch = max(1, (maps_at_once or MAPS_AT_ONCE[device.type]) // samples)
    batches = [slices[i : i + per_batch] for i in range(0, len(slices), per_batch)]
    drawn = [np.empty((0, samples, *inputs.cine.shape[-2:]), dtype=np.float32)]
    spread = [np.empty((0, *inputs.cine.shape[-2:]), dtype=np.float32)]
    progress(0.0)
    for done, batch in enumerate(batches):
        index = torch.from_numpy(np.asarray(batch))
        with inference_precision(device):
            conditions = network.encode(
                *(t[index].to(device) for t in (inputs.cine, inputs.soft_ed, inputs.soft_es)),
                network.config.views,
            )
            maps = network.sample(
                conditions,
                network.noise(seed, [int(s) for s in batch], samples),
                steps=steps,
                callback=lambda step, total, done=done: progress((done + step / total) / len(batches)),
            )
            sd = network.sd_ms(conditions)
        drawn.append(maps.float().cpu().numpy())
        if sd is not None:
            spread.append(sd.float().cpu().numpy())
    progress(1.0)
    return np.concatenate(drawn), np.concatenate(spread) if network.config.learned_spread else None


def restored(
    maps: np.ndarray, slices: np.ndarray, roi: Roi, inputs: EngineInputs, masks: LVSegmentation
) -> tuple[np.ndarray, np.ndarray]:
    """Maps (len(slices), K, H, W) on the region of interest -> back on the cine.

    Pixels of the cine that are LV myocardium at ED get their value from inside the wall (see
    `inner_wall_map`), all others from the map as it is: interpolated across the wall's border, a
    T1 would be half blood or half lung.

    Returns samples (K, S, R, C) float32 ms, 0 where there is no value, and valid (S, R, C) uint8.
    """
    everywhere = np.zeros((2, len(roi.geometries), maps.shape[1], roi.size, roi.size), dtype=np.float32)
    everywhere[0, slices] = maps
    everywhere[1, slices] = inner_wall_map(
        torch.from_numpy(maps), inputs.soft_ed[slices, LV_MYOCARDIUM]
    ).numpy()
    judged = np.zeros((len(roi.geometries), roi.size, roi.size), dtype=np.float32)
    judged[slices] = 1.0
    valid = roi.restore(judged) > VALUED
    wall = (masks.labels_ed == LV_MYOCARDIUM)[:, None]
    samples = np.where(wall, roi.restore(everywhere[1]), roi.restore(everywhere[0]))
    return np.moveaxis(samples, 1, 0) * valid, valid.astype(np.uint8)


def inner_wall_map(maps: torch.Tensor, wall: torch.Tensor) -> torch.Tensor:
    """Maps (S, K, H, W) with what lies at and beyond the wall's borders taken from inside the wall.

    wall  (S, H, W) probability of LV myocardium

    A pixel counts when its whole 3 × 3 neighbourhood is wall; the others get the Gaussian mean
    (SD 1.2 pixels) of those that count (normalised convolution, Knutsson and Westin 1993). Far from
    any wall the map stays as it is.
    """
    # cut at one half, so that labels handed back weigh what the probabilities did
    inner = -torch.nn.functional.max_pool2d(-(wall[:, None] > 0.5).to(maps.dtype), 3, 1, 1)
    axis = torch.arange(-4, 5, dtype=maps.dtype)
    kernel = torch.exp(-0.5 * (axis / 1.2) ** 2)
    kernel = (kernel[:, None] * kernel / kernel.sum() ** 2)[None, None]

    def blurred(x):
        return torch.nn.functional.conv2d(x.flatten(0, 1)[:, None], kernel, padding=4)[:, 0].view_as(x)

    weight = blurred(inner)
    mean = blurred(maps * inner) / weight.clamp(min=1e-6)
    filled = torch.where(weight > 0.01, mean, maps)
    return inner * maps + (1 - inner) * filled
