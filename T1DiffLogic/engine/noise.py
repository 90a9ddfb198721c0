"""Noise with a key: what each sample of each slice begins from, on any device and in any batch the same."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


def keyed_noise(
    shape: Sequence[int], seed: int, slice_index: int, sample_index: int, step: int = 0
) -> Tensor:
    """Standard normal float32 on the CPU, keyed by (seed, slice, sample, step) and by nothing else.

    The key goes through SHA-256, so that a seed means the same noise on every device, at every
    batch size and in every process. Step 0 is z_T; stochastic samplers draw from steps 1, 2, …
    """
    text = f"t1diff:{int(seed)}:{int(slice_index)}:{int(sample_index)}:{int(step)}"
    key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") & (2**63 - 1)
    return torch.randn(tuple(shape), generator=torch.Generator("cpu").manual_seed(key))


_NO_SLICE = -1
"""The slice number of what is drawn for all slices of a sample."""


@dataclass(frozen=True)
class SampleNoise:
    """The noise of K samples of B slices, each keyed by its own (seed, slice, sample).

    slices   numbers that are part of the keys
    samples  K: samples 0 … K − 1
    size     pixels on a side

    Samples come in antithetic pairs: an odd one has the negative of all that the even one before it
    has. Each is as good a draw as any, and what a sampler does linearly with the noise cancels in
    their mean, which so needs fewer samples (Hammersley and Morton 1956).
    """

    seed: int
    slices: Sequence[int]
    samples: int
    size: int

    def at(self, step: int = 0) -> Tensor:
        """(B,K,1,H,W) float32 standard normal on the CPU: z_T at step 0, then the draws of each step."""
        shape = (1, self.size, self.size)

        def draw(slice_index: int, sample: int) -> Tensor:
            noise = keyed_noise(shape, self.seed, slice_index, sample - sample % 2, step)
            return -noise if sample % 2 else noise

        return torch.stack([torch.stack([draw(b, k) for k in range(self.samples)]) for b in self.slices])

    def levels(self) -> Tensor:
        """(K,) float32 standard normal over the seeds: one number of a sample for all of its slices; 0 for a
        last sample without its partner, which would be off to one side in every patient.

        Few numbers must do for an SD, so those of a seed are spread evenly: the pairs take quantiles of
        the half normal distribution in van der Corput's order, begun at 5/8 by seed 0 (which gives 8
        samples an SD of 0.99) and turned by the golden section for every seed after it.
        """
        turn = (int(self.seed) * 0x9E3779B97F4A7C15 % 2**64) / 2**64
        levels = torch.zeros(self.samples, dtype=torch.float64)
        for pair in range(self.samples // 2):
            share = torch.tensor((_van_der_corput(pair) + 5 / 8 + turn) % 1, dtype=torch.float64)
            side = float(keyed_noise((1,), self.seed, _NO_SLICE, pair).sign())
            level = side * math.sqrt(2) * torch.erfinv(share)
            levels[2 * pair], levels[2 * pair + 1] = level, -level
        return levels.float()


def _van_der_corput(number: int) -> float:
    """The binary digits of `number` mirrored at the point: 0, 1/2, 1/4, 3/4, 1/8, …"""
    value, unit = 0.0, 0.5
    while number:
        value += unit * (number & 1)
        number, unit = number >> 1, unit / 2
    return value
