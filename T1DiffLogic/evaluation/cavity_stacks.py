"""Real people's ED and ES slices with cavity labels (Radau et al. 2009), arranged as stacks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import StudyError
from ..study import Cine
from ..training.cavity_labels import HELD_BACK_EVERY, CavityLabels, subject_of
from .degraded import stack_of

PHASES_OF_A_SLICE = 20
"""The images of a person are numbered through slices of 20 phases each."""

SLICE_STEP_MM = 10.0


@dataclass(frozen=True, eq=False)
class CavityStack:
    """One person: a cine of two phases, and where a cavity is known.

    cavity, known  (S, 2, R, C) and (S, 2) bool; an unknown image is a copy of the slice's other one
    """

    subject: str
    cine: Cine
    cavity: np.ndarray
    known: np.ndarray


def cavity_stacks(path: Path, held_back: bool) -> Iterator[CavityStack]:
    """The stacks of `path` (training.cavity_labels.CavityLabels), of those held back or of the others.

    The first phase is the fuller one. StudyError when the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            images, packed, names = data["image"], data["endocardium"], [str(n) for n in data["name"]]
    except (OSError, KeyError, ValueError) as error:
        raise StudyError(f"{path} is not a set of cavity labels ({error}).") from None
    masks = np.unpackbits(packed, axis=-1)[..., : images.shape[-1]].astype(bool)
    subjects = np.array([subject_of(n) for n in names])
    number = np.array([int(re.findall(r"-(\d+)", n)[-1]) for n in names])
    everyone = sorted(set(subjects))
    for subject in everyone:
        if (subject in everyone[::HELD_BACK_EVERY]) != held_back:
            continue
        own = np.flatnonzero(subjects == subject)
        phase, place = number[own] % PHASES_OF_A_SLICE, (number[own] - 1) // PHASES_OF_A_SLICE
        values, counts = np.unique(phase, return_counts=True)
        two = values[np.argsort(-counts, kind="stable")][:2]
        places = np.unique(place)
        shape = (len(places), 2, *images.shape[1:])
        frames, cavity = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=bool)
        known = np.zeros(shape[:2], dtype=bool)
        for k, p, z in zip(own, phase, place):
            if p in two:
                at = int(np.searchsorted(places, z)), int(np.flatnonzero(two == p)[0])
                frames[at], cavity[at], known[at] = images[k], masks[k], True
        kept = known.any(axis=1)
        frames, cavity, known, places = frames[kept], cavity[kept], known[kept], places[kept]
        for s, p in np.argwhere(~known):
            frames[s, p] = frames[s, 1 - p]
        if cavity[:, 0].sum() < cavity[:, 1].sum():
            frames, cavity, known = (np.ascontiguousarray(a[:, ::-1]) for a in (frames, cavity, known))
        cine = stack_of(frames, -SLICE_STEP_MM * places, CavityLabels.PIXEL_MM)
        # a Cine keeps the order along its normal that it is given
        yield CavityStack(subject, cine, cavity, known)
