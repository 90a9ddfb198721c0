"""What a synthesis may be told: one frozen record that validates itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import UsageError
from .resources import PRESETS

DEVICES = ("auto", "cpu", "cuda")
MAXIMUM_SAMPLES = 64
MAXIMUM_STEPS = 1000


@dataclass(frozen=True, eq=False)
class SynthesisOptions:
    """Options of one synthesis; None leaves the choice to T1Diff.

    ed, es               cardiac phases counted from 0, in place of those found from the area curve
    labels_ed, labels_es (S, R, C) integer labels on the cine grid, reviewed by a person; they replace
                         the network's segmentation at that phase
    rv_insertions        (S, 2, 2) float (row, column) at ED of the anterior and inferior RV insertion,
                         NaN where a slice has none of its own
    preset               "fast" or "paper": which of the installed models
    model                a model folder in place of the preset's
    samples              K, how many maps are drawn; the result is their mean
    steps                sampler steps; for both None means the number in the model's config.json
    seed                 of the noise, which is the same on every device; the maps then differ by the
                         rounding of the device's arithmetic alone (engine/precision.py)
    device               "auto", "cpu" or "cuda"
    maps_at_once         slices × samples in one batch, where less memory must do; changes no value beyond
                         rounding

    Raises UsageError when a value is out of range.
    """

    ed: int | None = None
    es: int | None = None
    labels_ed: np.ndarray | None = None
    labels_es: np.ndarray | None = None
    rv_insertions: np.ndarray | None = None
    preset: str = "fast"
    model: Path | str | None = None
    samples: int | None = None
    steps: int | None = None
    seed: int = 0
    device: str = "auto"
    maps_at_once: int | None = None

    def __post_init__(self):
        for name in ("ed", "es"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise UsageError(f"--{name} {value} is negative; phases count from 0.")
        if self.ed is not None and self.ed == self.es:
            raise UsageError(f"ED and ES are the same phase ({self.ed}); set them apart with --ed and --es.")
        if self.samples is not None and not 1 <= self.samples <= MAXIMUM_SAMPLES:
            raise UsageError(f"--samples {self.samples} is outside 1…{MAXIMUM_SAMPLES}.")
        if self.steps is not None and not 1 <= self.steps <= MAXIMUM_STEPS:
            raise UsageError(f"--steps {self.steps} is outside 1…{MAXIMUM_STEPS}.")
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"--seed {self.seed} is outside 0…2^63 − 1.")
        if self.maps_at_once is not None and self.maps_at_once < 1:
            raise UsageError(f"maps_at_once {self.maps_at_once} is below 1.")
        if self.device not in DEVICES:
            raise UsageError(f"device {self.device!r} is none of {', '.join(DEVICES)}.")
        if self.preset not in PRESETS:
            raise UsageError(f"preset {self.preset!r} is none of {', '.join(PRESETS)}.")
