"""Native T1 maps from DICOM: which images are the map, and in which scale their values are ms."""

from __future__ import annotations

import re

import numpy as np

from ..errors import StudyError
from ..study import T1Map
from .classify import (
    DAMAGED,
    INVERSION_SERIES,
    SECONDARY_CAPTURE,
    STATIC,
    SYNTHETIC,
    T1_MAP,
    Verdict,
    classify,
)
from .enhanced import frames_of
from .files import find_images, require_one_study
from .frames import PHILIPS_MR, Frame
from .pixels import rescale, stored_values
from .stacks import group_by_orientation, group_by_position, words_of

BLOOD_MS = (1500.0, 2200.0)
MYOCARDIUM_MS = (900.0, 1700.0)
_TISSUE_MS = (500.0, 2600.0)
_MIN_SHARE = 0.10
_POST_CONTRAST = re.compile(r"\bpost\b|postcon|\bgd\b|\bce\b", re.IGNORECASE)


def read_t1_map(path) -> T1Map:
    """The native T1 map of the study at `path`, N slices in ms.

    Scale: SV·RescaleSlope + RescaleIntercept first, then Philips' floating-point scale (2005,100E)
    and (2005,100D), then the rescaled values × 0.1, × 10 and × 1000; the first that gives plausible
    blood and myocardium is taken and noted. Raises StudyError when there is no map, when all that
    is there is a colour or screen capture, and when no scale is plausible.
    """
    listing = find_images(path)
    require_one_study(listing)
    verdicts = classify(frames_of(listing))
    chosen = [v for v in verdicts if v.kind == T1_MAP]
    notes = []
    if not chosen:
        still = [v for v in verdicts if v.kind == STATIC]
        if len(still) != 1:
            raise StudyError(_no_map(verdicts))
        chosen = still
        notes.append(f"{still[0].label} does not say that it is a T1 map; its values do.")
    notes += [v.sentence for v in verdicts if v not in chosen]
    frames = _slices(_native(chosen, notes), notes)
    stored = stored_values(frames)
    values, scale_note = to_ms(list(_candidates(frames, stored)))
    return T1Map(values, tuple(f.geometry for f in frames), (scale_note, *notes))


def _no_map(verdicts: list[Verdict]) -> str:
    if any(v.kind == SYNTHETIC for v in verdicts):
        label = next(v.label for v in verdicts if v.kind == SYNTHETIC)
        return f"{label} is synthetic (0008,001C) and nothing to compare with; give the measured T1 map."
    if any(v.kind == SECONDARY_CAPTURE for v in verdicts):
        capture = next(v for v in verdicts if v.kind == SECONDARY_CAPTURE)
        return (
            f"{capture.label} is no quantitative T1 map: {capture.reason}. "
            "Export the map itself, 16-bit grey values in ms."
        )
    if any(v.kind == INVERSION_SERIES for v in verdicts):
        label = next(v.label for v in verdicts if v.kind == INVERSION_SERIES)
        return f"{label} holds inversion images; give the folder of the T1 map that was computed from them."
    damaged = [v for v in verdicts if v.kind == DAMAGED]
    if len(damaged) == len(verdicts):
        return f"no image of the T1 map can be used: {damaged[0].reason}; export it again."
    found = "; ".join(f"{v.label} ({v.kind})" for v in verdicts[:8])
    return f"no T1 map was found; the folder holds {found}. Give the folder of the native T1 map."


def _native(chosen: list[Verdict], notes: list[str]) -> list[Frame]:
    """Frames of the maps taken before contrast, when some say that they were taken after it."""

    def is_post(v):
        first = v.frames[0]
        words = words_of(first.description)
        return bool(first.attributes.text("ContrastBolusAgent") or _POST_CONTRAST.search(words))

    native = [v for v in chosen if not is_post(v)]
    if native and len(native) < len(chosen):
        notes += [f"{v.label} was taken after contrast and is not used." for v in chosen if is_post(v)]
        chosen = native
    frames = [f for v in chosen for f in v.frames]
    bad = [f for f in frames if f.defect]
    if bad:
        raise StudyError(f"{bad[0].file.name} of the T1 map {bad[0].defect}; export the map again.")
    return frames


def _slices(frames: list[Frame], notes: list[str]) -> list[Frame]:
    """One frame per position of the largest parallel group, sorted along the normal."""
    groups = sorted(group_by_orientation(frames, lambda f: f.geometry), key=len, reverse=True)
    for group in groups[1:]:
        notes.append(f"{len(group)} T1 images of another orientation or size were set aside.")
    slices = []
    for position in group_by_position(groups[0], lambda f: f.geometry):
        slices.append(max(position, key=lambda f: f.later_key))
        if len(position) > 1:
            index = len(slices) - 1
            notes.append(f"T1 slice {index} was acquired {len(position)} times; the latest is used.")
    return slices


