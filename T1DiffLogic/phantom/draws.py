"""Seeded random draws: one heart, one seed, the same heart at any batch size or device."""

from __future__ import annotations

import math

import numpy as np
import torch

SEEDS = {
    "train": range(0, 10_000_000),
    "validation": range(10_000_000, 10_100_000),
    "test": range(20_000_000, 20_100_000),
}
"""Disjoint seed ranges, fixed here and nowhere else. Test seeds are never trained or selected on."""

_COLUMNS = 320


def patient_seed(split: str, index: int) -> int:
    """Seed of patient `index` of a split; raises ValueError outside the split's range."""
    seeds = SEEDS[split]
    if not 0 <= index < len(seeds):
        raise ValueError(f"split '{split}' has patients 0…{len(seeds) - 1}, not {index}")
    return seeds[index]


class Draws:
    """Uniform numbers per heart, consumed column by column; every method returns (B,) tensors."""

    def __init__(self, seeds, device="cpu"):
        table = np.stack([np.random.default_rng([int(s), 0x71D1FF]).random(_COLUMNS) for s in seeds])
        columns = torch.as_tensor(table.T.copy(), dtype=torch.float32, device=device)
        self.u = columns.clamp(1e-6, 1 - 1e-6)  # (columns, B)
        self._next = 0

    def _column(self) -> torch.Tensor:
        self._next += 1
        return self.u[self._next - 1]

    def uniform(self, low: float, high: float) -> torch.Tensor:
        return low + (high - low) * self._column()

    def normal(self, mean, sd, cut: float = 2.5) -> torch.Tensor:
        """Normal, truncated at ± `cut` SD so that no impossible heart appears."""
        tail = 0.5 * math.erfc(cut / math.sqrt(2))
        u = tail + (1 - 2 * tail) * self._column()
        return mean + sd * math.sqrt(2) * torch.erfinv(2 * u - 1)

    def log_uniform(self, low: float, high: float) -> torch.Tensor:
        return torch.exp(self.uniform(math.log(low), math.log(high)))

    def chance(self, probability) -> torch.Tensor:
        """(B,) float 0 or 1."""
        return (self._column() < probability).float()

    def choice(self, probabilities) -> torch.Tensor:
        """(B,) long index drawn with the given probabilities."""
        edges = torch.cumsum(torch.tensor(probabilities, device=self.u.device), 0)[:-1]
        return torch.bucketize(self._column(), edges)


class Average(Draws):
    """Draws without chance: every continuous draw gives the middle of its distribution."""

    def __init__(self, n: int, device="cpu"):
        self.u = torch.full((1, n), 0.5, device=device)

    def _column(self) -> torch.Tensor:
        return self.u[0]


def field_generator(seed: int, purpose: str, device="cpu") -> torch.Generator:
    """A generator for the random fields of one heart, distinct for each purpose."""
    key = np.random.SeedSequence([int(seed), *purpose.encode()]).generate_state(2, np.uint32)
    return torch.Generator(device=device).manual_seed(int(key[0]) << 31 ^ int(key[1]))
