"""What may come out of reading: a study with sane geometry, or one sentence. Anything else is told here."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from base_studies import MARKS

from T1DiffLogic.errors import StudyError

LONGEST_SENTENCE = 1500
_NAMES_SOMETHING = re.compile(
    r"\(\w{4},\w{4}|folder|file|series|slice|cine|T1 map|PatientID|study|image|\.nrrd"
)


def refusal(error: BaseException) -> list[str]:
    """What is wrong with an exception as an answer; [] for a proper StudyError."""
    if not isinstance(error, StudyError):
        return [f"{type(error).__name__} instead of a StudyError"]
    wrong = sentence(str(error))
    cause = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            wrong.append("memory ran out")
        cause = cause.__cause__ or cause.__context__
    if "MemoryError" in str(error):
        wrong.append("memory ran out")
    return wrong


def sentence(text: str) -> list[str]:
    """What is wrong with a message for a person; [] when it is one line that names something."""
    wrong = _leaks(text)
    if not text.rstrip().endswith(".") or len(text) > LONGEST_SENTENCE:
        wrong.append(f"is no sentence ({len(text)} characters)")
    if not _NAMES_SOMETHING.search(text):
        wrong.append("names neither file nor tag")
    return wrong


def _leaks(text: str) -> list[str]:
    """What no text of ours holds: who the patient is, and what would forge a line of a log."""
    wrong = [f"tells the patient's {mark!r}" for mark in MARKS if mark in text.lower()]
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        wrong.append("holds a control character")
    return wrong


def cine(study, folder: Path, owners: dict[str, int]) -> list[str]:
    """What is wrong with a Cine; [] when it can be what a scanner acquired of one patient.

    owners  file name below `folder` -> number of the person it is of
    """
    wrong = _geometries(study.geometries)
    first = study.geometries[0].normal
    if any(g.normal @ first < 0.99 for g in study.geometries):
        wrong.append("slices are not parallel")
    along = np.array([g.origin @ first for g in study.geometries])
    if len(along) > 1 and (np.diff(along) <= 0).any():
        wrong.append("slices are not in order along the normal")
    times = study.trigger_ms
    if not np.isfinite(times).all() or (np.diff(times, axis=1) <= 0).any():
        wrong.append("times are not finite and increasing")
    elif np.ptp(times, axis=1).max() > 5000 or np.abs(times).max() > 86_400_000:
        wrong.append(f"times span {np.ptp(times, axis=1).max():.3g} ms from {times.min():.3g}")
    rate, tesla = study.source.heart_rate_bpm, study.source.field_strength_t
    if rate is not None and not 10 <= rate <= 400:
        wrong.append(f"heart rate {rate}")
    if tesla is not None and not 0 < tesla <= 25:
        wrong.append(f"field strength {tesla}")
    for note in (*study.source.notes, *study.source.ignored):
        wrong += _leaks(note)
    if any(mark in study.source.vendor.lower() for mark in MARKS):
        wrong.append("vendor tells the patient")
    people = set()
    for path in (path for row in study.source.files for path in row):
        if not Path(path).resolve().is_relative_to(folder.resolve()):
            wrong.append("a file from outside the folder")
        else:
            people.add(owners.get(str(Path(path).relative_to(folder)), -1))
    if len(people - {-1}) > 1:
        wrong.append("patients are mixed")
    return wrong


def t1_map(study, *_) -> list[str]:
    wrong = _geometries(study.geometries)
    if (study.values_ms < 0).any():
        wrong.append("negative T1")
    for note in study.notes:
        wrong += _leaks(note)
    return wrong


def _geometries(geometries) -> list[str]:
    wrong = []
    for g in geometries:
        axes = np.stack([g.row_direction, g.column_direction])
        if not np.allclose(axes @ axes.T, np.eye(2), atol=1e-6):
            wrong.append("axes are not orthonormal")
        if not (np.isfinite(g.origin).all() and np.abs(g.origin).max() <= 1e4):
            wrong.append("origin is far away")
        if not all(0.05 < s < 50 for s in g.spacing) or not 0 < g.thickness_mm <= 200:
            wrong.append(f"spacing {g.spacing} thickness {g.thickness_mm}")
        if not all(1 <= n <= 4096 for n in g.shape):
            wrong.append(f"shape {g.shape}")
    return wrong[:3]


def cohort(found, folder: Path, *_) -> list[str]:
    """What is wrong with (studies, problems) of find_studies."""
    studies, problems = found
    wrong = [w for text in problems for w in _leaks(text)]
    for study in studies:
        # a label keeps what no header knows as an identifier; with all headers lost nothing can be known
        if any(mark in f"{study.label}{study.name}".lower() for mark in MARKS):
            wrong.append("a label tells the patient")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,60}", study.name):
            wrong.append(f"folder name {study.name!r}")
        for part, _ in study.parts:
            if part.startswith(("/", "..")):
                wrong.append(f"a part outside: {part!r}")
    return wrong
