"""The records of one study as files, for handing it from one process to another: nothing is lost or guessed.

Each file is a NumPy archive without pickled objects: the arrays in full precision and a JSON header.
They are for the machine that wrote them, not for the archive: there the NRRD files and DICOM belong.
"""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path

import numpy as np

from .errors import StudyError
from .study import (
    RESEARCH_NOTICE,
    CardiacPhases,
    Cine,
    CineSource,
    LVSegmentation,
    SliceGeometry,
    SliceReport,
    Synthesis,
    T1Map,
)

CINE_SUFFIX = ".cine.npz"
T1_MAP_SUFFIX = ".t1map.npz"
SYNTHESIS_SUFFIX = ".synthesis.npz"
_FORMAT = 1
_GEOMETRY = {
    "origin": (3,),
    "row_direction": (3,),
    "column_direction": (3,),
    "spacing": (2,),
    "shape": (2,),
    "thickness_mm": (),
}


def write_cine(cine: Cine, path) -> None:
    """Write `cine`, source and all, to `path` (conventionally *.cine.npz). StudyError when it cannot be."""
    _write(path, "cine", *_cine_parts(cine))


def read_cine(path) -> Cine:
    """The Cine that `write_cine` wrote. StudyError when `path` is damaged or holds something else."""
    with _Archive(path, "cine") as archive:
        return _cine(archive)


def write_t1_map(t1: T1Map, path) -> None:
    """Write a native T1 map to `path` (conventionally *.t1map.npz). StudyError when it cannot be."""
    arrays = {"values_ms": t1.values_ms, **_geometry_arrays(t1.geometries)}
    _write(path, "T1 map", arrays, {"notes": list(t1.notes)})


def read_t1_map(path) -> T1Map:
    """The T1Map that `write_t1_map` wrote. StudyError when `path` is damaged or holds something else."""
    with _Archive(path, "T1 map") as archive:
        return T1Map(archive["values_ms"], _geometries(archive), _sentences(archive.header["notes"]))


def write_synthesis(synthesis: Synthesis, path, with_cine: bool = True) -> None:
    """Write everything of `synthesis`, samples too, to `path` (conventionally *.synthesis.npz).

    with_cine  False leaves the cine out, where it is kept elsewhere; reading then needs it
    Raises StudyError when it cannot be written.
    """
    arrays, header = _cine_parts(synthesis.cine) if with_cine else ({}, {})
    masks, phases = synthesis.segmentation, synthesis.phases
    arrays |= {name: getattr(synthesis, name) for name in ("t1_ms", "sd_ms", "valid", "samples_ms", "aha")}
    arrays |= {"masks_ed": masks.ed, "masks_es": masks.es, "rv_insertions": masks.rv_insertions}
    arrays["area_mm2"] = phases.area_mm2
    if synthesis.native_ms is not None:
        arrays |= {"native_ms": synthesis.native_ms, "native_aha": synthesis.native_aha}
    header |= {
        "phases": {"ed": phases.ed, "es": phases.es, "count": phases.count, "given": phases.given},
        "slices": [asdict(report) for report in synthesis.slices],
        "provenance": synthesis.provenance,
        "native": synthesis.native_ms is not None,
    }
    _write(path, "synthesis", arrays, header)


def read_synthesis(path, cine: Cine | None = None) -> Synthesis:
    """The Synthesis that `write_synthesis` wrote. StudyError when `path` is damaged or something else.

    cine  of the study, for a record that was written without it
    """
    with _Archive(path, "synthesis") as archive:
        header = archive.header
        provenance = header["provenance"]
        if not isinstance(provenance, dict):
            raise TypeError("provenance is no mapping")
        native = bool(header["native"])
        return Synthesis(
            cine=_cine(archive) if cine is None else cine,
            phases=CardiacPhases(
                **{name: int(header["phases"][name]) for name in ("ed", "es", "count")},
                area_mm2=archive["area_mm2"],
                given=bool(header["phases"]["given"]),
            ),
            segmentation=LVSegmentation(archive["masks_ed"], archive["masks_es"], archive["rv_insertions"]),
            slices=tuple(
                # quality is absent in records of t1diff before it scored contours
                SliceReport(
                    int(s["index"]),
                    s["level"],
                    bool(s["valid"]),
                    _sentences(s["flags"]),
                    _number(s.get("quality")),
                )
                for s in header["slices"]
            ),
            **{name: archive[name] for name in ("t1_ms", "sd_ms", "valid", "samples_ms", "aha")},
            provenance=provenance,
            native_ms=archive["native_ms"] if native else None,
            native_aha=archive["native_aha"] if native else None,
        )


