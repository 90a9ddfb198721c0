"""Prepared pairs of cine and native T1 map: the files of a DATASET folder, and drawing from them.

A DATASET folder (docs/prepare.md) holds dataset.json, pairs.csv and one NumPy archive per patient,
pairs/<patient>.npz: S slices from base to apex, each on 128 × 128 pixels of 1.4 mm around the LV.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

from ..errors import StudyError

FORMAT = 1
DATASET_FILE, PAIRS_FILE, PATIENTS_FILE, EXCLUDED_FILE = (
    "dataset.json", "pairs.csv", "patients.csv", "excluded.csv",
)  # fmt: skip
PAIRS_FOLDER, QC_FOLDER = "pairs", "qc"
SPLITS = ("train", "validation", "test")

FIELDS = {
    "patient": ("U", "", True),
    "slices": ("i", "S", True),
    "level": ("U", "S", True),
    "phases": ("i", "P", True),
    "ed": ("i", "", True),
    "es": ("i", "", True),
    "cine": ("f2", "SPHW", True),
    "cine_all": ("f2", "SNHW", False),
    "labels_ed": ("u1", "SHW", True),
    "labels_es": ("u1", "SHW", True),
    "soft_ed": ("f2", "S4HW", True),
    "soft_es": ("f2", "S4HW", True),
    "rv_insertions": ("f8", "S22", True),
    "t1_ms": ("f4", "SHW", True),
    "labels_t1": ("u1", "SHW", True),
    "aha": ("u1", "SHW", True),
    "aha_t1": ("u1", "SHW", True),
    "origin_mm": ("f8", "S3", True),
    "row": ("f8", "S3", True),
    "column": ("f8", "S3", True),
    "pixel_mm": ("f8", "", True),
    # digital patients alone
    "seed": ("i", "", False),
    "infarcted": ("i", "", False),
    "true_labels_ed": ("u1", "SHW", False),
    "true_labels_es": ("u1", "SHW", False),
    "t1_repeat_ms": ("f4", "SHW", False),
    "labels_t1_repeat": ("u1", "SHW", False),
    "aha_t1_repeat": ("u1", "SHW", False),
    "t1_truth_ms": ("f4", "SHW", False),
    "t1_expected_ms": ("f4", "SHW", False),
    "scar": ("f2", "SHW", False),
}
"""name: (kind or dtype, axes, whether every file has it).

Axes: S slices, P phases as the engine sees them, N all phases, H × W pixels; a digit is that length.
`phases` are the indices in the cine of the P phases of `cine`; `cine` and `cine_all` are scanner units,
per patient divided by a power of two where half precision could not hold them. `row` and `column` are
the LPS unit vectors of increasing column and row index from the pixel centre `origin_mm`; `rv_insertions`
(row, column) of the anterior and inferior one on this grid, NaN if unseen. Maps are ms, 0 = no value.
"""

_BATCH = {
    "cine": "cine", "labels_ed": "labels_ed", "labels_es": "labels_es", "soft_ed": "soft_ed",
    "soft_es": "soft_es", "t1": "t1_ms", "labels_t1": "labels_t1", "aha": "aha", "aha_t1": "aha_t1",
}  # fmt: skip
_DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def write_patient(folder, record: dict) -> Path:
    """Write one patient's record (the names of FIELDS) to `folder`/pairs/<patient>.npz; returns that path.

    Atomic: the file is there whole or not at all. Raises StudyError when the record breaks FIELDS or the
    file cannot be written.
    """
    patient = str(record["patient"])
    record = checked({name: np.asarray(value) for name, value in record.items()}, f"patient {patient}")
    path = Path(folder) / PAIRS_FOLDER / f"{patient}.npz"
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".t1diff-", suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            # level 1: noise does not compress, and the levels above take most of a patient's time
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                for name, value in record.items():
                    # ZipInfo's constant date: the same patient gives the same bytes
                    entry = zipfile.ZipInfo(f"{name}.npy")
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    with archive.open(entry, "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, value, allow_pickle=False)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise StudyError(
            f"{path} cannot be written ({error.strerror or error}); free space or rights."
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return path


def read_patient(path, names=None) -> dict[str, np.ndarray]:
    """The record that `write_patient` wrote, or those of its `names` that it has.

    Raises StudyError when the file is missing, cut short, damaged or breaks FIELDS.
    """
    path = Path(path)
    if not path.is_file():
        raise StudyError(f"{path} does not exist; prepare the dataset again.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            wanted = [n for n in archive.files if names is None or n in names]
            record = {name: archive[name] for name in wanted}
    except _DAMAGE as error:
        raise StudyError(
            f"{path} is damaged ({type(error).__name__}); delete it and prepare again."
        ) from error
    return checked(record, str(path), names)


def checked(record: dict[str, np.ndarray], what: str, names=None) -> dict[str, np.ndarray]:
    """`record` with FIELDS' types. StudyError naming `what` when one is missing, misshapen, not finite."""
    sizes: dict[str, int] = {}
    result = {}
    for name, (kind, axes, required) in FIELDS.items():
        if name not in record:
            if required and (names is None or name in names):
                raise StudyError(f"{what} lacks {name!r}; prepare it again.")
            continue
        value = record[name]
        fits = value.ndim == len(axes) and all(
            n == int(a) if a.isdigit() else n == sizes.setdefault(a, n) for a, n in zip(axes, value.shape)
        )
        if not fits or not (
            value.dtype.kind == kind if len(kind) == 1 else np.can_cast(value.dtype, kind, "same_kind")
        ):
            raise StudyError(f"{what} holds {name!r} as {value.dtype} {value.shape}; prepare it again.")
        if value.dtype.kind == "f" and name != "rv_insertions" and not np.isfinite(value).all():
            raise StudyError(f"{what} holds values of {name!r} that are not finite; prepare it again.")
        result[name] = value if len(kind) == 1 else value.astype(kind, copy=False)
    unknown = set(record) - set(FIELDS)
    if unknown:
        raise StudyError(f"{what} holds {sorted(unknown)[0]!r}, which no dataset of format {FORMAT} has.")
    return result


