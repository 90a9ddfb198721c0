"""Cine stacks made harder, or broken in one known way, so that scores and flags have something to find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import ndimage

from ..study import LV_CAVITY, LV_MYOCARDIUM, RV, Cine, SliceGeometry

Stack = tuple[Cine, np.ndarray]
"""A cine and its true labels (S, P, R, C). Faults of gating and breath-hold take (S, P, 4, R, C) as well."""


def noisy(stack: Stack, level: float, seed: int) -> Stack:
    """Rician noise of `level` × the brightest two per cent (blood and fat): 0.2 is an SNR of about 5."""
    cine, labels = stack
    rng = np.random.default_rng([seed, 1])
    sigma = level * np.quantile(cine.images[:, 0], 0.98)
    real, imaginary = rng.normal(0, sigma, (2, *cine.images.shape))
    return replace(cine, images=np.hypot(cine.images + real, imaginary)), labels


def blurred(stack: Stack, mm: float, seed: int = 0) -> Stack:
    """Gaussian blur of SD `mm` in the plane, as of breathing during the acquisition."""
    cine, labels = stack
    pixels = (0, 0, *(mm / d for d in cine.geometries[0].spacing))
    return replace(cine, images=ndimage.gaussian_filter(cine.images, pixels)), labels


def shaded(stack: Stack, factor: float, seed: int) -> Stack:
    """Coil sensitivity that falls by `factor` from one side of the image to the other."""
    cine, labels = stack
    angle = np.random.default_rng([seed, 2]).uniform(0, 2 * np.pi)
    row, column = (np.linspace(-0.5, 0.5, n) for n in cine.images.shape[2:])
    along = row[:, None] * np.sin(angle) + column[None] * np.cos(angle)
    return replace(cine, images=cine.images * np.exp(-np.log(factor) * along)), labels


def coarse(stack: Stack, pixel_mm: float, seed: int = 0) -> Stack:
    """Acquired at `pixel_mm` and interpolated to the old grid, as scanners deliver it."""
    cine, labels = stack
    size = cine.images.shape[2:]
    kept = [max(8, round(n * d / pixel_mm)) // 2 * 2 for n, d in zip(size, cine.geometries[0].spacing)]
    centre = np.fft.fftshift(np.fft.fft2(cine.images), axes=(-2, -1))
    mask = np.zeros(size)
    low = [(n - k) // 2 for n, k in zip(size, kept)]
    mask[low[0] : low[0] + kept[0], low[1] : low[1] + kept[1]] = 1
    mask = np.fft.ifftshift(mask)
    images = np.abs(np.fft.ifft2(np.fft.ifftshift(centre, axes=(-2, -1)) * mask))
    return replace(cine, images=images), labels


def cropped(stack: Stack, share: float, seed: int) -> Stack:
    """A field of view that cuts away `share` of the LV's width on one side."""
    cine, labels = stack
    seen = np.isin(labels, (LV_MYOCARDIUM, LV_CAVITY)).any(axis=(0, 1))
    if seen.any():
        side = int(np.random.default_rng([seed, 3]).integers(4))
        axis, last = side // 2, side % 2
        where = np.flatnonzero(seen.any(axis=1 - axis))
        cut = int(round(share * (where[-1] - where[0])))
        keep = slice(0, where[-1] - cut) if last else slice(where[0] + cut, None)
        window = [slice(None), slice(None)]
        window[axis] = keep
        start = [w.start or 0 for w in window]
        images, labels = (a[:, :, window[0], window[1]] for a in (cine.images, labels))
        moved = tuple(
            replace(g, origin=g.to_patient(np.array(start)), shape=images.shape[2:]) for g in cine.geometries
        )
        cine = replace(cine, images=images, geometries=moved)
    return cine, labels


def dulled(stack: Stack, ratio: float, seed: int = 0) -> Stack:
    """Blood of both ventricles only `ratio` times as bright as the LV's wall (inflow lost)."""
    cine, labels = stack
    blood, wall = np.isin(labels, (RV, LV_CAVITY)), labels == LV_MYOCARDIUM
    if blood.any() and wall.any():
        factor = ratio * np.median(cine.images[wall]) / np.median(cine.images[labels == LV_CAVITY])
        soft = ndimage.gaussian_filter(blood.astype(np.float32), (0, 0, 1, 1))
        cine = replace(cine, images=cine.images * (1 + (min(factor, 1.0) - 1) * soft))
    return cine, labels


def slice_shifted(stack: Stack, index: int, mm: float) -> Stack:
    """Slice `index` acquired in another breath-hold: the heart lies `mm` lower in the image."""
    cine, labels = stack
    images, labels = np.array(cine.images), labels.copy()
    pixels = round(mm / cine.geometries[index].spacing[0])
    images[index], labels[index] = (np.roll(a[index], pixels, axis=-2) for a in (images, labels))
    return replace(cine, images=images), labels


