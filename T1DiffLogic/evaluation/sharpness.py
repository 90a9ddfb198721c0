"""How much fine structure a map holds, beside that of the native one.

A conditional mean blurs what it does not know; a sample should not. Both measures are relative to a
reference map, so noise in a native scan counts as structure: read them beside the noise-free truth's.
"""

from __future__ import annotations

import numpy as np

HIGH_BAND = (0.1, 0.3)
"""Cycles per mm: structures of 10 mm down to 3.3 mm, a wall and what lies inside it; a pixel of 1.4 mm
ends at 0.36."""


def gradient_ms_per_mm(image: np.ndarray, where: np.ndarray, pixel_mm: float) -> float | None:
    """Mean magnitude of the gradient of one (H, W) map over the pixels of `where`; None without any."""
    down, right = np.gradient(np.asarray(image, np.float64), pixel_mm)
    return float(np.hypot(down, right)[where].mean()) if where.any() else None


def high_band_power(image: np.ndarray, pixel_mm: float) -> float:
    """Power (ms²) of a (H, W) map between HIGH_BAND, under a Hann window that hides the image's border.

    Normalised so that white noise of variance σ² has σ² · (the band's share of all frequencies).
    """
    image = np.asarray(image, np.float64)
    rows, columns = image.shape
    window = np.hanning(rows)[:, None] * np.hanning(columns)[None, :]
    weighted = (image - (image * window).sum() / window.sum()) * window
    spectrum = np.square(np.abs(np.fft.fft2(weighted))) / (np.square(window).sum() * image.size)
    frequency = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n, pixel_mm) for n in image.shape), indexing="ij"))
    band = (frequency >= HIGH_BAND[0]) & (frequency < HIGH_BAND[1])
    return float(spectrum[band].sum())
