"""Shape and motion of the left ventricle: an incompressible wall that thickens, shortens and twists.

The LV is described by its endocardial and epicardial radius over angle θ and level u (0 apex … 1
base plane). A material wedge keeps its volume: with longitudinal stretch λ,
(b² − a²)·λ is constant at every (u, θ), so the wall thickens where the endocardium moves inward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from .hearts import Hearts, Lesion

_APEX_WALL = 0.09  # level at which the cavity begins
_WIDEST = 0.70  # level of the widest cavity
RAD = math.pi / 180


def _like(parameter: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """(B,) -> (B, 1, …) to broadcast over `reference` (B, …)."""
    return parameter.reshape(-1, *([1] * (reference.ndim - 1)))


def _profile(hearts: Hearts, u: torch.Tensor, start: float) -> torch.Tensor:
    """Relative radius over level: an ellipsoidal apex from `start`, a gently narrowing base."""
    rise = ((u - start) / (_WIDEST - start)).clamp(0, 1)
    apex = (1 - (1 - rise).square()).clamp_min(0) ** _like(hearts.apex_power, u)
    base = ((u - _WIDEST) / (1 - _WIDEST)).clamp_min(0)
    return apex * (1 - _like(hearts.base_narrowing, u) * base.square()).clamp_min(0.3)


def _harmonics(waves: torch.Tensor, angle: torch.Tensor, orders) -> torch.Tensor:
    total = torch.zeros_like(angle)
    for i, order in enumerate(orders):
        amplitude, phase = (_like(waves[:, i, k], angle) for k in range(2))
        total = total + amplitude * torch.cos(order * (angle - phase) * RAD)
    return total


def wrapped(difference: torch.Tensor) -> torch.Tensor:
    """Angle difference in degrees, in [−180, 180)."""
    return (difference + 180) % 360 - 180


def end_diastolic_radii(hearts: Hearts, u: torch.Tensor, angle: torch.Tensor):
    """Endocardial and epicardial radius (mm) at ED for level u and material angle (degrees), (B, …).

    The endocardial radius is 0 below the cavity; above the base plane (u > 1) values are those of
    the base and mean nothing.
    """
    radius, wall = _like(hearts.cavity_radius, u), _like(hearts.wall, u)
    inner = radius * _profile(hearts, u, _APEX_WALL)
    outer = (radius + wall) * _profile(hearts, u, 0.0)
    endo = inner * (1 + _harmonics(hearts.endo_waves, angle, (2, 3)))
    septum = 1 + 0.06 * torch.cos((angle - 180) * RAD)
    thickness = (outer - inner).clamp_min(0.2) * septum * (1 + _harmonics(hearts.wall_waves, angle, (1, 2)))
    # the aortic outflow opens the ring at the base, antero-septally
    opening = torch.sigmoid((u - 0.93) / 0.015) * torch.sigmoid((42 - wrapped(angle - 135).abs()) / 6)
    thickness = thickness * (1 - 0.97 * _like(hearts.outflow, u) * opening)
    return endo, endo + thickness.clamp_min(0.2)


def lesion_extent(lesion: Lesion, u: torch.Tensor, angle: torch.Tensor, grow: float = 1.0) -> torch.Tensor:
    """Smooth membership 0…1 of a lesion's territory, its extents multiplied by `grow`."""
    turn = wrapped(angle - _like(lesion.angle, u)) / (_like(lesion.half_angle, u) * grow)
    level = (u - _like(lesion.along, u)) / (_like(lesion.half_along, u) * grow)
    ragged = 0.10 * torch.cos((3 * angle + _like(lesion.ragged, u)) * RAD)
    return torch.sigmoid((1 + ragged - turn.square() - level.square()) * 7)


