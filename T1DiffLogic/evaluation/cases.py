"""The test patients of a prepared dataset, and a map read on one of them under contours of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..anatomy.function import wall_thickening
from ..study import LV_MYOCARDIUM, SliceGeometry

T1_WINDOW_MS = (0.0, 2400.0)
"""Maps and references are limited to the models' window before they are compared."""

SLICE_THICKNESS_MM = 8.0
"""Only stated where a SliceGeometry wants one: nothing here depends on it."""


@dataclass(frozen=True, eq=False)
class Case:
    """One patient: the arrays of dataset/pairs.py by their names there, S slices from base to apex.

    group  'test', 'vendor shift' or 'disease shift': which set of patients this one belongs to
    """

    group: str
    record: dict

    @property
    def patient(self) -> str:
        return str(self.record["patient"])

    @property
    def pixel_mm(self) -> float:
        return float(self.record["pixel_mm"])

    @property
    def levels(self) -> list[str]:
        """'basal', 'mid' or 'apical' of each slice."""
        return [str(level) for level in self.record["level"]]

    @property
    def slices(self) -> list[int]:
        """Indices of the slices in the patient's cine, which key the noise."""
        return [int(s) for s in self.record["slices"]]

    def has(self, name: str) -> bool:
        return name in self.record

    @cached_property
    def native_ms(self) -> np.ndarray:
        """(S, H, W) float32, limited to the window; 0 = no value."""
        return np.clip(self.record["t1_ms"], *T1_WINDOW_MS)

    @cached_property
    def scar(self) -> np.ndarray | None:
        """(S, H, W) bool: more than half of the pixel is infarct core; None where nobody knows."""
        return self.record["scar"] > 0.5 if self.has("scar") else None

    @cached_property
    def geometries(self) -> tuple[SliceGeometry, ...]:
        names = ("origin_mm", "row", "column")
        size, spacing = self.native_ms.shape[1:], (self.pixel_mm, self.pixel_mm)
        return tuple(
            SliceGeometry(origin, row, column, spacing, size, SLICE_THICKNESS_MM)
            for origin, row, column in zip(*(self.record[name] for name in names))
        )

    @cached_property
    def thickening(self) -> np.ndarray:
        """(16,) systolic wall thickening in percent, NaN where it cannot be measured."""
        record = self.record
        return wall_thickening(
            record["labels_ed"], record["labels_es"], record["rv_insertions"], self.levels, self.geometries
        )

    def read(self, maps: np.ndarray, learned_sd_ms: np.ndarray | None = None) -> Reading:
        """Maps (S, K, H, W) in ms made from this patient's cine, read under the cine's contours."""
        return Reading(self, maps, self.record["labels_ed"], self.record["aha"], learned_sd_ms)


@dataclass(frozen=True, eq=False)
class Reading:
    """K maps of a patient and the contours under which they are read.

    maps    (S, K, H, W) ms;  labels (S, H, W) uint8;  aha (S, H, W) uint8, 0 or the trimmed segment
    learned_sd_ms  (S, H, W), of a method that knows its maps' SD in itself

    Has what `statistics.paired_segments` and `statistics.scar_rule` take from a Synthesis.
    """

    case: Case
    maps: np.ndarray
    labels: np.ndarray
    aha: np.ndarray
    learned_sd_ms: np.ndarray | None = None

    @cached_property
    def samples_ms(self) -> np.ndarray:
        """(K, S, H, W) float32, limited to the window."""
        return np.clip(np.moveaxis(np.asarray(self.maps, np.float32), 1, 0), *T1_WINDOW_MS)

    @cached_property
    def t1_ms(self) -> np.ndarray:
        """(S, H, W) mean of the K maps."""
        return self.samples_ms.mean(axis=0)

    @cached_property
    def sd_ms(self) -> np.ndarray:
        """(S, H, W) the learned SD, else that of the K maps (ddof 1), 0 for one map."""
        if self.learned_sd_ms is not None:
            return self.learned_sd_ms
        return self.samples_ms.std(axis=0, ddof=1) if len(self.samples_ms) > 1 else np.zeros_like(self.t1_ms)

    @property
    def native_ms(self) -> np.ndarray:
        return self.case.native_ms

    @property
    def native_aha(self) -> np.ndarray:
        return self.case.record["aha_t1"]

    @cached_property
    def valid(self) -> np.ndarray:
        return np.ones(self.native_ms.shape, dtype=np.uint8)

    @cached_property
    def shared_wall(self) -> np.ndarray:
        """(S, H, W) bool: LV myocardium under both maps' contours, where the native map has a value."""
        own = self.case.record["labels_t1"] == LV_MYOCARDIUM
        return own & (self.labels == LV_MYOCARDIUM) & (self.native_ms > 0)
