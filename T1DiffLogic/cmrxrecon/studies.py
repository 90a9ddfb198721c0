"""The people of a CMRxRecon download that have both a short-axis cine and T1 mapping, fully sampled."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..dicom.molli import InversionSeries, fit_series
from ..errors import StudyError
from ..study import Cine, CineSource, SliceGeometry, T1Map
from .kspace import read_images

CINE_FILE, T1_FILE, TIMES_FILE = "cine_sax.mat", "T1map.mat", "T1map.csv"
_ASSUMED_CYCLE_MS = 1000.0
_SHORTEST_BEAT_MS = 300.0


@dataclass(frozen=True)
class Voxel:
    """Nominal size of a voxel, mm: between rows, between columns, between slices; thickness."""

    row: float
    column: float
    step: float
    thickness: float


NOMINAL = {"cine": Voxel(1.5, 1.5, 12.0, 8.0), "T1": Voxel(1.4, 1.4, 12.0, 5.0)}
"""Taken where no NIfTI file beside the k-space tells; protocols differed between people."""

_COMPANIONS = {
    "cine": ("cine_sax_forlabel.nii.gz", "cine_sax_sos.nii.gz", "cine_sax.nii.gz"),
    "T1": ("T1map_forlabel.nii.gz", "T1map_sos.nii.gz", "T1map.nii.gz"),
}


def is_cohort(folder) -> bool:
    """Whether `folder` holds somebody's fully sampled cine and T1 mapping as CMRxRecon lays them out."""
    return next(_pairs(Path(folder)), None) is not None


def studies(folder) -> Iterator[tuple[str, Callable[[], Cine], Callable[[], T1Map]]]:
    """(pseudonym, load_cine, load_t1) of everybody with a cine and T1 mapping below `folder`.

    folder  the download, or any folder above Cine/…/FullSample/P001 and Mapping/…/FullSample/P001

    The pseudonym is made of the set and the number, 'TrainingSet_P001'. Loading reads one slice at a time and
    raises StudyError when a file is missing or damaged. Multi-coil data are taken before single-coil.
    """
    for name, cine, mapping in _pairs(Path(folder)):
        yield name, partial(load_cine, cine, folder), partial(load_t1, mapping, folder)


def load_cine(folder: Path, root=None) -> Cine:
    """The short-axis cine in the patient's `folder` of a Cine set; see `studies`."""
    images = read_images(folder / CINE_FILE)
    geometries, notes = _geometries(images.shape, "cine", folder, root)
    notes.append("the dataset tells no trigger times: equal parts of an assumed cycle of 1000 ms.")
    count = images.shape[1]
    trigger = np.tile(np.arange(count) * _ASSUMED_CYCLE_MS / count, (len(images), 1))
    source = CineSource(path="CMRxRecon", vendor="SIEMENS", field_strength_t=3.0, notes=tuple(notes))
    return Cine(images, geometries, trigger, source)


def load_t1(folder: Path, root=None, device="cpu") -> T1Map:
    """The T1 map fitted to the MOLLI images in the patient's `folder` of a Mapping set; see `studies`."""
    return fit_series(load_inversion_images(folder, root), device)[0]


def load_inversion_images(folder: Path, root=None) -> InversionSeries:
    """The MOLLI images in the patient's `folder`, with the inversion times of its T1map.csv.

    An image whose time is 0 or empty in the table was not acquired (the challenge's own fit drops it, too).
    """
    images = read_images(folder / T1_FILE)
    geometries, notes = _geometries(images.shape, "T1", folder, root)
    table = _times(folder, root, images.shape[:2])
    times, pulses = np.full(table.shape, np.nan), np.full(table.shape, -1)
    kept = np.zeros_like(images)
    for s, row in enumerate(table):
        known = np.flatnonzero(row > 0)
        inversion = np.cumsum(np.diff(row[known], prepend=np.inf) < _SHORTEST_BEAT_MS) - 1
        order = np.argsort(row[known], kind="stable")
        count = len(known)
        times[s, :count], pulses[s, :count] = row[known][order], inversion[order]
        kept[s, :count] = images[s, known[order]]
    most = int((pulses >= 0).sum(axis=1).max())
    return InversionSeries(
        kept[:, :most], times[:, :most], pulses[:, :most], geometries, label="CMRxRecon T1 mapping",
        notes=tuple(notes),
    )  # fmt: skip


