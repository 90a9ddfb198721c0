"""Who is measured: trained methods, what a method does with another patient's cine, and ceilings.

Each gives readings of a patient: variant -> Reading. A method that draws samples has three variants:
the mean of K samples, the first sample alone, and one step of the sampler in place of all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..engine import checkpoint
from ..engine.t1diff import DRAWING, T1DiffConfig
from ..errors import StudyError
from ..resources import trained_on
from ..training.methods import load
from .cases import Case, Reading
from .method_inputs import inputs_of_record, seed_of_patient
from .study_records import MEAN, ROLES, SAMPLE, STEP


def noise_seed(seed: int, case: Case) -> int:
    """The seed of one patient's noise."""
    return seed_of_patient(seed, case.patient)


def inputs_of(case: Case) -> dict[str, torch.Tensor]:
    """What a method may see of a patient: cine (S, P, H, W), normalised, soft_ed, soft_es (S, 4, H, W)."""
    return inputs_of_record(case.record)


@dataclass
class TrainedMethod:
    """A method of a model folder, through the one face that all have (training/method.py).

    most_steps  a diffusion that would take more steps takes so many of DDIM; None leaves all as they are
    """

    name: str
    folder: Path
    device: torch.device
    most_steps: int | None = None

    def __post_init__(self):
        self.config = checkpoint.read_config(self.folder)
        self.method = load(self.folder).to(self.device)
        settings = getattr(getattr(self.method, "network", None), "config", None)
        self.sampler, self.steps = (getattr(settings, n, None) for n in ("sampler", "sampler_steps"))
        if self.most_steps is not None and self.steps is not None and self.steps > self.most_steps:
            self.sampler, self.steps = "ddim", self.most_steps
            self.method.sampler, self.method.sampler_steps = self.sampler, self.steps

    @property
    def role(self) -> str:
        return ROLES.get(self.method.name, "control")

    def describe(self) -> dict:
        """What the study says of it: kind, weights, what it was trained on and for how long."""
        metadata = self.config.get("metadata") or {}
        kept = ("steps", "minutes", "batch_size", "seed", "budget")
        return {
            "role": self.role,
            "kind": self.method.name,
            "weights_sha256": self.config["weights_sha256"],
            "trained_on": trained_on(metadata),
            "parameters": sum(p.numel() for p in self.method.network.parameters()),
            **({"sampler": self.sampler, "sampler_steps": self.steps} if self.sampler else {}),
            **self._sampling(),
            **{k: metadata[k] for k in kept if k in metadata},
        }

    def _sampling(self) -> dict:
        """How samples are drawn beside sampler and steps, of a diffusion."""
        config = getattr(getattr(self.method, "network", None), "config", None)
        if not isinstance(config, T1DiffConfig):
            return {"views": self.method.views} if hasattr(self.method, "views") else {}
        return {name: config.sampling[name] for name in DRAWING}

    @torch.inference_mode()
    def predict(self, inputs: dict, samples: int, seed: int, slices: list[int]) -> np.ndarray:
        """(S, K, H, W) float32 ms of the slices; one map for all K of a deterministic method."""
        inputs = {name: value.to(self.device) for name, value in inputs.items()}
        return self.method.predict_ms(inputs, samples, seed, slices).float().cpu().numpy()

    def one_step(self, inputs: dict, seed: int, slices: list[int]) -> np.ndarray | None:
        """(S, 1, H, W) ms by one evaluation of the noise estimator; None where there is no such way."""
        if not hasattr(self.method, "sampler_steps"):
            return None
        kept = self.method.sampler, self.method.sampler_steps
        self.method.sampler, self.method.sampler_steps = "ddim", 1
        try:
            return self.predict(inputs, 1, seed, slices)
        finally:
            self.method.sampler, self.method.sampler_steps = kept

    def maps(self, case: Case, samples: int, seed: int) -> dict[str, np.ndarray]:
        """Variant -> (S, K, H, W) ms."""
        inputs, seed = inputs_of(case), noise_seed(seed, case)
        drawn = self.predict(inputs, samples, seed, case.slices)
        if self.method.deterministic:
            return {"": drawn}
        maps = {MEAN: drawn, SAMPLE: drawn[:, :1]}
        step = self.one_step(inputs, seed, case.slices)
        return maps if step is None else maps | {STEP: step}

    def readings(self, case: Case, samples: int, seed: int) -> dict[str, Reading]:
        maps = self.maps(case, samples, seed)
        return {v: case.read(m, self._sd(case) if v == MEAN else None) for v, m in maps.items()}

    @torch.inference_mode()
    def _sd(self, case: Case) -> np.ndarray | None:
        sd = self.method.sd_ms({name: value.to(self.device) for name, value in inputs_of(case).items()})
        return None if sd is None else sd.float().cpu().numpy()