def out_of_step(stack: Stack, index: int, phases: int) -> Stack:
    """Slice `index` gated on a wrong trigger: its beat starts `phases` late."""
    cine, labels = stack
    images, labels = np.array(cine.images), labels.copy()
    images[index], labels[index] = (np.roll(a[index], phases, axis=0) for a in (images, labels))
    return replace(cine, images=images), labels


def two_beats(stack: Stack, index: int | None = None) -> Stack:
    """Slice `index` (None: all) gated on every other beat: two contractions in one cycle."""
    cine, labels = stack
    images, labels = np.array(cine.images), labels.copy()
    count = cine.n_phases
    order = (2 * np.arange(count)) % count + (2 * np.arange(count)) // count * (1 - count % 2)
    chosen = slice(None) if index is None else slice(index, index + 1)
    images[chosen], labels[chosen] = (a[chosen][:, order % count] for a in (images, labels))
    return replace(cine, images=images), labels


def frames_exchanged(stack: Stack, index: int, pairs: int, seed: int) -> Stack:
    """Slice `index` of an irregular heart: `pairs` frames change places with frames half a beat away."""
    cine, labels = stack
    images, labels = np.array(cine.images), labels.copy()
    order = np.arange(cine.n_phases)
    half = cine.n_phases // 2
    for p in np.random.default_rng([seed, 4]).choice(half, pairs, replace=False):
        order[[p, p + half]] = order[[p + half, p]]
    images[index], labels[index] = images[index][order], labels[index][order]
    return replace(cine, images=images), labels


def uneven_times(stack: Stack, index: int, share: float, seed: int) -> Stack:
    """Trigger times of slice `index` scattered by `share` of their step, in order still."""
    cine, labels = stack
    times = np.array(cine.trigger_ms)
    step = np.median(np.diff(times[index]))
    jitter = np.random.default_rng([seed, 5]).uniform(-1, 1, cine.n_phases) * share * step
    times[index] = np.sort(times[index] + jitter - jitter[0])
    return replace(cine, trigger_ms=times), labels


def faster(stack: Stack, index: int, factor: float) -> Stack:
    """Slice `index` acquired at `factor` × the heart rate of the others."""
    cine, labels = stack
    times = np.array(cine.trigger_ms)
    times[index] = times[index] / factor
    return replace(cine, trigger_ms=times), labels


HARDER: dict[str, tuple[Callable, tuple[float, float]]] = {
    "noise": (noisy, (0.10, 0.60)),
    "blur": (blurred, (2.5, 7.0)),
    "shading": (shaded, (10.0, 300.0)),
    "resolution": (coarse, (5.0, 12.0)),
    "cropped field": (cropped, (0.1, 0.6)),
    "contrast": (dulled, (0.9, 1.2)),
}
"""What an image can suffer, and the range of its strength from bothersome to hopeless."""


def harder(stack: Stack, fault: str, seed: int) -> Stack:
    """`stack` with a fault of HARDER, its strength drawn by `seed`."""
    function, (low, high) = HARDER[fault]
    strength = float(np.random.default_rng([seed, 6]).uniform(low, high))
    return function(stack, strength, seed)


def windowed(stack: Stack, labels: np.ndarray, margin: int = 12) -> Stack:
    """The stack cut to where (S, P, R, C) `labels` show a heart, and `margin` pixels around."""
    cine, own = stack
    size = cine.images.shape[2:]
    window, corner = [], []
    for axis, count in zip((3, 2), size):
        where = np.flatnonzero((labels > 0).any(axis=(0, 1, axis)))
        low, high = max(where[0] - margin, 0), min(where[-1] + margin + 1, count)
        window.append(slice(low, high))
        corner.append(low)
    images = cine.images[(..., *window)]
    moved = tuple(
        replace(g, origin=g.to_patient(np.array(corner)), shape=images.shape[2:]) for g in cine.geometries
    )
    return replace(cine, images=images, geometries=moved), own[(..., *window)]


def phases_of(stack: Stack, phases) -> Stack:
    """The stack with some of its phases only."""
    cine, labels = stack
    some = list(phases)
    return replace(cine, images=cine.images[:, some], trigger_ms=cine.trigger_ms[:, some]), labels[:, some]


def stack_of(images: np.ndarray, positions_mm, spacing_mm: float) -> Cine:
    """(S, P, R, C) images of unknown placement as a stack of parallel slices at `positions_mm`."""
    geometries = tuple(
        SliceGeometry([0, 0, z], [1, 0, 0], [0, 1, 0], (spacing_mm,) * 2, images.shape[2:])
        for z in positions_mm
    )
    times = np.tile(np.linspace(0, 900, images.shape[1], endpoint=False), (len(images), 1))
    return Cine(images, geometries, times)
