"""Imaging planes through a digital heart, and the painter's tools: coverage, smooth random fields."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .motion import RAD


@dataclass(frozen=True)
class Planes:
    """One short-axis plane per heart, all (B,) unless said.

    height    mm above the apex of the plane at the patient's rest
    thickness slice thickness in mm
    pixel     in-plane pixel size in mm (square)
    centre    (B, 2) mm from the image centre to the LV axis at mid level (right, up)
    rotation  degrees, counter-clockwise, by which the heart is turned in the image
    mirrored  0 or 1: image flipped left-right before the turn
    view      degrees by which heart and body are turned together in the image
    size      rows = columns
    """

    height: torch.Tensor
    thickness: torch.Tensor
    pixel: torch.Tensor
    centre: torch.Tensor
    rotation: torch.Tensor
    mirrored: torch.Tensor
    view: torch.Tensor
    size: int

    def coordinates(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(x right, y up) mm from the LV axis, in the body frame, each (B, H, W)."""
        n = self.size
        axis = torch.arange(n, device=self.pixel.device, dtype=torch.float32) - (n - 1) / 2
        right = axis[None, None, :] * self.pixel[:, None, None] - self.centre[:, 0, None, None]
        up = -axis[None, :, None] * self.pixel[:, None, None] - self.centre[:, 1, None, None]
        right, up = torch.broadcast_tensors(right, up)
        turn = (self.view * RAD)[:, None, None]
        right, up = right * turn.cos() + up * turn.sin(), -right * turn.sin() + up * turn.cos()
        return right * (1 - 2 * self.mirrored)[:, None, None], up

    def heart_coordinates(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(x lateral, y anterior) mm from the LV axis in the heart frame, each (B, H, W)."""
        x, y = self.coordinates()
        turn = (self.rotation * RAD)[:, None, None]
        return x * turn.cos() + y * turn.sin(), -x * turn.sin() + y * turn.cos()


def coverage(distance: torch.Tensor, edge: torch.Tensor) -> torch.Tensor:
    """Share of a voxel inside a shape: signed `distance` mm (negative inside), `edge` width mm."""
    return (0.5 - distance / edge).clamp(0, 1)


def smooth_field(
    generator: torch.Generator, batch: int, channels: int, cells: int, size: int
) -> torch.Tensor:
    """(batch, channels, size, size) smooth Gaussian field of SD about 1, `cells` bumps across."""
    device = generator.device
    coarse = torch.randn(batch, channels, cells + 3, cells + 3, generator=generator, device=device)
    field = F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True)
    return field * 1.35


def fields_per_seed(generators, channels: int, cells: int, size: int) -> torch.Tensor:
    """One smooth field per generator, stacked (B, channels, size, size)."""
    return torch.cat([smooth_field(g, 1, channels, cells, size) for g in generators])


def gaussian_blur(images: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) blurred with a per-item Gaussian of `sigma` (B,) pixels, edges replicated."""
    offsets = torch.arange(-4, 5, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma.clamp_min(0.05)[:, None]).square())
    kernel = kernel / kernel.sum(1, keepdim=True)
    b, c, h, w = images.shape
    stacked = images.reshape(1, b * c, h, w)
    weight = kernel.repeat_interleave(c, dim=0)[:, None]
    stacked = F.conv2d(F.pad(stacked, (4, 4, 0, 0), mode="replicate"), weight[:, :, None, :], groups=b * c)
    stacked = F.conv2d(F.pad(stacked, (0, 0, 4, 4), mode="replicate"), weight[:, :, :, None], groups=b * c)
    return stacked.reshape(b, c, h, w)