def _cine_parts(cine: Cine) -> tuple[dict, dict]:
    arrays = {"images": cine.images, "trigger_ms": cine.trigger_ms, **_geometry_arrays(cine.geometries)}
    return arrays, {"source": asdict(cine.source)}


def _cine(archive) -> Cine:
    source = archive.header["source"]
    return Cine(
        images=archive["images"],
        geometries=_geometries(archive),
        trigger_ms=archive["trigger_ms"],
        source=CineSource(
            path=str(source["path"]),
            vendor=str(source["vendor"]),
            field_strength_t=_number(source["field_strength_t"]),
            heart_rate_bpm=_number(source["heart_rate_bpm"]),
            files=tuple(_sentences(names) for names in source["files"]),
            ignored=_sentences(source["ignored"]),
            notes=_sentences(source["notes"]),
            # absent in records of t1diff before it wrote DICOM
            frames=tuple(tuple(int(n) for n in numbers) for numbers in source.get("frames", [])),
        ),
    )


def _geometry_arrays(geometries) -> dict:
    return {
        f"geometry_{name}": np.array([getattr(g, name) for g in geometries], dtype=np.float64)
        for name in _GEOMETRY
    }


def _geometries(archive) -> tuple[SliceGeometry, ...]:
    columns = {name: archive[f"geometry_{name}"] for name in _GEOMETRY}
    count = len(columns["origin"])
    for name, shape in _GEOMETRY.items():
        if columns[name].shape != (count, *shape) or not np.isfinite(columns[name]).all():
            raise ValueError(f"geometry_{name}")
    return tuple(
        SliceGeometry(
            origin=columns["origin"][s],
            row_direction=columns["row_direction"][s],
            column_direction=columns["column_direction"][s],
            spacing=tuple(columns["spacing"][s]),
            shape=tuple(columns["shape"][s]),
            thickness_mm=float(columns["thickness_mm"][s]),
        )
        for s in range(count)
    )


def _number(value) -> float | None:
    return None if value is None else float(value)


def _sentences(values) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError("not a list")
    return tuple(str(v) for v in values)


def _write(path, kind: str, arrays: dict, header: dict) -> None:
    """The archive under its final name only when it is whole."""
    path = Path(path)
    header = {"t1diff": kind, "format": _FORMAT, "notice": RESEARCH_NOTICE, **header}
    text = json.dumps(header, ensure_ascii=False, default=plain_value)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".t1diff-", delete=False) as handle:
            temporary = Path(handle.name)
            np.savez(handle, header=np.frombuffer(text.encode("utf-8"), np.uint8), **arrays)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise StudyError(
            f"{path} could not be written ({error.strerror or error}); free space or choose another place."
        ) from error


def plain_value(value):
    """NumPy values and paths as JSON has them, for json.dumps(default=…); TypeError for anything else."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in a JSON file")


class _Archive:
    """An opened file of one `kind`: its JSON header and its arrays by name.

    Whatever goes wrong inside the `with` because of what the file holds ends as one StudyError.
    """

    def __init__(self, path, kind: str):
        self.path, self.kind, self.file = Path(path), kind, None

    def __enter__(self):
        try:
            self.file = np.load(self.path, allow_pickle=False)
            if not isinstance(self.file, np.lib.npyio.NpzFile):
                raise ValueError("a single array")
            self.header = json.loads(bytes(self["header"]).decode("utf-8"))
            found, version = self.header.get("t1diff"), self.header.get("format")
        except FileNotFoundError as error:
            raise StudyError(f"{self.path} does not exist; give an existing file.") from error
        except Exception as error:
            self._close()
            raise self._damaged() from error
        if found != self.kind:
            self._close()
            raise StudyError(f"{self.path.name} holds a {found or 'different record'}, not a {self.kind}.")
        if version != _FORMAT:
            self._close()
            raise StudyError(
                f"{self.path.name} is of another version of T1Diff (format {version}, expected {_FORMAT}); "
                "write it again."
            )
        return self

    def __getitem__(self, name: str) -> np.ndarray:
        return self.file[name]

    def __exit__(self, kind, error, _):
        self._close()
        damage = (KeyError, TypeError, ValueError, AttributeError, EOFError, OSError, zipfile.BadZipFile)
        if isinstance(error, (*damage, zlib.error)):
            raise self._damaged(error if isinstance(error, StudyError) else None) from error

    def _close(self):
        if self.file is not None and hasattr(self.file, "close"):
            self.file.close()

    def _damaged(self, reason=None) -> StudyError:
        told = f": {str(reason).rstrip('.')}" if reason is not None else ""
        return StudyError(f"{self.path.name} is damaged or no {self.kind} of T1Diff{told}; write it again.")
