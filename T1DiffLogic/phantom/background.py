"""What lies around the heart: chest wall, lungs, liver, spine, great lobes, fat.

Painted back to front into a canvas of any number of signal channels, so that the same anatomy
serves the cine (one channel) and the eight inversion images of MOLLI.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .planes import Planes, coverage

INKS = ("air", "fat", "muscle", "lung", "liver", "spleen", "blood", "bone")


@dataclass(frozen=True)
class Surroundings:
    """Sizes of the surrounding anatomy, (B,) mm unless said, drawn per heart."""

    body: torch.Tensor  # (B, 4) centre x, y and half-axes x, y relative to the LV
    fat: torch.Tensor
    muscle: torch.Tensor
    mediastinum: torch.Tensor  # (B, 2) half-axes
    liver_top: torch.Tensor
    liver_slope: torch.Tensor
    stomach: torch.Tensor  # (B, 4) centre x, y, radius, presence
    aorta: torch.Tensor  # (B, 3) centre x, y, radius
    spine: torch.Tensor  # (B, 3)
    epicardial_fat: torch.Tensor
    vessel_level: torch.Tensor


def sample_surroundings(draws, wide: bool) -> Surroundings:
    """Draw the surroundings from `draws` (phantom.draws.Draws)."""
    d = draws
    k = 2.0 if wide else 1.0
    stack = torch.stack
    return Surroundings(
        body=stack(
            [d.normal(-30, 12 * k), d.normal(-28, 8 * k), d.normal(178, 14 * k), d.normal(118, 10 * k)], -1
        ),
        fat=d.uniform(5, 32) if wide else d.uniform(8, 26),
        muscle=d.uniform(8, 30),
        mediastinum=stack([d.uniform(46, 74), d.uniform(40, 60)], -1),
        liver_top=d.normal(-46, 7 * k),
        liver_slope=d.normal(-0.25, 0.15 * k),
        stomach=stack([d.normal(38, 12 * k), d.normal(-64, 8 * k), d.uniform(14, 30), d.chance(0.6)], -1),
        aorta=stack([d.normal(8, 8 * k), d.normal(-72, 6 * k), d.uniform(9, 13.5)], -1),
        spine=stack([d.normal(-32, 8 * k), d.normal(-88, 6 * k), d.uniform(14, 21)], -1),
        epicardial_fat=d.uniform(-2.0, 6.0),
        vessel_level=d.uniform(1.5, 2.3),
    )


def _disc(x, y, circle, edge):
    c = circle[:, :, None, None]
    return coverage(((x - c[:, 0]).square() + (y - c[:, 1]).square()).sqrt() - c[:, 2], edge)


def _ellipse(x, y, cx, cy, rx, ry, edge):
    """Coverage of an axis-aligned ellipse; the distance is first order (value over gradient)."""
    value = ((x - cx) / rx).square() + ((y - cy) / ry).square()
    gradient = 2 * (((x - cx) / rx.square()).square() + ((y - cy) / ry.square()).square()).sqrt()
    return coverage((value - 1) / gradient.clamp_min(1e-4), edge)


def paint_background(
    around: Surroundings, planes: Planes, inks: dict, warp: torch.Tensor, lobes: torch.Tensor
) -> torch.Tensor:
    """(B, C, H, W) signal of everything but the heart.

    inks     name -> (B, C) signal of each of INKS
    warp     (B, 2, H, W) mm by which outlines are disturbed
    lobes    (B, 2, H, W) smooth fields: peaks of the first become lung lobes, the second
             breaks the mediastinal fat
    """
    x, y = planes.coordinates()
    x, y = x + warp[:, 0], y + warp[:, 1]
    edge = (planes.pixel[:, None, None] * 1.5).expand_as(x)

    def column(values):
        return values[:, None, None]

    def paint(canvas, name, cover):
        return torch.lerp(canvas, inks[name][:, :, None, None].expand_as(canvas), cover[:, None])

    b = around.body
    channels = inks["air"].shape[1]
    canvas = inks["air"][:, :, None, None].expand(-1, channels, planes.size, planes.size)
    centre = (column(b[:, 0]), column(b[:, 1]))
    half = (column(b[:, 2]), column(b[:, 3]))
    canvas = paint(canvas, "fat", _ellipse(x, y, *centre, *half, edge))
    skin = column(around.fat)
    canvas = paint(canvas, "muscle", _ellipse(x, y, *centre, half[0] - skin, half[1] - skin, edge))
    rim = skin + column(around.muscle)
    inside = _ellipse(x, y, *centre, half[0] - rim, half[1] - rim, edge)
    canvas = paint(canvas, "lung", inside)
    vessels = ((lobes[:, 0] - column(around.vessel_level)) * 2).clamp(0, 1)
    canvas = paint(canvas, "blood", inside * vessels * 0.8)
    bed_centre = (x.new_tensor(-14.0), x.new_tensor(-4.0))
    medium = around.mediastinum
    heart_bed = _ellipse(x, y, *bed_centre, column(medium[:, 0]), column(medium[:, 1]), edge)
    patches = ((lobes[:, 1] + 0.3) * 3).clamp(0, 1)  # mediastinal fat comes in lobes, lung between
    canvas = paint(canvas, "fat", inside * heart_bed * patches * 0.8)
    below = coverage(y - column(around.liver_top) - column(around.liver_slope) * (x + 20), edge)
    canvas = paint(canvas, "liver", inside * below)
    stomach = around.stomach
    canvas = paint(canvas, "spleen", inside * _disc(x, y, stomach[:, :3], edge) * column(stomach[:, 3]))
    canvas = paint(canvas, "bone", _disc(x, y, around.spine, edge))
    return paint(canvas, "blood", _disc(x, y, around.aorta, edge))
