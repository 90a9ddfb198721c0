"""Maps kept for the figures: a few test patients, chosen by rule before any method is looked at.

One NumPy archive per method, whole milliseconds (uint16), small enough to commit.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .cases import Case
from .contestants import inputs_of
from .scar import is_infarcted, reference_scar
from .study_records import MEAN, SAMPLE, file_name

WITH_SCAR, WITHOUT = 4, 1
GROUND = "ground"


def chosen_cases(cases: Iterable[Case]) -> list[tuple[Case, int]]:
    """(case, slice) of the first four patients with an infarct, the slice where it is largest, and of the
    first patient without one, the middle slice."""
    scarred, healthy = [], []
    for case in cases:
        size = reference_scar(case).sum(axis=(1, 2))
        sick = is_infarcted(case)
        if sick and size.any() and len(scarred) < WITH_SCAR:
            scarred.append((case, int(size.argmax())))
        elif not sick and len(healthy) < WITHOUT:
            healthy.append((case, len(case.slices) // 2))
        if len(scarred) == WITH_SCAR and len(healthy) == WITHOUT:
            break
    return scarred + healthy


def write_pictures(folder: Path, contestant, chosen: list[tuple[Case, int]], samples: int, seed: int) -> None:
    """`<folder>/<method>.npz` with map, sample and sd (n, H, W) of the chosen slices, and once what they
    are compared with; nothing where the file is there or the contestant has no map of them."""
    folder.mkdir(parents=True, exist_ok=True)
    ground = folder / f"{GROUND}.npz"
    if not ground.is_file() and chosen:
        _save(ground, _ground(chosen))
    path = folder / f"{file_name(contestant.name)}.npz"
    if path.is_file() or not chosen:
        return
    content: dict[str, list] = {}
    for case, s in chosen:
        readings = contestant.readings(case, samples, seed)
        if not readings:
            return
        best = readings.get(MEAN, readings.get(""))
        content.setdefault("map", []).append(best.t1_ms[s])
        if SAMPLE in readings:
            content.setdefault("sample", []).append(readings[SAMPLE].t1_ms[s])
            content.setdefault("sd", []).append(best.sd_ms[s])
    _save(path, {name: _whole(np.array(maps)) for name, maps in content.items()})


def write_exchange(path: Path, maps: dict, one: Case, other: Case) -> None:
    """The four maps of an exchange, at the slice of `one` with the largest infarct, and who has one."""
    s = int(reference_scar(one).sum(axis=(1, 2)).argmax())
    path.parent.mkdir(parents=True, exist_ok=True)
    infarct = np.array([is_infarcted(case) for case in (one, other)])
    arrays = {f"{mod}{mor}": _whole(image[s]) for (mod, mor), image in maps.items()}
    _save(path, arrays | {"infarct": infarct})


def read_pictures(path: Path) -> dict[str, np.ndarray]:
    """The arrays of one archive, empty when it is not there."""
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _ground(chosen: list[tuple[Case, int]]) -> dict:
    """Cine at ED (thousandths of the blood signal), native map, infarct, LV labels of the cine."""
    return {
        "cine": _whole(np.array([1000 * inputs_of(c)["cine"][s, 0].numpy() for c, s in chosen])),
        "native": _whole(np.array([c.native_ms[s] for c, s in chosen])),
        "scar": np.array([reference_scar(c)[s] for c, s in chosen]),
        "labels": np.array([c.record["labels_ed"][s] for c, s in chosen]),
        "patient": np.array([c.patient for c, _ in chosen]),
        "level": np.array([c.levels[s] for c, s in chosen]),
        "pixel_mm": np.array(chosen[0][0].pixel_mm),
    }


def _whole(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 65535).astype(np.uint16)


def _save(path: Path, arrays: dict) -> None:
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
    os.replace(temporary, path)
