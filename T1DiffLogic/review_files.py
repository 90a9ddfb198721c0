"""Corrected masks and RV insertion points handed back by a clinician, brought into cine geometry."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np

from .errors import StudyError
from .study import LABEL_NAMES, LV_CAVITY, Cine, SliceGeometry
from .volumes import VOLUME_SUFFIXES, Volume, read_volume

GEOMETRY_TOLERANCE_MM = 1.0
_FARTHEST_POINT_MM = 12.0
"""An insertion point farther than this from every cine slice belongs to another study."""


def read_labels(path: Path, cine: Cine) -> np.ndarray:
    """(S, R, C) uint8 labels 0…3 of `path` on the pixels of `cine`; see `loading.load_labels`.

    Raises StudyError when the shape differs, the grid lies more than 1 mm off the cine's, or a
    value is no label.
    """
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.name.lower().endswith(VOLUME_SUFFIXES))
        if not files:
            raise StudyError(f"{path.name} holds no .nrrd or .nii label files; give one file per slice.")
    else:
        files = [path]
    labels = np.zeros((cine.n_slices, *cine.images.shape[2:]), np.uint8)
    given = np.zeros(cine.n_slices, bool)
    for file in files:
        volume = read_volume(file)
        if file.name.lower().endswith(".seg.nrrd"):
            values = _segments(volume, file)
        else:
            values = _plain(volume, file)
            _require_cine_grid(values, volume.geometries, cine, file, single=path.is_dir())
        for index, plane in _matching_planes(values, volume.geometries, cine, file):
            if given[index]:
                raise StudyError(
                    f"{file.name} labels a slice that another file labels too; give one per slice."
                )
            given[index] = True
            labels[index] = _nearest(values[plane], volume.geometries[plane], cine.geometries[index], file)
    return labels


def _plain(volume: Volume, file: Path) -> np.ndarray:
    if volume.array.shape[0] != 1:
        raise StudyError(f"{file.name} holds {volume.array.shape[0]} frames; give the labels of one phase.")
    return _whole(volume.array[0], file)


def _whole(array: np.ndarray, file: Path) -> np.ndarray:
    values = np.unique(array)
    if not np.isin(values, range(LV_CAVITY + 1)).all():
        odd = [f"{v:g}" for v in values if v not in range(LV_CAVITY + 1)][:3]
        raise StudyError(
            f"{file.name} holds the value {', '.join(odd)}; labels are 0 background, 1 RV, 2 LV myocardium, "
            "3 LV cavity."
        )
    return array.astype(np.uint8)


def _segments(volume: Volume, file: Path) -> np.ndarray:
    """(K, R, C) labels of a Slicer .seg.nrrd: each segment has a layer and a value in it.

    Segments named as ours keep their meaning whatever value Slicer gave them; others count by value.
    """
    keys = volume.keys
    numbers = sorted({int(m[1]) for m in (re.match(r"Segment(\d+)_", k) for k in keys) if m})
    if not numbers:
        return _plain(volume, file)
    by_name = {_plain_name(name): label for label, name in LABEL_NAMES.items()}
    labels = np.zeros(volume.array.shape[1:], np.uint8)
    for number in numbers:
        try:
            value = int(keys.get(f"Segment{number}_LabelValue", "1"))
            layer = int(keys.get(f"Segment{number}_Layer", "0"))
            inside = volume.array[layer] == value
        except (ValueError, IndexError) as error:
            raise StudyError(
                f"{file.name} describes Segment{number} wrongly; save it again in Slicer."
            ) from error
        label = by_name.get(_plain_name(keys.get(f"Segment{number}_Name", "")), value)
        if not 1 <= label <= LV_CAVITY:
            if inside.any():
                raise StudyError(
                    f"{file.name} holds a segment of value {label}; name the segments "
                    f"{', '.join(LABEL_NAMES.values())} or give them the values 1, 2, 3."
                )
            continue
        if (labels[inside] != 0).any():
            raise StudyError(
                f"{file.name} holds overlapping segments; forbid overlap in Slicer and save again."
            )
        labels[inside] = label
    return labels


def _plain_name(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def _require_cine_grid(values, geometries, cine: Cine, file: Path, single: bool) -> None:
    """A plain volume has no say in where it lies: it must be the cine's grid, flipped at most."""
    expected = (1 if single else cine.n_slices, *cine.images.shape[2:])
    if values.shape != expected:
        raise StudyError(
            f"{file.name} holds {values.shape[0]} slices of {values.shape[1]} × {values.shape[2]}, the cine "
            f"{expected[0]} of {expected[1]} × {expected[2]}; give labels in cine geometry."
        )
    own = np.stack([g.to_patient(_corners(g.shape)) for g in cine.geometries])  # (S, 4, 3)
    for geometry in geometries:
        corners = geometry.to_patient(_corners(geometry.shape))
        apart = np.linalg.norm(own[:, :, None] - corners, axis=-1).min(axis=2).max(axis=1)  # (S,)
        if apart.min() > GEOMETRY_TOLERANCE_MM:
            raise _off_grid(file)


