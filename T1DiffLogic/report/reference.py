"""A site's normal range of native T1, from a small file that the site edits, and z-scores against it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import StudyError
from ..resources import resources_folder

FORMAT = 1
DEFAULT = "reference_t1.json"
ORIENTATION_NOTE = "synthetic values; for orientation"
"""Stands beside every z-score: a range of measured values is no normal range of synthetic ones."""

SCALE_SEQUENCE, SCALE_FIELD_T = "5(3)3", 3.0
_KEYS = ("format", "sequence", "field_strength_t", "vendor", "mean_ms", "sd_ms", "n", "source")
_REMEDY = "see docs/report.md"


@dataclass(frozen=True)
class Reference:
    """Native T1 of normal myocardium as one site measures it: mean and SD between persons, ms.

    vendor   None where it is not stated
    n        how many persons, None where it is not stated
    source   one line: a citation, or the site's own measurement
    """

    sequence: str
    field_strength_t: float
    mean_ms: float
    sd_ms: float
    source: str
    vendor: str | None = None
    n: int | None = None

    @property
    def refused(self) -> str:
        """Why synthetic values must not be held against it; "" where they may.

        The values are on one scale whatever scanner the cine came from; another field strength moves T1 by
        some 200 ms and another scheme of MOLLI by 130 ms (Granitz 2019; Dabir, JCMR 2014;16:69).
        """
        if abs(self.field_strength_t - SCALE_FIELD_T) > 0.25:
            return f"the reference is of {self.field_strength_t:g} T and the map on the 3 T scale"
        if SCALE_SEQUENCE not in re.sub(r"[\sbs]", "", self.sequence):
            return f"the reference is of {self.sequence} and the map on the scale of MOLLI 5(3)3"
        return ""

    def z(self, mean_ms: float | None) -> float | None:
        """(mean − reference mean) / reference SD; None without a value or where the range is refused."""
        return None if mean_ms is None or self.refused else (mean_ms - self.mean_ms) / self.sd_ms

    def score(self, entry: dict) -> dict:
        """z and z_uncertainty of an entry with mean_ms and uncertainty_ms, as statistics gives them."""
        z, doubt = self.z(entry["mean_ms"]), entry["uncertainty_ms"]
        return {"z": z, "z_uncertainty": None if z is None or doubt is None else doubt / self.sd_ms}


def read_reference(path: Path | str | None = None) -> Reference:
    """The reference of a file, of this installation for None.

    Raises StudyError, naming the file and the entry, when it cannot be read, is no JSON object of format 1,
    or holds a value that cannot be.
    """
    path = resources_folder() / "Configs" / DEFAULT if path is None else Path(path)
    try:
        entries = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise StudyError(f"{path} cannot be read ({error.strerror}); check --reference.") from error
    except (ValueError, RecursionError) as error:
        place = f" in line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise StudyError(f"{path} is not valid JSON{place}; correct it, {_REMEDY}.") from error
    if not isinstance(entries, dict) or entries.get("format") != FORMAT:
        raise StudyError(f'{path} is no T1 reference of "format": {FORMAT}; {_REMEDY}.')
    unknown = sorted(set(entries) - set(_KEYS))
    if unknown:
        raise StudyError(f"{path}: unknown entry {unknown[0]!r}; the entries are {', '.join(_KEYS)}.")
    n = entries.get("n")
    if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
        raise StudyError(f"{path}: n is not a whole number from 1, or null; correct it, {_REMEDY}.")
    return Reference(
        sequence=_text(path, entries, "sequence"),
        field_strength_t=_number(path, entries, "field_strength_t", 0.1, 15),
        mean_ms=_number(path, entries, "mean_ms", 300, 3000),
        sd_ms=_number(path, entries, "sd_ms", 1, 500),
        source=_text(path, entries, "source"),
        vendor=None if entries.get("vendor") is None else _text(path, entries, "vendor"),
        n=n,
    )


def compared(reference: Reference, result: dict) -> dict:
    """What result.json holds as "reference": the range, whether it applies, and the z-scores.

    result  with "midseptal", "global" and "segments" already in it
    """
    return asdict(reference) | {
        "applies": not reference.refused,
        "note": reference.refused or ORIENTATION_NOTE,
        "z": {
            "midseptal": reference.score(result["midseptal"]),
            "global": reference.score(result["global"]),
            "segments": [{"id": row["id"], **reference.score(row)} for row in result["segments"]],
        },
    }


def _number(path: Path, entries: dict, name: str, low: float, high: float) -> float:
    value = entries.get(name)
    real = isinstance(value, int | float) and not isinstance(value, bool)
    # NaN and infinity are in no range
    if not real or not low <= value <= high:
        raise StudyError(f"{path}: {name} is not a number from {low:g} to {high:g}; correct it, {_REMEDY}.")
    return float(value)


def _text(path: Path, entries: dict, name: str) -> str:
    value = entries.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > 200:
        raise StudyError(f"{path}: {name} is not a text of 1 to 200 characters; correct it, {_REMEDY}.")
    return " ".join(value.split())
