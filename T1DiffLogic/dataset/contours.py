"""Contours of a native T1 map, and what the map itself says of where its wall ends."""

from __future__ import annotations

import numpy as np

from ..anatomy.segmenter import Segmenter
from ..study import LV_CAVITY, LV_MYOCARDIUM, T1Map

FAT_MS = 600.0
"""Native T1 below this is no myocardium at 1.5 or 3 T (healthy: 950 and 1200 ms); it is fat (380 ms), lung
without signal, or a pixel that they share."""

FAT_LAYERS = 3
"""How many pixels deep the epicardial contour is taken back; farther in, a low value is a failed fit."""


def t1_contours(t1: T1Map, segmenter: Segmenter) -> np.ndarray:
    """(N, R, C) uint8 labels of the LV on the map's own pixels, epicardial fat taken off the wall."""
    labels = segmenter.segment_t1(t1).argmax(axis=1).astype(np.uint8)
    return np.stack([without_fat(a, v) for a, v in zip(labels, t1.values_ms)])


def without_fat(labels: np.ndarray, t1_ms: np.ndarray) -> np.ndarray:
    """(R, C) labels whose wall ends where, coming from outside the heart, T1 first exceeds FAT_MS."""
    doubtful = (labels == LV_MYOCARDIUM) & (t1_ms < FAT_MS)
    outside = (labels != LV_MYOCARDIUM) & (labels != LV_CAVITY)
    for _ in range(FAT_LAYERS):
        near = outside.copy()
        near[1:] |= outside[:-1]
        near[:-1] |= outside[1:]
        near[:, 1:] |= outside[:, :-1]
        near[:, :-1] |= outside[:, 1:]
        outside |= near & doubtful
    return np.where(outside & doubtful, 0, labels).astype(np.uint8)
