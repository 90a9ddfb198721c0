"""The inversion time of one image, in the ways that vendors write it down.

InversionTime (0018,0082) comes first: Siemens MOLLI and ShMOLLI, and whoever follows the standard. Where
it is missing or the same in every image, in this order: InversionTimes (0018,9079) of enhanced objects;
Philips' private (2005,xx72) of 'Philips MR Imaging DD 006' and (2001,xx84) of 'Philips Imaging DD 001';
Siemens' private (0021,xx89) of 'SIEMENS MR SDI 02' in enhanced objects; ImageComments (0020,4000) such as
'TIeff 1100 ms'; TriggerTime (0018,1060), which Philips patches and GE use for the delay after the inversion
(only in series that call themselves MOLLI and whose times leave the cardiac cycle). The private places are
those that open-source T1 mapping (Tomato, Werys et al. 2020) reads; no vendor documents them.
"""

from __future__ import annotations

import re

from pydicom.multival import MultiValue

from .frames import PHILIPS_IMAGING, Frame
from .stacks import words_of

PHILIPS_MR_6 = "Philips MR Imaging DD 006"
SIEMENS_FRAME = "SIEMENS MR SDI 02"
MOLLI_WORDS = re.compile(r"molli|look ?locker|\bt1 ?map|\bt1 ?mapping", re.IGNORECASE)
_COMMENT = re.compile(r"\bTI(?:eff)?\s*[=:]?\s*(\d+(?:\.\d+)?)", re.IGNORECASE)
_PLAUSIBLE_MS = (1.0, 30000.0)
_LONGER_THAN_A_CYCLE_MS = 2000.0
FEWEST = 4
STANDARD = "InversionTime (0018,0082)"


def times_of(frames) -> tuple[list[float | None], str]:
    """Inversion time in ms of each of `frames`, None where it has none, and the tag that told.

    The first tag that tells at least four of the images apart is taken for all; when none does, the one
    that tells the most, so that a message can say how many there are.
    """
    best: tuple[int, list[float | None], str] = (0, [None] * len(frames), "")
    read = [(name, [of(frame) for frame in frames]) for name, of in _SOURCES]
    for name, times in (*read, ("TriggerTime (0018,1060)", _trigger_times(frames))):
        distinct = len(set(times) - {None})
        if distinct >= FEWEST:
            return times, name
        if distinct > best[0]:
            best = (distinct, times, name)
    return best[1], best[2]


def _plausible(value: float | None) -> float | None:
    return value if value is not None and _PLAUSIBLE_MS[0] <= value <= _PLAUSIBLE_MS[1] else None


def _standard(frame: Frame) -> float | None:
    return _plausible(frame.attributes.number("InversionTime"))


def _enhanced(frame: Frame) -> float | None:
    """The first plausible of InversionTimes; Philips fills the list up with the largest double."""
    value = frame.attributes.value("InversionTimes")
    items = value if isinstance(value, (list, MultiValue)) else [] if value is None else [value]
    return next((float(item) for item in items if _plausible(float(item)) is not None), None)


def _philips(frame: Frame) -> float | None:
    a = frame.attributes
    time = _plausible(a.private(0x2005, PHILIPS_MR_6, 0x72))
    return time if time is not None else _plausible(a.private(0x2001, PHILIPS_IMAGING, 0x84))


def _siemens(frame: Frame) -> float | None:
    return _plausible(frame.attributes.private(0x0021, SIEMENS_FRAME, 0x89))


def _comment(frame: Frame) -> float | None:
    match = _COMMENT.search(frame.attributes.text("ImageComments"))
    return _plausible(float(match.group(1))) if match else None


def _trigger_times(frames) -> list[float | None]:
    """TriggerTime as inversion time, where the series is MOLLI by name and the times leave one heart beat."""
    named = all(MOLLI_WORDS.search(words_of(frame.description)) for frame in frames)
    times = [_plausible(frame.trigger_ms) for frame in frames]
    known = [t for t in times if t is not None]
    if not named or len(set(known)) < FEWEST or max(known) - min(known) < _LONGER_THAN_A_CYCLE_MS:
        return [None] * len(frames)
    return times


_SOURCES = (
    (STANDARD, _standard),
    ("InversionTimes (0018,9079)", _enhanced),
    ("Philips' private inversion time (2005,xx72)", _philips),
    ("Siemens' private inversion time (0021,xx89)", _siemens),
    ("ImageComments (0020,4000)", _comment),
)