@dataclass
class ShuffledCine:
    """A method that is shown the next patient's cine: what remains of R is not read from the heart.

    The other patient's slices are chosen by level, LV-centred like all, and read under their own contours.
    """

    method: TrainedMethod
    donors: dict[str, Case]
    role = "control"

    @property
    def name(self) -> str:
        return f"{self.method.name}, another patient's cine"

    def describe(self) -> dict:
        shown_to = self.method.config["weights_sha256"]
        return {"role": self.role, "kind": "shuffled cine", "shown_to": shown_to}

    def readings(self, case: Case, samples: int, seed: int) -> dict[str, Reading]:
        donor = self.donors[case.patient]
        pick = slices_alike(case.levels, donor.levels)
        drawn = self.method.maps(donor, samples, seed)
        maps = drawn.get(MEAN, drawn.get(""))
        return {"": Reading(case, maps[pick], donor.record["labels_ed"][pick], donor.record["aha"][pick])}


def slices_alike(levels: list[str], donor_levels: list[str]) -> list[int]:
    """For each slice the donor's slice of the same level and rank in it; the middle one where it has none."""
    pick = []
    for s, level in enumerate(levels):
        same = [i for i, other in enumerate(donor_levels) if other == level]
        rank = levels[:s].count(level)
        pick.append(same[min(rank, len(same) - 1)] if same else len(donor_levels) // 2)
    return pick


def next_patients(cases: Iterable[Case]) -> dict[str, Case]:
    """Patient -> the case after it, the first after the last. StudyError with fewer than two."""
    cases = list(cases)
    if len(cases) < 2:
        raise StudyError("another patient's cine needs two patients in the split; add patients.")
    return {case.patient: cases[(i + 1) % len(cases)] for i, case in enumerate(cases)}


@dataclass(frozen=True)
class Ceiling:
    """A map that the dataset holds beside the native one: what no method that reads a cine can pass.

    maps, labels, aha  names in the record (dataset/pairs.py)
    """

    name: str
    maps: str
    labels: str
    aha: str
    role = "ceiling"

    def describe(self) -> dict:
        return {"role": self.role, "kind": self.maps}

    def readings(self, case: Case, samples: int, seed: int) -> dict[str, Reading]:
        record = case.record
        if not all(case.has(name) for name in (self.maps, self.labels, self.aha)):
            return {}
        return {"": Reading(case, record[self.maps][:, None], record[self.labels], record[self.aha])}


CEILINGS = (
    Ceiling("second scan", "t1_repeat_ms", "labels_t1_repeat", "aha_t1_repeat"),
    Ceiling("noise-free truth", "t1_truth_ms", "labels_t1", "aha_t1"),
    Ceiling("truth of an average person", "t1_expected_ms", "labels_t1", "aha_t1"),
)
"""A repeat scan (same heart, new noise), the noise-free map, and the noise-free map of the same heart in
a person of average tissue times: the last is all that a cine, which shows no personal T1, could tell."""
