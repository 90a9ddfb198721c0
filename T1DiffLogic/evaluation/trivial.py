"""Trivial controls, fitted on the training patients of the same dataset: what a mean already knows.

- the training-mean map: mean native T1 of each pixel of the LV-centred crop, by level;
- the mean of each AHA segment, painted on this patient's own contours;
- the same, moved along a straight line by the segment's ED signal (texture alone), by its systolic
  thickening (motion alone), and by both: what the map must know more than.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..dataset.pairs import PreparedPairs, read_patient
from ..study import LV_MYOCARDIUM
from .cases import Case, Reading
from .contestants import inputs_of

LEVELS = ("basal", "mid", "apical")
FEATURES = {"texture": (0,), "motion": (1,), "texture and motion": (0, 1)}
_NAMES = {
    "patient", "slices", "level", "cine", "labels_ed", "labels_es", "soft_ed", "soft_es", "rv_insertions",
    "t1_ms", "labels_t1", "aha", "aha_t1", "origin_mm", "row", "column", "pixel_mm",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class TrainingMeans:
    """What the controls know.

    map_ms       (3, H, W) mean map per level
    label_ms     (4,) mean native T1 under the native contours: background, RV, LV myocardium, cavity
    segment_ms   (17,) the same per AHA segment; entry 0 is the whole myocardium
    feature      (17, 2) mean ED signal and mean thickening (percent) of each segment
    slope        (3, 2) ms per unit of either feature, for each of FEATURES; 0 where it is not used
    patients     how many they were taken from
    """

    map_ms: np.ndarray
    label_ms: np.ndarray
    segment_ms: np.ndarray
    feature: np.ndarray
    slope: np.ndarray
    patients: np.ndarray

    def save(self, path: Path) -> None:
        """One NumPy archive, in one move."""
        temporary = path.with_name(path.name + ".part")
        with temporary.open("wb") as file:
            np.savez_compressed(file, **vars(self))
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: Path) -> TrainingMeans:
        with np.load(path, allow_pickle=False) as archive:
            return cls(**{name: archive[name] for name in archive.files})


def segment_features(case: Case) -> np.ndarray:
    """(17, 2) mean normalised ED signal and thickening in percent of each segment, NaN where unknown."""
    result = np.full((17, 2), np.nan)
    first = inputs_of(case)["cine"][:, 0].numpy()
    aha = case.record["aha"]
    for number in range(1, 17):
        mine = aha == number
        if mine.any():
            result[number, 0] = first[mine].mean()
    result[1:, 1] = case.thickening
    return result


def training_means(pairs: PreparedPairs, limit: int | None = None) -> TrainingMeans:
    """The means and straight lines of the patients of `pairs`, the first `limit` of them."""
    chosen = pairs.patients[:limit]
    total = count = None
    label_sum, label_n = np.zeros(4), np.zeros(4)
    segment_sum, segment_n = np.zeros(17), np.zeros(17)
    features, natives = [], []
    for patient in chosen:
        case = Case("train", read_patient(pairs.path(patient), _NAMES))
        native = case.native_ms.astype(np.float64)
        if total is None:
            total, count = np.zeros((2, 3, *native.shape[1:]))
        known = native > 0
        for s, level in enumerate(case.levels):
            if level in LEVELS:
                total[LEVELS.index(level)] += native[s]
                count[LEVELS.index(level)] += known[s]
        labels, aha = case.record["labels_t1"], case.record["aha_t1"]
        label_sum += np.bincount(labels[known], native[known], minlength=4)
        label_n += np.bincount(labels[known], minlength=4)
        mine = np.bincount(aha[known], native[known], minlength=17)
        number = np.bincount(aha[known], minlength=17)
        segment_sum, segment_n = segment_sum + mine, segment_n + number
        with np.errstate(invalid="ignore", divide="ignore"):
            natives.append(np.where(number > 0, mine / number, np.nan))
        features.append(segment_features(case))
    level_mean = total.sum(axis=0) / np.maximum(count.sum(axis=0), 1)
    maps = np.where(count > 0, total / np.maximum(count, 1), level_mean)
    label_ms = label_sum / np.maximum(label_n, 1)
    # a segment that no training patient has is read as the whole myocardium
    segment_ms = np.where(segment_n > 0, segment_sum / np.maximum(segment_n, 1), label_ms[LV_MYOCARDIUM])
    segment_ms[0] = label_ms[LV_MYOCARDIUM]
    features, natives = np.array(features), np.array(natives)
    known = np.isfinite(features)
    mean = np.where(known, features, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    slope = np.stack([_slopes(features, natives, columns) for columns in FEATURES.values()])
    return TrainingMeans(maps.astype(np.float32), label_ms, segment_ms, mean, slope, np.array(len(chosen)))


def _slopes(features, natives, columns) -> np.ndarray:
    """(2,) least-squares slopes of native on the features `columns`, each about its segment's mean."""
    columns = list(columns)
    there = np.isfinite(natives) & np.isfinite(features[..., columns]).all(axis=-1)
    there[:, 0] = False
    slope = np.zeros(features.shape[-1])
    x, y = [], []
    for number in range(1, 17):
        mine = there[:, number]
        if mine.sum() > 1:
            x.append(features[mine, number][:, columns] - features[mine, number][:, columns].mean(axis=0))
            y.append(natives[mine, number] - natives[mine, number].mean())
    if x and len(np.concatenate(y)) > len(columns) + 1:
        slope[columns] = np.linalg.lstsq(np.concatenate(x), np.concatenate(y), rcond=None)[0]
    return slope


@dataclass(frozen=True, eq=False)
class TrivialControl:
    """kind: 'mean map', 'segment means' or one of FEATURES."""

    kind: str
    means: TrainingMeans
    role = "control"

    @property
    def name(self) -> str:
        return {"mean map": "training-mean map", "segment means": "mean of each segment"}.get(
            self.kind, f"{self.kind} alone" if self.kind in ("texture", "motion") else self.kind
        )

    def describe(self) -> dict:
        return {"role": self.role, "kind": self.kind, "training_patients": int(self.means.patients)}

    def readings(self, case: Case, samples: int, seed: int) -> dict[str, Reading]:
        means = self.means
        image = np.stack([means.map_ms[LEVELS.index(v) if v in LEVELS else 1] for v in case.levels])
        if self.kind != "mean map":
            values = means.segment_ms.copy()
            if self.kind in FEATURES:
                away = np.nan_to_num(segment_features(case) - means.feature)
                values[1:] += (away @ means.slope[list(FEATURES).index(self.kind)])[1:]
            labels, aha = case.record["labels_ed"], case.record["aha"]
            image = np.where(labels > 0, means.label_ms[labels], image)
            image = np.where(labels == LV_MYOCARDIUM, values[aha], image)
        return {"": case.read(image[:, None].astype(np.float32))}


def trivial_controls(means: TrainingMeans) -> list[TrivialControl]:
    """All of them."""
    return [TrivialControl(kind, means) for kind in ("mean map", "segment means", *FEATURES)]
