"""How the same anatomy may look: random contrast, shading, sharpness, ghosts, noise (domain randomisation).

A segmenter that is to hold on scanners which it never saw must not have learned one appearance
(Billot et al. 2023): every crop it learns from, rendered or real, passes through here.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..phantom.planes import gaussian_blur, smooth_field

KNOTS = 5
"""Points of the random monotone curve that intensities are mapped by."""


def randomised(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(B, H, W) images at about 0…1, each with an appearance of its own; shape and place stay."""
    chances = _Chances(images, generator)
    images = images.clamp_min(0) ** torch.exp(chances.between(-0.45, 0.45))
    images = torch.where(chances.of(0.3), _remapped(images, generator), images)
    b, h, _ = images.shape
    shade = smooth_field(generator, b, 1, 3, h)[:, 0]
    # surface coils shade some scanners' images several times over
    strength = torch.where(chances.of(0.2), chances.between(0.3, 0.8), chances.between(0.0, 0.35))
    images = images * torch.exp(strength * shade)
    images = torch.where(chances.of(0.25), _ghosted(images, chances), images)
    images = torch.where(chances.of(0.25), _coarse(images, generator), images)
    images = gaussian_blur(images[:, None], chances.between(0.05, 0.9).flatten())[:, 0]
    images = torch.where(chances.of(0.1), _cut_off(images, chances), images)
    return images + chances.between(0.0, 0.25).square() * torch.randn(
        images.shape, generator=generator, device=images.device
    )


class _Chances:
    """Random numbers of one batch, one for each image, (B, 1, 1)."""

    def __init__(self, images: torch.Tensor, generator: torch.Generator):
        self.n, self.device, self.generator = len(images), images.device, generator

    def between(self, low: float, high: float) -> torch.Tensor:
        u = torch.rand(self.n, 1, 1, generator=self.generator, device=self.device)
        return low + (high - low) * u

    def of(self, probability: float) -> torch.Tensor:
        return self.between(0, 1) < probability


def _remapped(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Intensities through a random rising curve: tissues keep their order and lose their distances."""
    steps = torch.rand(len(images), KNOTS - 1, generator=generator, device=images.device) + 0.15
    values = F.pad(steps.cumsum(1) / steps.sum(1, keepdim=True), (1, 0))
    place = images.flatten(1) * (KNOTS - 1)
    left = place.floor().clamp(0, KNOTS - 2)
    low, high = values.gather(1, left.long()), values.gather(1, left.long() + 1)
    return (low + (place - left) * (high - low)).view_as(images)


def _ghosted(images: torch.Tensor, chances: _Chances) -> torch.Tensor:
    """A faint copy, displaced along the phase-encoding direction: breathing or a missed trigger."""
    shift = int(chances.between(8, 56)[0])
    axis = -1 if chances.of(0.5)[0] else -2
    return images + chances.between(0.03, 0.15) * images.roll(shift, axis)


def _coarse(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Sampled at up to 2.2 times the pixel size and interpolated back, as scanners zero-fill."""
    factor = 1.2 + float(torch.rand((), generator=generator, device=images.device))
    size = images.shape[-2:]
    small = F.interpolate(images[:, None], scale_factor=1 / factor, mode="area")
    return F.interpolate(small, size=size, mode="bicubic", align_corners=False)[:, 0].clamp_min(0)


def _cut_off(images: torch.Tensor, chances: _Chances) -> torch.Tensor:
    """Black from a line on: the field of view ends near the heart."""
    width = images.shape[-1]
    line = torch.arange(width, device=images.device)[None, None]
    kept = line < width - chances.between(0, 24)
    return images * (kept if chances.of(0.5)[0] else kept.transpose(1, 2))