def _candidates(frames: list[Frame], stored: list[np.ndarray]):
    """(name, (N, R, C) float32) of each vendor scale that the headers allow."""
    scales = [rescale(f) for f in frames]
    public = np.stack([s * slope + intercept for s, (slope, intercept) in zip(stored, scales)])
    yield "SV × RescaleSlope + RescaleIntercept", public.astype(np.float32)
    slopes = [f.attributes.private(0x2005, PHILIPS_MR, 0x0E) for f in frames]
    intercepts = [f.attributes.private(0x2005, PHILIPS_MR, 0x0D) for f in frames]
    if all(slopes) and None not in intercepts:
        # Philips: SV = FP · slope + intercept, FP being the floating-point value of the reconstruction.
        precise = np.stack([(s - i) / k for s, k, i in zip(stored, slopes, intercepts)])
        yield "Philips floating point, (SV − (2005,100D)) / (2005,100E)", precise.astype(np.float32)
        yield (
            "SV × (2005,100E) + (2005,100D)",
            np.stack([s * k + i for s, k, i in zip(stored, slopes, intercepts)]).astype(np.float32),
        )


def to_ms(candidates: list[tuple[str, np.ndarray]]) -> tuple[np.ndarray, str]:
    """The first candidate (N, R, C) whose values are plausible ms, and a note on the scale.

    Each of `candidates` is (name, values); the first is also tried × 0.1, × 10 and × 1000.
    Raises StudyError when none is plausible.
    """
    name, values = candidates[0]
    tried = list(candidates) + [(f"({name}) × {k:g}", values * np.float32(k)) for k in (0.1, 10, 1000)]
    for number, (scale, scaled) in enumerate(tried):
        medians = tissue_medians(scaled)
        if medians is not None:
            result = np.where(np.isfinite(scaled) & (scaled > 0), scaled, 0).astype(np.float32)
            guess = "" if number == 0 else "the plain rescaled values were not plausible; "
            return result, (
                f"T1 scale: {guess}{scale}; blood-like median {medians[1]:.0f} ms, "
                f"myocardium-like median {medians[0]:.0f} ms."
            )
    centre = values[..., values.shape[-2] // 4 : -(values.shape[-2] // 4) or None, :]
    positive = centre[np.isfinite(centre) & (centre > 0)]
    middle = f"{np.median(positive):.4g}" if positive.size else "no positive value"
    raise StudyError(
        f"the T1 map has no plausible scale (median {middle}; expected blood {BLOOD_MS[0]:.0f}–"
        f"{BLOOD_MS[1]:.0f} and myocardium {MYOCARDIUM_MS[0]:.0f}–{MYOCARDIUM_MS[1]:.0f} ms); "
        "export the native map in ms."
    )


def tissue_medians(values_ms: np.ndarray) -> tuple[float, float] | None:
    """Medians (ms) of the myocardium-like and the blood-like T1 class in the middle of the images.

    The map is not segmented yet, so Otsu's thresholds over the tissue range in the central half of
    each side stand for the boundaries: first one, between myocardium and blood; where the liver or
    fat in view pulls the lower class out of its range, two, the lowest class being those. None when
    fewer than a tenth of the pixels that hold a value are tissue, or a median leaves its range.
    """
    rows, columns = values_ms.shape[-2:]
    centre = values_ms[..., rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]
    held = centre[np.isfinite(centre) & (centre > 0)]
    tissue = held[(held >= _TISSUE_MS[0]) & (held <= _TISSUE_MS[1])]
    if tissue.size < 20 or tissue.size < _MIN_SHARE * held.size:
        return None
    for classes in (2, 3):
        parts = _otsu(tissue, classes)
        if min(part.size for part in parts) < 0.02 * tissue.size:
            continue
        low, high = (float(np.median(part)) for part in parts[-2:])
        # The classes are cut by a threshold, not by contours: partial volume pulls both medians
        # inward. Hence a tenth of slack on the lower bounds.
        if (
            0.9 * MYOCARDIUM_MS[0] <= low <= MYOCARDIUM_MS[1]
            and 0.9 * BLOOD_MS[0] <= high <= 1.05 * BLOOD_MS[1]
        ):
            return low, high
    return None


def _otsu(values: np.ndarray, classes: int) -> list[np.ndarray]:
    """`values` (n,) cut into 2 or 3 classes, ascending, of the largest variance between them (Otsu 1979)."""
    counts, edges = np.histogram(values, bins=105, range=_TISSUE_MS)
    size = np.append(0, np.cumsum(counts))
    total = np.append(0, np.cumsum(counts * (edges[1:] + edges[:-1]) / 2))
    cuts = np.arange(len(edges))
    lower, upper = np.meshgrid(cuts, cuts, indexing="ij") if classes == 3 else (np.zeros_like(cuts), cuts)
    between = np.zeros(upper.shape)
    for a, b in ((np.zeros_like(upper), lower), (lower, upper), (upper, np.full_like(upper, cuts[-1]))):
        n = np.maximum(size[b] - size[a], 1)
        between += (total[b] - total[a]) ** 2 / n
    between[lower > upper] = 0
    best = np.unravel_index(between.argmax(), between.shape)
    bounds = edges[[lower[best], upper[best]]] if classes == 3 else edges[[upper[best]]]
    return [values[np.digitize(values, bounds) == k] for k in range(classes)]
