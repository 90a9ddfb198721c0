"""Cine intensities made comparable between scanners, and how far they lie from those of training.

A cine has arbitrary units: receiver gain and coil distance scale it, while flip angle, TR and TE
set the contrast of blood to myocardium. Here each slice is divided by the signal of its own LV blood
at ED, the one tissue that is bright, large and healthy in every patient, so that
myocardium stands at its ratio to blood and a scar or an oedema keeps its contrast to remote
muscle. Training and synthesis call the same function.
"""

from __future__ import annotations

import torch

CEILING = 3.0
"""Normalised values are cut here; only fat and inflow beside a surface coil are brighter than blood ×3."""

BLOOD_QUANTILE = 0.6
"""Of the cavity's pixels: above the papillary muscles and trabeculae that count as cavity in labels."""

MINIMUM_PIXELS = 12
"""A cavity smaller than this (0.24 cm² at 1.4 mm) is too uncertain to scale by."""

FEATURES = ("myocardium", "myocardium_iqr", "crop_p05", "crop_p50", "crop_p95", "edge", "noise")
"""What `intensity_features` measures, in this order."""


def blood_signal(first: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """(B,) float32: the LV blood signal of ED frames `first` (B, H, W) under `masks` (B, 4, H, W).

    The cavity is where its probability exceeds one half, so soft masks and the labels made from
    them give the same. Without a cavity the 90th percentile of the central half of the crop stands
    in: blood of either ventricle is what is bright there.
    """
    cavity = masks[:, 3] > 0.5
    blood = _quantiles(first, cavity, (BLOOD_QUANTILE,))[:, 0]
    height, width = first.shape[-2:]
    centre = first[:, height // 4 : height - height // 4, width // 4 : width - width // 4].float()
    substitute = torch.quantile(centre.flatten(1), 0.9, dim=1)
    few = cavity.flatten(1).sum(dim=1) < MINIMUM_PIXELS
    return torch.where(few | ~blood.isfinite(), substitute, blood)


def normalise_cine(crops: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Crops divided by their own LV blood signal at ED.

    crops  (B, P, H, W) cine intensities; phase 0 is ED
    masks  (B, 4, H, W) probabilities at ED: background, RV, LV myocardium, LV cavity
    Returns (B, P, H, W) float32 within 0…CEILING; blood is near 1. A slice without signal is all 0.
    """
    crops = crops.float()
    blood = blood_signal(crops[:, 0], masks)
    scale = torch.where(blood > 0, 1 / blood.clamp(min=1e-6), torch.zeros_like(blood))
    return (crops * scale[:, None, None, None]).clamp(0.0, CEILING)


def intensity_features(normalised: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """(B, len(FEATURES)) float32 of normalised crops (B, P, H, W) under ED `masks` (B, 4, H, W).

    Median and interquartile range of the myocardium, percentiles of the crop, mean gradient (blur)
    and the mean difference between consecutive pixels' second differences in the darkest tenth
    (noise). Training stores their mean and SD; `intensity_distance` compares a study with them.
    """
    first = normalised[:, 0]
    everywhere = torch.ones_like(first, dtype=torch.bool)
    muscle = _quantiles(first, masks[:, 2] > 0.5, (0.25, 0.5, 0.75))
    crop = _quantiles(first, everywhere, (0.05, 0.5, 0.95))
    across = first.diff(dim=2)
    edge = across.abs().mean(dim=(1, 2))
    second = across.diff(dim=2).abs()
    dark = first[:, :, 1:-1] <= _quantiles(first, everywhere, (0.1,))[:, :, None]
    noise = (second * dark).sum(dim=(1, 2)) / dark.sum(dim=(1, 2)).clamp(min=1)
    columns = (muscle[:, 1], muscle[:, 2] - muscle[:, 0], crop[:, 0], crop[:, 1], crop[:, 2], edge, noise)
    return torch.stack(columns, dim=1)


def intensity_distance(features: torch.Tensor, mean: torch.Tensor, sd: torch.Tensor) -> torch.Tensor:
    """(B,) largest distance from the training mean of any feature, in training SDs; NaN counts as 0."""
    return ((features - mean) / sd.clamp(min=1e-6)).abs().nan_to_num(0.0).amax(dim=1)


def _quantiles(images: torch.Tensor, where: torch.Tensor, quantiles: tuple[float, ...]) -> torch.Tensor:
    """(B, len(quantiles)) of images (B, H, W) over the pixels of `where`; NaN where there are none."""
    chosen = images.float().masked_fill(~where, float("nan")).flatten(1)
    return torch.nanquantile(chosen, torch.tensor(quantiles, device=images.device), dim=1).T
