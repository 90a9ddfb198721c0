"""What each series of a study is, told from content: times, weighting, image type, then words.

Whether a cine is short-axis or long-axis is a matter of geometry and decided in `stacks`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from .frames import PHILIPS_IMAGING, Frame
from .inversion_times import times_of
from .stacks import Run, runs_of, series_label, words_of

CINE = "cine"
LONG_AXIS_CINE = "long-axis cine"
SCOUT = "scout"
PERFUSION = "perfusion"
LGE = "late gadolinium enhancement"
T1_MAP = "T1 map"
OTHER_MAP = "other parametric map"
INVERSION_SERIES = "inversion series"
SECONDARY_CAPTURE = "secondary capture"
SYNTHETIC = "synthetic result"
PHASE_IMAGES = "phase or complex images"
STATIC = "single-phase images"
OTHER = "other"
DAMAGED = "unusable images"

_SECONDARY_CAPTURE_CLASSES = "1.2.840.10008.5.1.4.1.1.7"
_LONGEST_CYCLE_MS = 3000.0
_SHORTEST_BEAT_MS = 300.0

_WORDS = {
    SCOUT: re.compile(r"\b(scouts?|locali[sz]ers?|loc|survey|3 ?plane|haste|topogram)\b", re.I),
    PERFUSION: re.compile(r"\b(perf\w*|first ?pass|stress|dynamic)\b", re.I),
    LGE: re.compile(r"\b(lge|late|delayed?|de ?mr\w*|psir\w*|viab\w*|mde|ir ?gre|scar)\b", re.I),
    OTHER_MAP: re.compile(
        r"\b(ecv|t2( ?star)?|t2 ?map\w*|r2( ?star)?|t1 ?rho|err(or)?|sd|std|residuals?)\b", re.I
    ),
    OTHER: re.compile(r"\b(tag(ging|ged)?|spamm|csprd|flow|venc|pc ?mr\w*|phase ?contrast|dense)\b", re.I),
}
_T1_WORDS = re.compile(r"\b(t1 ?(images?)?$|t1 ?map|moco t1|native t1|t1 (native|moco))", re.I)
_INVERSION_WORDS = re.compile(r"molli|sasha|\bt1 ?map|look ?locker|\btfi? ?scout|\bti ?scout", re.I)
T1_TYPES = {"T1", "T1 MAP", "T1MAP", "T1_MAP", "T1_MAPPING"}
OTHER_MAP_TYPES = {"T2", "T2 MAP", "T2_MAP", "T2_STAR_MAP", "T2 STAR MAP", "ECV", "ECV_MAP", "R2",
                    "R2_STAR_MAP"}  # fmt: skip
COMPLEX_TYPES = {"P", "PHASE", "PHASE MAP", "VELOCITY MAP", "VELOCITY", "R", "REAL", "I", "IMAGINARY",
                  "R_FFE", "I_FFE", "PHASE_FFE", "P_FFE"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Verdict:
    """What one series, or one part of a mixed series, is, and the evidence."""

    kind: str
    reason: str
    frames: tuple[Frame, ...]

    @property
    def label(self) -> str:
        return series_label(self.frames[0])

    @property
    def sentence(self) -> str:
        """For CineSource.ignored."""
        label, count = self.label, len(self.frames)
        return (
            f"{label[0].upper()}{label[1:]}: {self.kind} ({self.reason}), {count} image{'s' * (count != 1)}."
        )


def classify(frames: list[Frame]) -> list[Verdict]:
    """One verdict per series and per kind of image within it, in order of series number."""
    parts = defaultdict(list)
    for frame in frames:
        parts[frame.series_uid, _part(frame)].append(frame)
    verdicts = [_verdict(tuple(part)) for part in parts.values()]
    return sorted(verdicts, key=lambda v: v.frames[0].series_number)


def _part(frame: Frame) -> str:
    """Images of one series that are of different kinds by their own headers are told apart first."""
    a = frame.attributes
    captured = a.text("SOPClassUID").startswith(_SECONDARY_CAPTURE_CLASSES)
    if captured or (a.number("SamplesPerPixel") or 1) != 1:
        return SECONDARY_CAPTURE
    derived = set(frame.image_type[2:])  # the first two values name no contrast (PS3.3 C.8.3.1.1.1)
    # 'T1' beside 'M' is the weighting of a magnitude image, unless the image is derived.
    if derived & T1_TYPES and ("M" not in derived or "DERIVED" in frame.image_type):
        return T1_MAP
    if derived & OTHER_MAP_TYPES:
        return OTHER_MAP
    # Siemens' ShMOLLI marks its T1 map as phase; the phase images of MOLLI have inversion times
    if _T1_WORDS.search(words_of(frame.description)) and "P" in derived and a.number("InversionTime") is None:
        return T1_MAP
    if derived & COMPLEX_TYPES or a.text("ComplexImageComponent") in ("PHASE", "REAL", "IMAGINARY"):
        return PHASE_IMAGES
    return CINE


def _verdict(frames: tuple[Frame, ...]) -> Verdict:
    kind, reason = _content(frames)
    return Verdict(kind, reason, frames)


def _content(frames: tuple[Frame, ...]) -> tuple[str, str]:
    first = frames[0]
    a = first.attributes
    part = _part(first)
    if part == SECONDARY_CAPTURE:
        return SECONDARY_CAPTURE, _capture_reason(first)
    # what T1Diff itself filed beside the cine must never come back as the patient's native map
    if a.text("SyntheticData") == "YES" and "DERIVED" in first.image_type:
        return SYNTHETIC, "SyntheticData (0008,001C) is YES; its values are not measured"
    if a.text("Modality") not in ("", "MR"):
        return OTHER, f"Modality (0008,0060) is {a.text('Modality')}, not MR"
    sound = [f for f in frames if not f.defect]
    if not sound:
        return DAMAGED, f"{first.file.name} {first.defect}"
    runs = runs_of(sound)
    longest = max(runs, key=lambda r: len(r.frames))
    n = len(longest.frames)
    words = words_of(first.description)
    inversions = {round(t, 2) for t in times_of(longest.frames)[0] if t is not None}
    # enhanced images say T1 of their weighting, too; a map has one image at a position
    if len(inversions) >= 3 and part in (T1_MAP, CINE):
        return INVERSION_SERIES, f"{len(inversions)} inversion times at one position"
    if part == T1_MAP:
        return T1_MAP, "ImageType (0008,0008) says T1"
    if part == OTHER_MAP:
        return OTHER_MAP, "ImageType (0008,0008) names another map"
    if part == PHASE_IMAGES:
        return PHASE_IMAGES, "ImageType (0008,0008) is not magnitude"
    if len(_distinct(longest, "EchoTime", "EffectiveEchoTime")) >= 3:
        return OTHER, "several echo times at one position"
    in_cycle, evidence = cycle_evidence(longest)
    if _WORDS[OTHER].search(words):
        return OTHER, "its description says flow or tagging"
    if n >= 2 and in_cycle is not False and not (n <= 3 and inversions):
        if in_cycle or not any(_WORDS[k].search(words) for k in (SCOUT, PERFUSION, LGE)):
            return CINE, evidence
    if n >= 5 and _INVERSION_WORDS.search(words):
        return INVERSION_SERIES, f"{n} images at one position outside the cardiac cycle, and its description"
    if n >= 5:
        return PERFUSION, evidence or "many times at one position and no cardiac cycle"
    return _still(sound, runs, words, inversions)


def _still(sound, runs, words, inversions) -> tuple[str, str]:
    """Series with one image, or very few, at each position."""
    if _T1_WORDS.search(words) and not _WORDS[OTHER_MAP].search(words):
        return T1_MAP, "its description says T1"
    if _WORDS[OTHER_MAP].search(words):
        return OTHER_MAP, "its description names another map"
    if _WORDS[SCOUT].search(words) or any("LOCALIZER" in f.image_type for f in sound):
        return SCOUT, "a localiser by description or ImageType (0008,0008)"
    if _orientations(runs) >= 2:
        return SCOUT, f"{_orientations(runs)} orientations without a cardiac cycle"
    if _WORDS[LGE].search(words) or inversions:
        return LGE, "one image per position after an inversion" if inversions else "by its description"
    if _WORDS[PERFUSION].search(words):
        return PERFUSION, "by its description"
    return STATIC, "a single phase per position"


def cycle_evidence(run: Run) -> tuple[bool | None, str]:
    """Whether the images of one position sample one cardiac cycle: True, False or None (no sign).

    True: trigger times that differ and stay within one cycle, or a declared number of phases.
    False: one image per heart beat by acquisition time, trigger times over many beats, or a
    contrast agent without any sign of the cycle.
    """
    frames = run.frames
    n = len(frames)
    if n < 2:
        return None, "one image per position"
    triggers = [f.trigger_ms for f in frames]
    known = None not in triggers
    span = max(triggers) - min(triggers) if known else 0.0
    if known and span > _LONGEST_CYCLE_MS:
        return False, f"{n} times over {span / 1000:.0f} s, more than a cardiac cycle"
    if known and 2 * len(set(triggers)) >= n and span >= 20.0 * (n - 1) / 2 and span >= 100.0:
        return True, f"{n} phases over {span:.0f} ms of the cardiac cycle"
    acquired = sorted(f.acquired_ms for f in frames if f.acquired_ms is not None)
    if len(acquired) == n >= 5 and np.median(np.diff(acquired)) >= _SHORTEST_BEAT_MS:
        seconds = (acquired[-1] - acquired[0]) / 1000
        return False, f"{n} times over {seconds:.0f} s, one per heart beat or slower"
    a = frames[0].attributes
    phases = max(a.number("CardiacNumberOfImages") or 0, a.private(0x2001, PHILIPS_IMAGING, 0x17) or 0)
    if phases >= 2:
        return True, f"{phases:.0f} cardiac phases declared"
    if a.text("ContrastBolusAgent"):
        return False, f"{n} times with a contrast agent and no sign of the cardiac cycle"
    return None, f"{n} images at one position"


def _capture_reason(frame: Frame) -> str:
    a = frame.attributes
    samples = a.number("SamplesPerPixel") or 1
    if samples != 1:
        return f"colour image, SamplesPerPixel (0028,0002) = {samples:.0f}; its pixels are not measurements"
    return "Secondary Capture by SOPClassUID (0008,0016); its pixels are not measurements"


def _distinct(run: Run, *keywords) -> set[float]:
    """Distinct non-zero values; GE writes 0 where there is no inversion."""
    values = set()
    for frame in run.frames:
        for keyword in keywords:
            value = frame.attributes.number(keyword)
            if value:
                values.add(round(value, 2))
                break
    return values


def _orientations(runs: list[Run]) -> int:
    """Number of distinct plane normals, 20 degrees apart or more."""
    normals: list[np.ndarray] = []
    for run in runs:
        normal = run.geometry.normal
        if all(abs(normal @ other) < np.cos(np.radians(20)) for other in normals):
            normals.append(normal)
    return len(normals)
