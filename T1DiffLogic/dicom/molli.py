"""Raw MOLLI and ShMOLLI images: the pixels of an inversion series, and the T1 map that is fitted to them.

Which files make a series is decided in `inversion_search`; `find_inversion_series` is its face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import StudyError
from ..progress import silent
from ..study import SliceGeometry, T1Map
from .frames import PHILIPS_MR, Frame
from .inversion_search import FoundSeries, FoundSlice, find_inversion_series
from .pixels import rescale, stored_values

__all__ = ["InversionSeries", "find_inversion_series", "fit_series", "load_inversion_series"]

MIN_R2 = 0.95
"""Below this the images do not follow an inversion recovery: air, lung, flow artefacts, motion."""

SHMOLLI = (5, 1, 1)
_NEGATIVE_SHARE = 0.01


@dataclass(frozen=True, eq=False)
class InversionSeries:
    """S slices of inversion images, each with up to N inversion times.

    images      (S, N, R, C) float32, any unit; 0 where a slice has fewer images
    times_ms    (S, N) float64 ms, ascending; NaN where a slice has fewer images
    inversion   (S, N) int: which inversion pulse an image follows, from 0 in order of time; -1: no image
    geometries  S SliceGeometry, sorted along the normal
    signed      True for phase-sensitive images, whose signal is negative before the zero crossing
    label       number and description of the series, without identifiers
    """

    images: np.ndarray
    times_ms: np.ndarray
    inversion: np.ndarray
    geometries: tuple[SliceGeometry, ...]
    signed: bool = False
    motion_corrected: bool = False
    label: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        images = np.ascontiguousarray(self.images, dtype=np.float32)
        shape = images.shape[:2]
        if images.ndim != 4 or np.shape(self.times_ms) != shape or np.shape(self.inversion) != shape:
            raise StudyError("inversion images and inversion times disagree in their numbers.")
        if len(self.geometries) != shape[0] or any(g.shape != images.shape[2:] for g in self.geometries):
            raise StudyError("inversion images and slice geometry disagree.")
        if not np.isfinite(images).all():
            raise StudyError(
                f"{self.label or 'the inversion series'} holds NaN or infinite values; export it again."
            )
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "times_ms", np.asarray(self.times_ms, dtype=np.float64))
        object.__setattr__(self, "inversion", np.asarray(self.inversion, dtype=int))
        if (np.isfinite(self.times_ms).sum(axis=1) < 4).any():
            raise StudyError("a slice has fewer than four inversion images; the fit needs four.")

    @property
    def n_slices(self) -> int:
        return self.images.shape[0]

    def trains(self, index: int) -> tuple[int, ...]:
        """Images after each inversion of slice `index` in order of time: (5, 3) of MOLLI 5(3)3."""
        own = self.inversion[index][self.inversion[index] >= 0]
        return tuple(int(n) for n in np.bincount(own))


def load_inversion_series(source, progress=None) -> InversionSeries:
    """The pixels of one inversion series.

    source    a FoundSeries, or what `find_inversion_series` takes, of which the first series is read
    progress  called with ("read", fraction)
    Raises StudyError when an image cannot be decoded or holds NaN, or phase-sensitive images lost their sign.
    """
    found, notes = (source, ()) if isinstance(source, FoundSeries) else _first(source)
    progress = progress or silent
    read = []
    for number, item in enumerate(found.slices):
        progress("read", number / len(found.slices), found.label)
        read.append(_read(item))
    progress("read", 1.0)
    count, shape = max(len(times) for _, times, _ in read), found.slices[0].geometry.shape
    images = np.zeros((len(read), count, *shape), dtype=np.float32)
    times_ms, inversion = np.full((len(read), count), np.nan), np.full((len(read), count), -1)
    for s, (values, times, pulses) in enumerate(read):
        images[s, : len(times)], times_ms[s, : len(times)], inversion[s, : len(times)] = values, times, pulses
    few = [s for s, (_, times, _) in enumerate(read) if len(times) < count]
    if few:
        notes += (f"slices {few} have fewer than the {count} images of the others.",)
    signed = _is_signed(images)
    if found.phase_sensitive and not signed:
        raise StudyError(
            f"{found.label} is phase-sensitive but holds no negative value: RescaleIntercept (0028,1052) was "
            "lost; export it again, or give the magnitude images."
        )
    return InversionSeries(
        images, times_ms, inversion, tuple(item.geometry for item in found.slices), signed,
        found.motion_corrected, found.label, (*found.notes, *notes),
    )  # fmt: skip


def fit_series(series: InversionSeries, device="cpu", min_r2: float = MIN_R2, correction: float = 1.0,
               progress=None) -> tuple[T1Map, np.ndarray]:  # fmt: skip
    """The T1 map of `series` by the three-parameter Look-Locker fit, and the goodness of fit.

    device      torch device or its name
    min_r2      T1 is 0, i.e. no value, where R² of the fit is lower
    correction  factor on T1; 1 leaves the fitted value. Sites that divide by the inversion efficiency
                (0.96 in Kellman & Hansen, JCMR 2014, 16:2) give 1/0.96
    progress    called with ("fit", fraction)

    Returns T1Map in ms and R² (S, R, C) float32, 0…1, before the mask. Images that were acquired as
    5(1)1(1)1 get ShMOLLI's conditional fit (`look_locker.fit_shmolli`), all others one fit of all images.
    """
    import torch

    from ..look_locker import fit_magnitude, fit_shmolli, fit_signed

    progress = progress or silent
    t1 = np.zeros((series.n_slices, *series.images.shape[2:]), dtype=np.float32)
    r2 = np.zeros_like(t1)
    conditional = []
    for s in range(series.n_slices):
        progress("fit", s / series.n_slices)
        known = np.flatnonzero(series.inversion[s] >= 0)
        fit = fit_signed if series.signed else fit_magnitude
        if not series.signed and _is_shmolli(series, s):
            # the second and the third inversion begin with a little more delay each
            known, fit = known[[0, 3, 4, 5, 6, 1, 2]], fit_shmolli
            conditional.append(s)
        signal = torch.from_numpy(series.images[s, known]).to(device).movedim(0, -1)
        fitted, quality = fit(signal, torch.from_numpy(series.times_ms[s, known]).to(device))
        t1[s], r2[s] = fitted.cpu().numpy(), quality.cpu().numpy()
    progress("fit", 1.0)
    # what was never measured, e.g. cut away by the scanner, has no value, however well zeros are fitted
    r2[(series.images == 0).all(axis=1)] = 0
    notes = [f"T1 fitted to {series.label or 'an inversion series'}; no value where R² is below {min_r2:g}."]
    if conditional:
        notes.append(f"ShMOLLI 5(1)1(1)1 with its conditional fit in slices {conditional}.")
    if correction != 1.0:
        notes.append(f"T1 multiplied by {correction:g}, as asked for.")
    return T1Map(np.where(r2 >= min_r2, t1 * correction, 0), series.geometries, (*notes, *series.notes)), r2


def _is_shmolli(series: InversionSeries, index: int) -> bool:
    """By the pulses that the images follow, or by name where an export lost the order of acquisition."""
    trains = series.trains(index)
    return trains == SHMOLLI or sum(trains) == sum(SHMOLLI) and "shmolli" in series.label.lower()


def _first(source) -> tuple[FoundSeries, tuple[str, ...]]:
    found, *others = find_inversion_series(source)
    return found, tuple(f"{other.label} is another inversion series and was not fitted." for other in others)


def _read(item: FoundSlice) -> tuple[np.ndarray, list[float], list[int]]:
    """(N, R, C) values, times and inversions of one slice; an image that was exported twice counts once."""
    values = _values(item.frames)
    if not np.isfinite(values).all():
        bad = item.frames[int(np.argmax(~np.isfinite(values).all(axis=(1, 2))))]
        name = bad.file.name
        raise StudyError(f"{name} holds NaN or infinite values; export the series again.")
    keep = [
        i
        for i in range(len(values))
        if not any(
            item.times_ms[i] == item.times_ms[j] and np.array_equal(values[i], values[j]) for j in range(i)
        )
    ]
    return values[keep], [item.times_ms[i] for i in keep], [item.inversion[i] for i in keep]


def _values(frames: tuple[Frame, ...]) -> np.ndarray:
    """(N, R, C) values on one scale: rescaled, or Philips' floating point where its scale differs from
    image to image, which rescaled values then do not make good for (Chenevert et al., 2014)."""
    stored = stored_values(frames)
    slopes = [f.attributes.private(0x2005, PHILIPS_MR, 0x0E) for f in frames]
    offsets = [f.attributes.private(0x2005, PHILIPS_MR, 0x0D) for f in frames]
    if all(slopes) and None not in offsets and max(slopes) - min(slopes) > 1e-6 * max(slopes):
        pairs = [(1 / k, -i / k) for k, i in zip(slopes, offsets)]
    else:
        pairs = [rescale(f) for f in frames]
    with np.errstate(over="ignore"):  # what is beyond float32 is refused as infinite
        scaled = [s.astype(np.float64) * k + i for s, (k, i) in zip(stored, pairs)]
        return np.stack(scaled).astype(np.float32)


def _is_signed(images: np.ndarray) -> bool:
    """Whether negative values are signal, not the ringing of an interpolated magnitude image."""
    negative = -float(images[images < 0].sum(dtype=np.float64))
    return negative > _NEGATIVE_SHARE * float(np.abs(images).sum(dtype=np.float64))
