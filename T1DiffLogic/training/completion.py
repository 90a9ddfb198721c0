"""Real slices with cavity labels alone, completed by a teacher: self-training on real images.

A trained GF-UNet contours what nobody has labelled, the wall and the RV, and the observer's cavity
overrules it. What the two cannot both be right about is left unknown and teaches nothing.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from ..anatomy.frame import wrap
from ..anatomy.intensity import standardise
from ..anatomy.rv_side import FARTHEST_DEGREES
from ..anatomy.segmenter import FINE_MM, SIZE, tidied
from ..engine.gf_unet import GFUNet
from ..engine.precision import inference_precision
from ..study import LV_CAVITY, RV
from .cavity_labels import UNKNOWN

TRUSTED_DICE = 0.8
"""A teacher who finds less of the observer's cavity has not understood the slice."""

CERTAIN = 0.6
"""Least probability of the teacher's label."""


@torch.no_grad()
def completed_labels(images: np.ndarray, cavity: np.ndarray, subjects, pixel_mm: float, teacher: GFUNet):
    """(N, R, C) uint8 labels of slices (N, R, C) with cavity masks (N, R, C): the teacher's RV and
    myocardium around the observer's cavity, UNKNOWN where they contradict or the teacher is unsure,
    and all over slices that it does not understand.

    subjects  N names: slices of one person have the RV on one side
    """
    soft = np.stack([_seen(i, c, pixel_mm, teacher) for i, c in zip(images, cavity)])
    labels, known = soft.argmax(1).astype(np.uint8), soft.max(1) >= CERTAIN
    subjects = np.asarray(subjects)
    for person in set(subjects):
        _one_sided(labels, np.flatnonzero(subjects == person), cavity)
    result = np.where(known, labels, UNKNOWN).astype(np.uint8)
    for n, own in enumerate(cavity.astype(bool)):
        found = labels[n] == LV_CAVITY
        if 2 * (found & own).sum() < TRUSTED_DICE * (found.sum() + own.sum()):
            result[n] = UNKNOWN
        result[n][found & ~own] = UNKNOWN
        result[n][own] = LV_CAVITY
    return result


def _seen(image: np.ndarray, cavity: np.ndarray, pixel_mm: float, teacher: GFUNet) -> np.ndarray:
    """(4, R, C) tidied probabilities of one slice: the mean of eight views around the cavity."""
    rows, columns = np.nonzero(cavity) if cavity.any() else np.nonzero(np.ones_like(cavity))
    height, width = image.shape
    scale = FINE_MM / pixel_mm * SIZE / 2  # source pixels in half a crop
    centre = (float(columns.mean()), float(rows.mean()))
    axis = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
    crop = torch.from_numpy(np.ascontiguousarray(image, np.float32))[None, None]
    crop = F.grid_sample(crop, _grid(axis, axis, centre, scale, (height, width)), align_corners=False)
    views = [(turns, mirror) for turns in range(4) for mirror in (False, True)]
    seen = torch.cat([_view(standardise(crop[0])[None], *v) for v in views])
    with inference_precision(seen.device):
        found = teacher(seen.contiguous(memory_format=torch.channels_last)).float().softmax(1)
    total = torch.zeros_like(found[0])
    for one, (turns, mirror) in zip(found, views):
        back = one.flip(-1) if mirror else one
        total += torch.rot90(back, -turns, (-2, -1))
    soft = torch.from_numpy(tidied((total / len(views))[None].numpy(), FINE_MM))
    # back onto the slice: beyond the crop there is no heart
    x = (torch.arange(width) - centre[0]) / scale
    y = (torch.arange(height) - centre[1]) / scale
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None].float()
    soft = F.grid_sample(soft, grid, align_corners=False)[0]
    soft[0] = 1 - soft[1:].sum(0)
    return soft.numpy()


def _grid(x, y, centre, scale: float, shape) -> torch.Tensor:
    """grid_sample's grid of a square crop around `centre` (column, row) of an image of `shape`."""
    u, v = torch.meshgrid(x * scale + centre[0] + 0.5, y * scale + centre[1] + 0.5, indexing="xy")
    return torch.stack([2 * u / shape[1] - 1, 2 * v / shape[0] - 1], -1)[None].float()


def _view(x: torch.Tensor, turns: int, mirror: bool) -> torch.Tensor:
    x = torch.rot90(x, turns, (-2, -1))
    return x.flip(-1) if mirror else x


def _one_sided(labels: np.ndarray, slices: np.ndarray, cavity: np.ndarray) -> None:
    """Takes the RV from the `slices` of one person that have it on another side (`rv_side`), in place:
    slices without a position, but all of one person seen from the same side."""
    ways = {}
    for n in slices:
        rv = np.argwhere(labels[n] == RV)
        if len(rv) and cavity[n].any():
            ways[n] = len(rv), *(rv.mean(0) - np.argwhere(cavity[n]).mean(0))
    if not ways:
        return
    area, row, column = np.array(list(ways.values())).T
    angles = np.arctan2(row, column)
    side = np.angle((area * np.exp(1j * angles)).sum())
    for n, off in zip(ways, np.degrees(np.abs(wrap(angles - side)))):
        if off > FARTHEST_DEGREES:
            labels[n][labels[n] == RV] = 0
