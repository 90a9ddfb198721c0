"""Slices with their score and their true Dice: what the score is fitted to and what it is judged by."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from ..anatomy.score import FEATURES, features, score_of
from ..anatomy.segmenter import Segmenter
from ..errors import StudyError
from ..phantom.patient import digital_patient
from ..study import LV_CAVITY, LV_MYOCARDIUM, Cine
from .cavity_stacks import cavity_stacks
from .degraded import HARDER, harder, phases_of
from .scar import dice

FAILED = 0.7
"""A Dice below is a failure."""

AS_IT_IS = "none"
RENDERED = 3
"""Phases that are rendered of a digital heart, of which the first is ED and the second near ES."""


def slice_rows(name: str, fault: str, cine: Cine, soft, truth, known=None) -> list[dict]:
    """One row per slice and phase that has a cavity in truth or in contours.

    soft   (S, P, 4, R, C) probabilities;  truth  (S, P, R, C) labels
    known  None, or (S, P) where the cavity, and nothing but the cavity, is known

    The Dice of the myocardium is None where it is not known or there is none. The score and its features are
    None where no cavity was found.
    """
    rows = []
    for p in range(cine.n_phases):
        measured = features(soft[:, p], cine.geometries)
        scores = score_of(measured)
        found = soft[:, p].argmax(axis=1)
        for s in range(cine.n_slices):
            if known is not None and not known[s, p]:
                continue
            cavity = dice(found[s] == LV_CAVITY, truth[s, p] == LV_CAVITY)
            if cavity is None:
                continue
            wall = dice(found[s] == LV_MYOCARDIUM, truth[s, p] == LV_MYOCARDIUM) if known is None else None
            there = bool(np.isfinite(scores[s]))
            row = {"study": name, "fault": fault, "slice": s, "phase": p}
            row |= {"dice_cavity": cavity, "dice_myocardium": wall}
            row |= {"score": float(scores[s]) if there else None}
            row |= {n: float(v) if there else None for n, v in zip(FEATURES, measured[s])}
            rows.append(row)
    return rows


def digital_rows(seeds, segmenter: Segmenter, faults_each: int = 2) -> Iterator[list[dict]]:
    """Rows of digital hearts at ED and near ES, `faults_each` of HARDER each in turn; every other heart is
    of the wide distribution, and every fifth is shown as it is, too."""
    kinds = list(HARDER)
    for number, seed in enumerate(seeds):
        patient = digital_patient(seed, phases=RENDERED, wide=number % 2 == 1)
        stack = phases_of((patient.cine, patient.labels), (0, 1))
        chosen = [kinds[(number * faults_each + k) % len(kinds)] for k in range(faults_each)]
        for fault in chosen + [AS_IT_IS] * (number % 5 == 4):
            cine, labels = stack if fault == AS_IT_IS else harder(stack, fault, seed)
            yield _rows_or_refused(f"digital {seed}", fault, cine, segmenter, labels)


def real_rows(
    path: Path, segmenter: Segmenter, held_back: bool, degraded: bool, every: int = 1
) -> Iterator[list[dict]]:
    """Rows of every n-th real person's cavities as they are, or with one fault of HARDER, contrast apart."""
    kinds = [k for k in HARDER if k != "contrast"]  # where the wall is, is not known
    for number, stack in enumerate(islice(cavity_stacks(path, held_back), 0, None, every)):
        labels = np.where(stack.cavity, LV_CAVITY, 0).astype(np.uint8)
        cine, fault = stack.cine, AS_IT_IS
        if degraded:
            fault = kinds[number % len(kinds)]
            cine, labels = harder((cine, labels), fault, number)
        yield _rows_or_refused(f"real {stack.subject}", fault, cine, segmenter, labels, stack.known)


def failed(row: dict) -> bool:
    """Whether the cavity or, where it is known, the myocardium of a row is below FAILED."""
    return any(row[n] is not None and row[n] < FAILED for n in ("dice_cavity", "dice_myocardium"))


def _rows_or_refused(name, fault, cine, segmenter, labels, known=None) -> list[dict]:
    """No rows of a study in which no LV is found at all: it is refused, which is louder than any score."""
    try:
        soft = segmenter.segment_cine(cine)
    except StudyError:
        return []
    return slice_rows(name, fault, cine, soft, labels, known)