def _matching_planes(values, geometries, cine: Cine, file: Path) -> list[tuple[int, int]]:
    """(cine slice, plane of the file) pairs within 1 mm; every plane that holds a label must be near one."""
    corners = np.stack([g.to_patient(_corners(g.shape)) for g in geometries])  # (K, 4, 3)
    distance = np.stack([np.abs(g.distance(corners)).max(axis=1) for g in cine.geometries])  # (S, K)
    if (values.any(axis=(1, 2)) & (distance.min(axis=0) > GEOMETRY_TOLERANCE_MM)).any():
        raise _off_grid(file)
    nearest = distance.argmin(axis=1)
    return [(s, int(k)) for s, k in enumerate(nearest) if distance[s, k] <= GEOMETRY_TOLERANCE_MM]


def _nearest(plane: np.ndarray, source: SliceGeometry, own: SliceGeometry, file: Path) -> np.ndarray:
    """(R, C) nearest value of `plane` at every pixel of `own`, 0 where the (cropped) plane ends."""
    labelled = own.to_pixel(source.to_patient(np.argwhere(plane)))
    if ((labelled < -0.5) | (labelled > np.array(own.shape) - 0.5)).any():
        raise StudyError(
            f"{file.name} holds labels outside the cine's images; give labels drawn on this cine."
        )
    centres = np.stack(np.indices(own.shape), axis=-1)
    pixel = np.rint(source.to_pixel(own.to_patient(centres))).astype(int)
    inside = ((pixel >= 0) & (pixel < source.shape)).all(axis=-1)
    row, column = np.clip(pixel, 0, np.array(source.shape) - 1).transpose(2, 0, 1)
    return np.where(inside, plane[row, column], 0).astype(np.uint8)


def _corners(shape) -> np.ndarray:
    rows, columns = shape
    return np.array([[0, 0], [0, columns - 1], [rows - 1, 0], [rows - 1, columns - 1]], float)


def _off_grid(file: Path) -> StudyError:
    return StudyError(
        f"{file.name} lies more than {GEOMETRY_TOLERANCE_MM:g} mm off the cine's slices; "
        "give labels drawn on this cine (a non-uniform stack: a folder with one file per slice)."
    )


def read_rv_insertions(path: Path, cine: Cine) -> np.ndarray:
    """(S, 2, 2) float64 (row, column): anterior, then inferior RV insertion; NaN where none is given.

    Points go by their labels ('anterior…', 'inferior…'), without labels in turn. Each pair is
    projected on the slice nearest to its midpoint. Raises StudyError when the file holds no pair,
    a point lies outside every slice, or a slice gets two pairs.
    """
    points = _markups(path) if path.name.lower().endswith(".json") else _table(path, cine)
    pairs = list(zip(_named(points, 0, path), _named(points, 1, path), strict=False))
    if not pairs or 2 * len(pairs) != len(points):
        raise StudyError(
            f"{path.name} holds {len(points)} points; give an anterior and an inferior RV insertion "
            "for each slice."
        )
    result = np.full((cine.n_slices, 2, 2), np.nan)
    for anterior, inferior in pairs:
        pair = np.stack([anterior, inferior])
        index = int(np.argmin([abs(g.distance(pair.mean(axis=0))) for g in cine.geometries]))
        geometry = cine.geometries[index]
        pixels = geometry.to_pixel(pair)
        outside = (pixels < -0.5) | (pixels > np.array(geometry.shape) - 0.5)
        if outside.any() or np.abs(geometry.distance(pair)).max() > _FARTHEST_POINT_MM:
            raise StudyError(f"{path.name} holds a point outside the cine's slices; place it on this cine.")
        if np.isfinite(result[index]).any():
            raise StudyError(f"{path.name} holds two pairs of points for slice {index}; keep one.")
        result[index] = pixels
    return result