def read_dataset(folder) -> dict:
    """dataset.json of a complete DATASET folder. StudyError when there is none or it is of another format."""
    path = Path(folder) / DATASET_FILE
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        known = description["format"]
    except OSError as error:
        raise StudyError(
            f"{folder} holds no {DATASET_FILE}; prepare it to its end: `t1diff prepare COHORT -o {folder}`."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path} is damaged; prepare the dataset again.") from error
    if known != FORMAT:
        raise StudyError(f"{path} is of format {known}, not {FORMAT}; prepare the dataset again.")
    return description


class PreparedPairs:
    """The slices of one split of a DATASET folder, in the order of pairs.csv.

    folder     the DATASET folder
    split      "train", "validation", "test", or None for all
    cache_mib  memory kept for patients already read; the longest unused go first

    patients     the pseudonyms, in order; `rows` the dicts of pairs.csv; `description` dataset.json
    Raises StudyError when the folder is no complete dataset or the split is empty.
    """

    def __init__(self, folder, split: str | None = None, cache_mib: float = 4096):
        if split is not None and split not in SPLITS:
            raise StudyError(f"split {split!r} is none of {', '.join(SPLITS)}.")
        self.folder, self.split = Path(folder), split
        self.description = read_dataset(folder)
        path = self.folder / PAIRS_FILE
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = [r for r in csv.DictReader(file) if split is None or r["split"] == split]
            self.rows = [{**r, "slice": int(r["slice"])} for r in rows]
            self.patients = tuple(dict.fromkeys(r["patient"] for r in rows))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StudyError(f"{path} is missing or damaged; prepare the dataset again.") from error
        if not rows:
            if split is None:
                raise StudyError(f"{folder} holds no pair; its excluded.csv says why.")
            raise StudyError(
                f"{folder} holds no pair of the split {split!r}; prepare it with another --split-seed, with "
                "larger --test-share or --validation-share, or from more patients."
            )
        self._limit, self._held = cache_mib * 2**20, 0
        self._cache: OrderedDict[str, dict] = OrderedDict()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def digest(self) -> str:
        """SHA-256 of dataset.json, of pairs.csv and of names and sizes of the patients' files: another one is
        another dataset. The files themselves, gigabytes of them, are not read."""
        found = hashlib.sha256()
        for name in (DATASET_FILE, PAIRS_FILE):
            found.update((self.folder / name).read_bytes())
        for path in sorted((self.folder / PAIRS_FOLDER).glob("*.npz")):
            found.update(f"{path.name} {path.stat().st_size}".encode())
        return found.hexdigest()

    def path(self, patient: str) -> Path:
        """The file of one patient."""
        return self.folder / PAIRS_FOLDER / f"{patient}.npz"

    def patient(self, patient: str) -> dict[str, np.ndarray]:
        """Everything of one patient, geometry too, as `read_patient` gives it."""
        return read_patient(self.path(patient))

    def indices(self, patient: str) -> list[int]:
        """Where the slices of one patient stand in this split."""
        return [i for i, row in enumerate(self.rows) if row["patient"] == patient]

    def slice(self, i: int) -> dict:
        """One pair: cine (P, H, W) float16, frame_es (H, W), labels_ed, labels_es, labels_t1, aha, aha_t1
        (H, W) uint8, soft_ed, soft_es (4, H, W) float16, t1 and, of phantoms, t1_expected (H, W) float32
        ms; and patient, slice (index in the cine), level."""
        row = self.rows[i]
        record = self._light(row["patient"])
        where = np.flatnonzero(record["slices"] == row["slice"])
        if not where.size:
            raise StudyError(f"{self.path(row['patient'])} lacks slice {row['slice']}; prepare it again.")
        s = int(where[0])
        # copies: what training writes into must not be the cache
        result = {key: torch.from_numpy(record[name][s].copy()) for key, name in _BATCH.items()}
        if "t1_expected_ms" in record:
            result["t1_expected"] = torch.from_numpy(record["t1_expected_ms"][s].copy())
        result["frame_es"] = result["cine"][record["cine"].shape[1] - 2].clone()
        return {**result, "patient": row["patient"], "slice": row["slice"], "level": str(record["level"][s])}

    def batch(self, indices) -> dict:
        """The pairs at `indices`: tensors stacked along dimension 0, as training.rendered.engine_batch
        gives them, `slice` a tensor (B,), `patient` and `level` lists."""
        pairs = [self.slice(int(i)) for i in indices]
        result: dict = {}
        for key, value in pairs[0].items():
            column = [pair[key] for pair in pairs]
            result[key] = torch.stack(column) if isinstance(value, torch.Tensor) else column
        result["slice"] = torch.tensor(result["slice"])
        return result

    def _light(self, patient: str) -> dict:
        """What `slice` needs of a patient, from memory where it is there."""
        if patient in self._cache:
            self._cache.move_to_end(patient)
            return self._cache[patient]
        names = {*_BATCH.values(), "t1_expected_ms", "slices", "level"}
        record = read_patient(self.path(patient), names)
        self._cache[patient] = record
        self._held += _bytes(record)
        while self._held > self._limit and len(self._cache) > 1:
            self._held -= _bytes(self._cache.popitem(last=False)[1])
        return record


def _bytes(record: dict) -> int:
    return sum(value.nbytes for value in record.values())
