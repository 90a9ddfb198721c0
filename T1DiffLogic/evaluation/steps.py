"""What sampler steps and averaged samples are worth: one model on a prepared dataset, row by row.

    OUT/data/steps.json            what was measured, how and with which weights
    OUT/data/steps_patients.csv    patient, evaluations, samples: errors and CRPS of the mean of the samples
    OUT/data/steps_segments.csv    patient, evaluations, AHA segment: its native T1 and, by samples, its own

The figures are those of measure.py. Needs only what training needs (torch, lightning, NumPy, SciPy,
safetensors), so that it runs where the GPU is; steps_tables.py makes tables of the rows anywhere.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..dataset.pairs import PreparedPairs
from ..engine import checkpoint
from ..engine.precision import inference_precision
from ..engine.t1diff import DRAWING
from ..errors import StudyError
from ..resources import trained_on
from ..study import LV_MYOCARDIUM, RESEARCH_NOTICE
from ..training.method import T1_WINDOW_MS
from ..training.methods import load
from ..versions import installed_versions
from .image_quality import errors_ms
from .method_inputs import inputs_of_record, seed_of_patient
from .origin import commit, device_name
from .records import append, read, replace
from .uncertainty import crps_ms

EVALUATIONS, SAMPLES = (1, 2, 4, 8, 16, 50), (1, 4, 16)
MEAN_ALONE = 0
"""Evaluations of the mean map of a residual model, before any diffusion."""

RUN, PATIENTS, SEGMENTS = "steps.json", "steps_patients.csv", "steps_segments.csv"
LEAST_PIXELS = 8
"""As in measure.py: a segment with fewer pixels in either map is not compared."""


@dataclass
class StepsStudy:
    """One model with its own sampler at several numbers of steps and samples, each drawn as the product draws
    it (one sample is not the first of several, which come in pairs around the mean map).

    Resumable patient by patient; another model, seed or split is another `out`.
    """

    dataset: Path
    model: Path
    out: Path
    device: torch.device
    evaluations: tuple[int, ...] = EVALUATIONS
    samples: tuple[int, ...] = SAMPLES
    split: str = "test"
    patients: int | None = None
    seed: int = 0
    say: Callable[[str], None] = print
    progress: Callable[[float], None] = lambda share: None

    def run(self) -> None:
        """Measures what `out`/data does not hold yet. StudyError for a model without a sampler, more steps
        than it has, or an `out` of another study."""
        pairs = PreparedPairs(self.dataset, self.split, cache_mib=0)
        config = checkpoint.read_config(self.model)
        self._method = load(self.model).to(self.device)
        if not hasattr(self._method, "sampler_steps"):
            raise StudyError(f"{self.model} holds {self._method.name}, which has no sampler; name T1Diff's.")
        most = self._method.network.config.timesteps
        if max(self.evaluations) > most:
            raise StudyError(f"{max(self.evaluations)} evaluations: {self.model} has {most} timesteps.")
        self._folder = self.out / "data"
        self._folder.mkdir(parents=True, exist_ok=True)
        chosen = pairs.patients[: self.patients]
        self._start(pairs, config, len(chosen))
        steps = self.evaluations
        if self._method.network.mean is not None:
            steps = (MEAN_ALONE, *steps)
        done = self._done()
        for number, patient in enumerate(chosen):
            missing = [n for n in steps if (patient, n) not in done]
            if missing:
                self._measure(pairs.patient(patient), missing)
                self.say(f"{patient}: {number + 1}/{len(chosen)}")
            self.progress((number + 1) / len(chosen))

    def _start(self, pairs: PreparedPairs, config: dict, patients: int) -> None:
        network = self._method.network
        fixed = {
            "weights_sha256": config["weights_sha256"],
            "split": self.split,
            "seed": self.seed,
            "samples": list(self.samples),
            "sampler": network.config.sampler,
            **{name: network.config.sampling[name] for name in DRAWING},
        }
        path = self._folder / RUN
        if path.is_file():
            earlier = json.loads(path.read_text(encoding="utf-8"))
            for name, value in fixed.items():
                if earlier.get(name) != value:
                    raise StudyError(f"{path} is of another {name}; give an empty folder with -o.")
        told = fixed | {
            "model": self.model.resolve().name,
            "trained_on": trained_on(config.get("metadata") or {}),
            "origin": pairs.description.get("origin", "not stated"),
            "patients": patients,
            "commit": commit(),
            "device": device_name(self.device),
            "versions": installed_versions("torch", "numpy", "scipy"),
            "notice": RESEARCH_NOTICE,
        }
        path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def _done(self) -> set[tuple[str, int]]:
        """(patient, evaluations) with all their rows; what an interrupted run left half done is dropped.

        The patients' rows are written last, those of all numbers of samples at once.
        """
        rows = read(self._folder / PATIENTS)
        count: dict[tuple[str, int], int] = {}
        for row in rows:
            key = row["patient"], int(row["evaluations"])
            count[key] = count.get(key, 0) + 1
        done = {key for key, n in count.items() if n == len(self._samples_of(key[1]))}
        for name in (PATIENTS, SEGMENTS):
            rows = read(self._folder / name)
            replace(self._folder / name, [r for r in rows if (r["patient"], int(r["evaluations"])) in done])
        return done

    def _samples_of(self, evaluations: int) -> tuple[int, ...]:
        return self.samples[:1] if evaluations == MEAN_ALONE else self.samples

    def _measure(self, record: dict, steps: list[int]) -> None:
        patient = str(record["patient"])
        inputs = {name: value.to(self.device) for name, value in inputs_of_record(record).items()}
        native = np.clip(record["t1_ms"], *T1_WINDOW_MS)
        known = native > 0
        wall = (record["labels_ed"] == LV_MYOCARDIUM) & (record["labels_t1"] == LV_MYOCARDIUM) & known
        masks = segment_masks(record["aha"], record["aha_t1"], known)
        slices = [int(s) for s in record["slices"]]
        seed = seed_of_patient(self.seed, patient)
        for evaluations in steps:
            names = {"patient": patient, "evaluations": evaluations}
            rows, means = [], {}
            for k in self._samples_of(evaluations):
                start = time.perf_counter()
                drawn = self._maps(inputs, evaluations, k, seed, slices)
                seconds = time.perf_counter() - start
                maps = np.clip(np.moveaxis(drawn, 1, 0), *T1_WINDOW_MS)
                means[k] = mean = maps.mean(axis=0)
                rows.append(
                    names
                    | {
                        "samples": k,
                        "n_wall": int(wall.sum()),
                        "wall_rmse_ms": errors_ms(mean[wall], native[wall])["rmse"],
                        "crps_ms": crps_ms(maps[:, wall], native[wall]),
                        "seconds": seconds,
                    }
                )
            segments = []
            for number, (mask, own) in masks.items():
                of = {k: float(mean[mask].mean(dtype=np.float64)) for k, mean in means.items()}
                segments.append(
                    names
                    | {"segment": number, "native_ms": float(native[own].mean(dtype=np.float64))}
                    | {f"of_{k}_ms": of.get(k) for k in self.samples}
                )
            if segments:
                append(self._folder / SEGMENTS, segments)
            append(self._folder / PATIENTS, rows)

    @torch.inference_mode()
    def _maps(self, inputs: dict, evaluations: int, samples: int, seed: int, slices: list[int]) -> np.ndarray:
        """(S, K, H, W) ms of K samples, or the one mean map."""
        method = self._method
        if evaluations == MEAN_ALONE:
            with inference_precision(self.device):
                conditions = method.network.encode(
                    method.frames(inputs),
                    inputs["soft_ed"],
                    inputs["soft_es"],
                    method.network.config.views,
                )
                return method.network.mean_ms(conditions).float()[:, None].cpu().numpy()
        method.sampler_steps = evaluations
        return method.predict_ms(inputs, samples, seed, slices).float().cpu().numpy()


def segment_masks(
    aha: np.ndarray, aha_native: np.ndarray, known: np.ndarray
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Segment -> its pixels in the synthetic and in the native map, as `statistics.paired_segments` has them:
    each under its own contours, on slices where both have it; segments of LEAST_PIXELS or more."""
    found = {}
    for number in range(1, 17):
        mask, own = (aha == number) & known, (aha_native == number) & known
        shared = (mask.any(axis=(1, 2)) & own.any(axis=(1, 2)))[:, None, None]
        mask, own = mask & shared, own & shared
        if min(mask.sum(), own.sum()) >= LEAST_PIXELS:
            found[number] = mask, own
    return found
