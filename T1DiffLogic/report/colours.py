"""Colours of quantitative maps: Lipari for T1, zero-centred Vik for differences.

Lipari is the colour map of the T1 consensus (Fuderer et al., Magn Reson Med 2024,
doi:10.1002/mrm.30290); the tables are Fabio Crameri's (Scientific Colour Maps, MIT), from the
package cmcrameri. Entry 0 of a T1 table is black and means *no value*; a valid T1 below the window
takes the darkest valid colour, so that it is never taken for a hole.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from cmcrameri import cm

T1_WINDOW_MS = (700.0, 2000.0)
SD_WINDOW_MS = (0.0, 150.0)
DIFFERENCE_WINDOW_MS = (-300.0, 300.0)
THICKENING_WINDOW_PERCENT = (-20.0, 100.0)
ENTRIES = 256


@cache
def lipari_table() -> np.ndarray:
    """(256, 3) float64 RGB in 0…1, read-only: Lipari with entry 0 black = no value."""
    return _read_only(np.vstack([np.zeros(3), cm.lipari.colors[1:, :3]]))


@cache
def sd_table() -> np.ndarray:
    """(256, 3) float64 RGB in 0…1: Devon, bright where the doubt is large."""
    return _read_only(cm.devon.colors[:, :3])


@cache
def difference_table() -> np.ndarray:
    """(256, 3) float64 RGB in 0…1: Vik, white in the middle, blue below zero, red above."""
    return _read_only(cm.vik.colors[:, :3])


@cache
def thickening_table() -> np.ndarray:
    """(256, 3) float64 RGB in 0…1: Bamako, dark where the wall hardly thickens or thins."""
    return _read_only(cm.bamako.colors[:, :3])


def log_remap(table: np.ndarray, window=T1_WINDOW_MS) -> np.ndarray:
    """`table` rearranged so that equal *relative* steps of T1 get equal colour steps.

    Fuderer et al., doi:10.1002/mrm.30290: below upper/e the index runs linearly, above it
    logarithmically. Entry 0 (no value) and the last entry keep their colours.
    """
    lower, upper = window
    if not 0 <= lower < upper:
        raise ValueError(f"the window {window} ms does not ascend from 0 or more.")
    n = len(table)
    knee = upper / np.e
    start = max(knee, lower)
    share = 1 / n + ((knee - lower) / (2 * knee - lower) if knee >= lower else 0.0)
    value = lower + np.arange(1, n) * (upper - lower) / n
    fraction = share + (1 - share) * np.log(np.maximum(value, start) / start) / np.log(upper / start)
    if knee > lower:
        linear = 1 / n + (value - lower) / (knee - lower) * (share - 1 / n)
        fraction = np.where(value <= start, linear, fraction)
    index = np.concatenate([[0], np.clip(np.floor(n * fraction + 1e-9), 1, n - 1)]).astype(int)
    return np.asarray(table)[index]


def table_index(values, window, valid) -> np.ndarray:
    """(...) uint8 entry of each value: 0 where not valid, 1…255 across `window`, clipped."""
    lower, upper = window
    scaled = (np.asarray(values, dtype=np.float64) - lower) / (upper - lower) * ENTRIES
    return np.where(valid, np.clip(np.floor(scaled), 1, ENTRIES - 1), 0).astype(np.uint8)


def colour_t1(values_ms, valid, *, window=T1_WINDOW_MS, logarithmic: bool = False) -> np.ndarray:
    """(..., 4) float64 RGBA of T1 in ms; black and transparent where not valid."""
    table = log_remap(lipari_table(), window) if logarithmic else lipari_table()
    return _rgba(table[table_index(values_ms, window, valid)], valid)


def colour_sd(values_ms, valid) -> np.ndarray:
    """(..., 4) float64 RGBA of the standard deviation in ms; transparent where not valid."""
    return _rgba(sd_table()[table_index(values_ms, SD_WINDOW_MS, valid)], valid)


def colour_difference(values_ms, valid) -> np.ndarray:
    """(..., 4) float64 RGBA of a difference in ms, zero in the middle; transparent where not valid."""
    return _rgba(difference_table()[table_index(values_ms, DIFFERENCE_WINDOW_MS, valid)], valid)


def colour_thickening(percent: float) -> np.ndarray:
    """(3,) RGB of a systolic wall thickening in percent; values beyond the window take its ends."""
    low, high = THICKENING_WINDOW_PERCENT
    share = min(max((percent - low) / (high - low), 0.0), 1.0)
    return thickening_table()[round(share * (ENTRIES - 1))]


def text_colour(rgb) -> str:
    """ "black" or "white", whichever reads better on `rgb` (WCAG relative luminance)."""
    rgb = np.asarray(rgb, dtype=np.float64)[:3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return "black" if linear @ (0.2126, 0.7152, 0.0722) > 0.179 else "white"


def _rgba(rgb, valid) -> np.ndarray:
    return np.concatenate([rgb, np.asarray(valid, dtype=bool)[..., None].astype(np.float64)], axis=-1)


def _read_only(table) -> np.ndarray:
    table = np.array(table, dtype=np.float64)
    table.setflags(write=False)
    return table
