"""Records of prepared patients without an image worth looking at, and sources that end as told."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from T1DiffLogic.errors import StudyError


def record_of(slices=(3, 5, 8), phases=5, seed=0, size=32) -> dict:
    """Random values with the axes of dataset.pairs.FIELDS; slices from base to apex."""
    s, rng = len(slices), np.random.default_rng(seed)

    def labels():
        return rng.integers(0, 4, (s, size, size)).astype(np.uint8)

    def soft():
        values = rng.random((s, 4, size, size))
        return (values / values.sum(axis=1, keepdims=True)).astype(np.float16)

    return {
        "slices": np.array(slices),
        "level": np.array(["basal", "mid", "apical"] * s)[:s],
        "phases": np.arange(phases),
        "ed": 0,
        "es": phases - 2,
        "cine": rng.uniform(0, 900, (s, phases, size, size)).astype(np.float16),
        "labels_ed": labels(),
        "labels_es": labels(),
        "soft_ed": soft(),
        "soft_es": soft(),
        "rv_insertions": np.full((s, 2, 2), np.nan),
        "t1_ms": rng.uniform(800, 1600, (s, size, size)).astype(np.float32),
        "labels_t1": labels(),
        "aha": labels(),
        "aha_t1": labels(),
        "origin_mm": rng.normal(size=(s, 3)),
        "row": np.tile([1.0, 0, 0], (s, 1)),
        "column": np.tile([0, 1.0, 0], (s, 1)),
        "pixel_mm": 1.4,
    }


@dataclass(frozen=True)
class Ends:
    """A source whose loading ends as `how` says; the names of those that were tried go into `log`."""

    name: str
    how: str
    log: str
    inputs: str = "the same"
    sparse: bool = True

    def load(self):
        with open(self.log, "a") as file:
            file.write(f"{self.name}\n")
        if self.how == "interrupt":
            raise KeyboardInterrupt
        if self.how == "crash":
            os._exit(9)
        if self.how == "odd":
            raise ZeroDivisionError("Doe^Jane")
        raise StudyError(f"the cine of Doe^Jane is {self.how}.")

    def clean(self, sentence: str) -> str:
        return sentence.replace("Doe^Jane", "…")