def motion_multiplier(hearts: Hearts, u: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Local share of the healthy endocardial motion, 1 where nothing is wrong."""
    share = torch.ones_like(u)
    for lesion in hearts.lesions:
        border = lesion_extent(lesion, u, angle, 1.35)
        core = lesion_extent(lesion, u, angle, 1.0)
        loss = (1 - _like(lesion.border_motion, u)) * border
        loss = loss + (_like(lesion.border_motion, u) - _like(lesion.core_motion, u)) * core
        share = share * (1 - loss)
    return share


def activation(hearts: Hearts, time: torch.Tensor) -> torch.Tensor:
    """Contraction 0 (ED) … 1 (ES) over the fraction of the cardiac cycle, (B, F) -> (B, F).

    Systole, rapid filling, diastasis, atrial kick.
    """
    t = (time - _like(hearts.r_delay, time)) % 1.0
    es, rest = _like(hearts.systole, time), _like(hearts.diastasis, time)
    filled = es + 0.20
    contraction = torch.sin(0.5 * math.pi * (t / es).clamp(0, 1)).square()
    filling = 0.5 * (1 + torch.cos(math.pi * ((t - es) / (filled - es)).clamp(0, 1)))
    relaxing = rest + (1 - rest) * filling
    kick = 0.5 * (1 + torch.cos(math.pi * ((t - 0.86) / 0.14).clamp(0, 1)))
    relaxing = relaxing * torch.where(t > 0.86, kick, torch.ones_like(kick))
    return torch.where(t < es, contraction, relaxing)


@dataclass(frozen=True)
class Ventricle:
    """Hearts with the two numbers that their targets fix: LV length (mm) and endocardial shortening."""

    hearts: Hearts
    length: torch.Tensor
    strain: torch.Tensor  # healthy fractional shortening of the endocardial radius at ES

    def stretch(self, s: torch.Tensor) -> torch.Tensor:
        """Longitudinal stretch λ at activation s (B, …)."""
        return 1 - _like(self.hearts.shortening, s) * s

    def radii(self, z: torch.Tensor, angle: torch.Tensor, s: torch.Tensor):
        """Where the walls are, seen from a fixed plane.

        z (mm above the apex), angle (degrees), activation s, all broadcastable (B, …).
        Returns (endo mm, epi mm, level u, material angle).
        """
        stretch = self.stretch(s)
        u = z / (stretch * _like(self.length, z))
        turn = _like(self.hearts.twist, z) * (0.65 - u) * s
        material = angle - turn
        endo, epi = end_diastolic_radii(self.hearts, u.clamp(0, 1), material)
        share = motion_multiplier(self.hearts, u, material)
        moved = endo * (1 - _like(self.strain, z) * share * s)
        outer = (moved.square() + (epi.square() - endo.square()) / stretch).sqrt()
        return moved, outer, u, material

    def volumes_ml(self, s: float, levels: int = 100, angles: int = 48) -> tuple[torch.Tensor, torch.Tensor]:
        """(cavity, myocardium) volume in ml at activation s, by integration over level and angle."""
        u = (torch.arange(levels, device=self.length.device) + 0.5) / levels
        angle = torch.arange(angles, device=self.length.device) * (360.0 / angles)
        b = len(self.hearts)
        activity = torch.full((b, 1, 1), float(s), device=self.length.device)
        stretch = self.stretch(activity)
        z = u[None, :, None] * stretch * self.length[:, None, None]
        z = z.expand(-1, -1, len(angle))
        endo, epi, _, _ = self.radii(z, angle[None, None].expand_as(z), activity.expand_as(z))
        height = (stretch[:, 0, 0] * self.length) / len(u)
        cavity = math.pi * endo.square().mean(-1).sum(-1) * height / 1000
        whole = math.pi * epi.square().mean(-1).sum(-1) * height / 1000
        return cavity, whole - cavity


def build_ventricles(hearts: Hearts) -> Ventricle:
    """Solve LV length from the target EDV, and endocardial shortening from the target EF."""
    levels = (torch.arange(40, device=hearts.device) + 0.5) / 40
    angles = torch.arange(16, device=hearts.device) * 22.5
    shape = (len(hearts), 40, 16)
    endo, _ = end_diastolic_radii(hearts, levels[None, :, None].expand(shape), angles.expand(shape))
    area = math.pi * endo.square().mean((1, 2)) / 1000  # ml per mm of length
    length = (hearts.edv_target_ml / area).clamp(60, 122)
    # without lesions ESV/EDV = (1 − strain)²·λ(ES)
    shrunk = ((1 - hearts.ef_target) / (1 - hearts.shortening)).sqrt()
    return Ventricle(hearts, length, (1 - shrunk).clamp(0.02, 0.65))
