"""A study from disk: cine, native T1 map, and what a clinician corrected, in whichever file they come."""

from __future__ import annotations

from pathlib import Path

from . import study_files
from .errors import StudyError
from .study import Cine, T1Map
from .volumes import VOLUME_SUFFIXES


def _is_volume(path: Path) -> bool:
    return path.is_file() and path.name.lower().endswith(VOLUME_SUFFIXES)


def _is_record(path: Path, suffix: str) -> bool:
    return path.is_file() and path.name.lower().endswith(suffix)


def _existing(path) -> Path:
    path = Path(path)
    if not path.exists():
        raise StudyError(f"{path} does not exist; give an existing folder or file.")
    return path


def load_cine(path) -> Cine:
    """The short-axis cine at `path`: S slices × P phases, LPS mm and ms.

    A folder is searched for DICOM in any nesting and naming; a file is one DICOM object (enhanced
    MR), a 4D NIfTI, a 4D NRRD, a Slicer sequence `.seq.nrrd`, or a `.cine.npz` of `study_files`.
    docs/data-formats.md has the rules.
    Raises StudyError with one sentence naming the file or tag and the remedy.
    """
    path = _existing(path)
    if _is_record(path, study_files.CINE_SUFFIX):
        return study_files.read_cine(path)
    if _is_volume(path):
        from .volumes import read_cine_volume

        return read_cine_volume(path)
    from .dicom.cine import read_cine

    return read_cine(path)


def load_t1_map(path) -> T1Map:
    """The native T1 map at `path` in ms: a DICOM folder or file, a 3D NIfTI or NRRD volume, or a
    `.t1map.npz` of `study_files`.

    Vendor scaling is resolved by plausibility and noted. Raises StudyError as `load_cine` does.
    """
    path = _existing(path)
    if _is_record(path, study_files.T1_MAP_SUFFIX):
        return study_files.read_t1_map(path)
    if _is_volume(path):
        from .volumes import read_t1_volume

        return read_t1_volume(path)
    from .dicom.t1map import read_t1_map

    return read_t1_map(path)


def load_labels(path, cine: Cine):
    """(S, R, C) uint8 labels (0 background, 1 RV, 2 LV myocardium, 3 LV cavity) for one phase of `cine`.

    `path` is a volume in cine geometry (.nrrd, .nii, .nii.gz), a Slicer segmentation .seg.nrrd
    (may be cropped), or a folder with one single-slice file per cine slice. Raises StudyError.
    """
    from .review_files import read_labels

    return read_labels(_existing(path), cine)


def load_rv_insertions(path, cine: Cine):
    """(S, 2, 2) float64 (row, column) of the anterior and the inferior RV insertion; NaN where not given.

    `path` is a Slicer markups file (.mrk.json) or a CSV. Raises StudyError.
    """
    from .review_files import read_rv_insertions

    return read_rv_insertions(_existing(path), cine)