def _named(points: list[tuple[str, np.ndarray]], which: int, path: Path) -> list[np.ndarray]:
    """Positions of the anterior (0) or inferior (1) points, in file order."""
    pattern = (r"\bant|superior|upper", r"\binf|posterior|lower")[which]
    named = [p for label, p in points if re.search(pattern, label, re.IGNORECASE)]
    labelled = [
        p for label, p in points if re.search(r"\bant|superior|upper|\binf|posterior|lower", label, re.I)
    ]
    if labelled and len(labelled) != len(points):
        raise StudyError(f"{path.name} names only some points anterior or inferior; name all or none.")
    return named if labelled else [p for _, p in points[which::2]]


def _markups(path: Path) -> list[tuple[str, np.ndarray]]:
    """Label and LPS mm of every placed control point of a Slicer markups file."""
    try:
        markup = json.loads(path.read_text("utf-8"))["markups"][0]
        to_lps = _to_lps(str(markup.get("coordinateSystem", "LPS")), path)
        placed = [p for p in markup["controlPoints"] if p.get("positionStatus", "defined") == "defined"]
        points = [(str(p.get("label", "")), np.array(p["position"], float) * to_lps) for p in placed]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        if isinstance(error, StudyError):
            raise
        raise StudyError(
            f"{path.name} is no Slicer markups file (.mrk.json); save the points again."
        ) from error
    if any(p.shape != (3,) or not np.isfinite(p).all() for _, p in points):
        raise StudyError(f"{path.name} holds a point without three coordinates; save the points again.")
    return points


def _to_lps(system: str, path: Path) -> np.ndarray:
    name = system.strip().upper()
    if name in ("LPS", "1"):
        return np.ones(3)
    if name in ("RAS", "0"):
        return np.array([-1.0, -1.0, 1.0])
    raise StudyError(f"{path.name} has the coordinate system {system!r}; LPS and RAS are known.")


def _table(path: Path, cine: Cine) -> list[tuple[str, np.ndarray]]:
    """Label and LPS mm of every row of a CSV with a label and l,p,s or r,a,s or slice,row,column."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as handle:
            rows = list(csv.DictReader(handle, skipinitialspace=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise StudyError(f"{path.name} is no CSV file; see docs/data-formats.md for its columns.") from error
    points = []
    for number, row in enumerate(rows, start=2):
        values = {str(k).strip().lower(): v for k, v in row.items()}
        try:
            if {"l", "p", "s"} <= values.keys():
                point = np.array([float(values[k]) for k in "lps"])
            elif {"r", "a", "s"} <= values.keys():
                point = np.array([float(values[k]) for k in "ras"]) * (-1, -1, 1)
            else:
                geometry = cine.geometries[_slice_number(values["slice"], cine, path)]
                point = geometry.to_patient(np.array([float(values["row"]), float(values["column"])]))
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, StudyError):
                raise
            raise StudyError(
                f"line {number} of {path.name} is not understood; columns are label and l,p,s or r,a,s (mm) "
                "or slice,row,column (from 0)."
            ) from error
        if not np.isfinite(point).all():
            raise StudyError(f"line {number} of {path.name} is not a position; give finite numbers.")
        points.append((str(values.get("label") or ""), point))
    return points


def _slice_number(text: str, cine: Cine, path: Path) -> int:
    index = int(text)
    if not 0 <= index < cine.n_slices:
        raise StudyError(f"{path.name} names slice {index}; the cine has slices 0 to {cine.n_slices - 1}.")
    return index