def _pairs(root: Path) -> Iterator[tuple[str, Path, Path]]:
    """(pseudonym, cine folder, mapping folder), sorted; MultiCoil before SingleCoil."""
    found: dict[str, dict[str, Path]] = {}
    for place, folders, names in os.walk(root):
        folders.sort()  # MultiCoil comes before SingleCoil
        here = Path(place)
        for name, kind in ((CINE_FILE, "cine"), (T1_FILE, "T1")):
            if name in names and here.parent.name == "FullSample":
                found.setdefault(f"{here.parent.parent.name}_{here.name}", {}).setdefault(kind, here)
    for name in sorted(found):
        if len(found[name]) == 2:
            yield name, found[name]["cine"], found[name]["T1"]


def _geometries(shape, kind: str, folder: Path, root) -> tuple[tuple[SliceGeometry, ...], list[str]]:
    """S parallel slices, centred on the origin, and what is assumed of them."""
    slices, _, rows, columns = shape
    voxel, note = _voxel(kind, folder, root, (rows, columns))
    corner = -np.array([(columns - 1) / 2 * voxel.column, (rows - 1) / 2 * voxel.row])
    heights = (np.arange(slices) - (slices - 1) / 2) * voxel.step
    row, column = np.eye(3)[:2]
    geometries = tuple(
        SliceGeometry([*corner, z], row, column, (voxel.row, voxel.column), (rows, columns), voxel.thickness)
        for z in heights
    )
    return geometries, [
        note,
        "the dataset tells no slice positions: cine and T1 stacks are taken as centred on each other.",
    ]


def _voxel(kind: str, folder: Path, root, size: tuple[int, int]) -> tuple[Voxel, str]:
    """The voxel by a NIfTI file of the same person beside the k-space, else the nominal one."""
    nominal = NOMINAL[kind]
    for path in _beside(folder, root, _COMPANIONS[kind]):
        import SimpleITK as sitk

        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        try:
            reader.ReadImageInformation()
        except RuntimeError:
            continue
        spacing = reader.GetSpacing()[:3]
        if len(spacing) == 3 and tuple(reader.GetSize()[:2]) == size and min(spacing) > 0.2:
            # kx, the rows here, is the first axis of the file
            step = float(spacing[2])
            return Voxel(*map(float, spacing[:2]), step, min(step, nominal.thickness)), (
                f"voxels of {spacing[0]:g} × {spacing[1]:g} × {step:g} mm by {path.name}."
            )
    return nominal, (
        f"no NIfTI file tells the voxels of the {kind} images: taken as {nominal.row:g} × {nominal.column:g} "
        f"mm, slices {nominal.step:g} mm apart."
    )


def _beside(folder: Path, root, names) -> Iterator[Path]:
    """Files of the same set and person in the folders that lie beside FullSample, of either coil set."""
    own = folder.parent.parent
    sets = [own]
    if root is not None and own.is_relative_to(root):
        parts = own.relative_to(root).parts
        for a, b in (("MultiCoil", "SingleCoil"), ("SingleCoil", "MultiCoil")):
            if a in parts:
                sets.append(Path(root, *(b if part == a else part for part in parts)))
    for place in sets:
        for sub in sorted(place.glob(f"*/{folder.name}")):
            yield from (sub / name for name in names if (sub / name).is_file())


def _times(folder: Path, root, shape: tuple[int, int]) -> np.ndarray:
    """(S, N) inversion times in ms; 0 where the table has none. A header line and a column of names first."""
    path = next(_beside(folder, root, (TIMES_FILE,)), None)
    if path is None:
        raise StudyError(f"{folder.name} has no {TIMES_FILE} with its inversion times; download it again.")
    with open(path, newline="", encoding="utf-8-sig") as handle:
        rows = [row[1:] for row in list(csv.reader(handle))[1:] if any(cell.strip() for cell in row)]
    slices, count = shape
    try:
        values = [[float(cell) if cell.strip() else 0.0 for cell in row[:slices]] for row in rows[:count]]
        table = np.array(values, dtype=np.float64)
    except ValueError:
        raise StudyError(f"{path.name} of {folder.name} holds something else than times in ms.") from None
    if table.shape != (count, slices):
        raise StudyError(
            f"{path.name} of {folder.name} has {len(rows)} lines for {count} images of {slices} slices."
        )
    return np.nan_to_num(table.T)
