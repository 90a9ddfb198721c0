"""Which step of the workflow is usable, why not, and whether the map still fits what it was made from.

Plain Python on purpose: no Qt, no MRML, so that every state can be tested.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np

try:
    from slicer.i18n import tr as _
except ImportError:  # outside Slicer there is nothing to translate with

    def _(text: str) -> str:
        return text


CINE, PHASES, REVIEW, SYNTHESIS, RESULTS = STEPS = ("cine", "phases", "review", "synthesis", "results")

SEGMENT_STAGES = {"read": 0.1, "segment": 0.85, "write": 0.05}
SYNTHESIS_STAGES = {
    "read": 0.03,
    "model": 0.07,
    "segment": 0.2,
    "align": 0.1,
    "synthesize": 0.5,
    "write": 0.1,
}
"""Share of the whole that each stage takes, about: what a progress bar needs."""


@dataclass(frozen=True)
class Facts:
    """What is so at one moment.

    ed, es       phases counted from 0, -1 while unknown
    contours     contours of every phase are there
    cavity       an LV cavity is drawn at ED and at ES
    unreadable   why contours or points cannot be read as they stand, "" when they can
    unusable     why the engine cannot compute at all, "" when it can or when that is not known yet
    running      what runs in the background, "" when nothing does
    result       a synthetic map is in the scene
    made_from    fingerprint of what that map was made from
    stands       fingerprint of what stands now
    """

    cine: bool = False
    ed: int = -1
    es: int = -1
    contours: bool = False
    cavity: bool = False
    unreadable: str = ""
    unusable: str = ""
    running: str = ""
    result: bool = False
    made_from: str = ""
    stands: str = ""


@dataclass(frozen=True)
class Step:
    """usable: its controls work; reason: why not, one sentence; done; stale: made from something else."""

    usable: bool
    reason: str = ""
    done: bool = False
    stale: bool = False


def steps_of(facts: Facts) -> dict[str, Step]:
    """The five steps in order. Each is usable only when the one before it holds."""
    no_cine = "" if facts.cine else _("Choose a cine first.")
    no_phases = no_cine or _missing_phases(facts)
    no_contours = no_phases or ("" if facts.contours else _("Find the contours first."))
    no_cavity = (
        no_contours
        or facts.unreadable
        or ("" if facts.cavity else _("Draw the LV cavity at ED and at ES first."))
    )
    stale = facts.result and facts.made_from != facts.stands
    no_result = "" if facts.result else (no_cavity or _("Synthesise a map first."))
    return {
        CINE: _step("", facts.running, facts.cine),
        PHASES: _step(no_cine, facts.running, not no_phases and facts.contours),
        REVIEW: _step(no_contours, facts.running, not no_cavity),
        SYNTHESIS: _step(no_cavity or facts.unusable, facts.running, facts.result and not stale),
        # what was made stays readable while something else runs
        RESULTS: _step(no_result, "", facts.result and not stale, stale),
    }


def _missing_phases(facts: Facts) -> str:
    if facts.ed < 0 or facts.es < 0:
        return _("Find or set ED and ES first.")
    return _("ED and ES are the same phase; set them apart.") if facts.ed == facts.es else ""


def _step(reason: str, running: str, done: bool, stale: bool = False) -> Step:
    if not reason and running:
        reason = _("Busy: {what}.").format(what=running)
    return Step(not reason, reason, done, stale)


def fingerprint(ed, es, labels_ed, labels_es, insertions, settings: dict) -> str:
    """A short name for everything that a map depends on; equal inputs give equal names.

    labels_ed, labels_es  (S, R, C) integer labels
    insertions            (S, 2, 2) (row, column), NaN where none: compared to a tenth of a pixel, as
                          points that went through a scene come back rounded
    settings              model settings, JSON values
    """
    digest = hashlib.sha256()
    for labels in (labels_ed, labels_es):
        digest.update(np.ascontiguousarray(labels, dtype=np.uint8).tobytes())
    points = np.nan_to_num(np.rint(np.asarray(insertions, dtype=np.float64) * 10), nan=-1e6)
    digest.update(points.astype(np.int32).tobytes())
    digest.update(json.dumps([int(ed), int(es), settings], sort_keys=True).encode())
    return digest.hexdigest()[:16]


def overall(stages: dict[str, float], stage: str, fraction: float) -> float:
    """How far the whole work is, 0 to 1, when `stage` is `fraction` done; an unknown stage counts as 0."""
    done = 0.0
    for name, share in stages.items():
        if name == stage:
            return min(done + share * min(max(fraction, 0.0), 1.0), 1.0)
        done += share
    return 0.0


def remaining_text(done: float, seconds: float) -> str:
    """About how long work will go on that is `done` (0 to 1) after `seconds`; "" while it cannot be told."""
    if done < 0.05 or seconds < 3:
        return ""
    left = seconds * (1 - done) / done
    if left < 60:
        return _("about {n} s left").format(n=max(5, 5 * round(left / 5)))
    return _("about {n} min left").format(n=max(1, round(left / 60)))


_PANEL_WORDS = (
    ("give the phases with --ed and --es (counted from 0)", "use Set ED and Set ES and try again"),
    ("set them apart with --ed and --es", "set them apart with Set ED and Set ES in step 2"),
    ("run again with --debug and report what it prints", "report it with what you did"),
    ("--labels-ed", "contours at ED"),
    ("--labels-es", "contours at ES"),
    ("--rv-insertions", "RV insertion points"),
    ("--device cpu", "Compute on: Processor"),
    ("--device cuda", "Compute on: Graphics card"),
    ("--model DIR", "a model folder (step 4, Advanced)"),
    ("--preset", "preset"),
    ("--samples", "samples"),
    ("--steps", "sampler steps"),
    ("--seed", "seed"),
    ("--ed", "ED"),
    ("--es", "ES"),
    (" with -o", ""),
)


def in_panel_words(message: str) -> str:
    """A sentence of the command line with its options named as the panel names them."""
    for option, words in _PANEL_WORDS:
        message = message.replace(option, words)
    return message
