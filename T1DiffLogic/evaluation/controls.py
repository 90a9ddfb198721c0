"""Controls that know nothing of a patient's cine: mean native T1 over training patients."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np

from ..anatomy.aha import aha_labels
from ..anatomy.insertions import rv_insertions
from ..anatomy.levels import slice_levels
from ..phantom.draws import SEEDS
from ..phantom.patient import digital_patient
from ..study import LV_MYOCARDIUM

PLAUSIBLE_MS = (300.0, 2200.0)
"""Native values between which a pixel of the myocardium counts: outside, the fit has failed."""

TRAINING_PATIENTS = SEEDS["train"][5_000_000:5_000_040]


def training_means(path: Path, seeds=TRAINING_PATIENTS) -> np.ndarray:
    """(17,) ms: mean native T1 of the whole LV myocardium, then of AHA segments 1…16, over `seeds`.

    Kept in the CSV at `path` and measured, in about a minute, only where that is missing.
    """
    if not path.is_file():
        means = measured_means(seeds)
        temporary = path.with_name(path.name + ".part")
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["region", "mean_ms"])
            writer.writerows(zip(["myocardium", *range(1, 17)], means.round(3).tolist()))
        os.replace(temporary, path)
    with path.open(newline="", encoding="utf-8") as file:
        return np.array([float(row["mean_ms"]) for row in csv.DictReader(file)])


def measured_means(seeds) -> np.ndarray:
    """(17,) ms, as `training_means`; read under the true contours, the segments trimmed as in a study."""
    total, count = np.zeros(17), np.zeros(17)
    for seed in seeds:
        patient = digital_patient(seed, phases=2)  # a cine with fewer phases is none
        values, labels, geometries = patient.t1.values_ms, patient.t1_labels, patient.t1.geometries
        levels = slice_levels(labels, geometries)
        segment = aha_labels(labels, rv_insertions(labels, geometries), levels, geometries)
        wall = (labels == LV_MYOCARDIUM) & plausible(values)
        for where, region in ((wall, np.zeros_like(segment)), (wall & (segment > 0), segment)):
            total += np.bincount(region[where], values[where], minlength=17)
            count += np.bincount(region[where], minlength=17)
    return total / count


def plausible(values_ms: np.ndarray) -> np.ndarray:
    """Where native values in ms are what a myocardium can have."""
    return (values_ms > PLAUSIBLE_MS[0]) & (values_ms < PLAUSIBLE_MS[1])
