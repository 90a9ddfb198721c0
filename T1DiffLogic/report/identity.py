"""Whom the report of `--identify` names, read again from the cine's own headers; nothing else keeps it."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from dataclasses import dataclass

import pydicom

from ..study import Cine

_TAGS = ["SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "StudyDate"]
UNKNOWN = "not in the headers"


@dataclass(frozen=True)
class Identity:
    """What the headers say, as text; UNKNOWN where they say nothing."""

    name: str
    patient_id: str
    birth_date: str
    study_date: str

    def lines(self) -> tuple[tuple[str, str], ...]:
        """(label, value) in the order of a report's heading."""
        return (
            ("Patient", self.name),
            ("ID", self.patient_id),
            ("Born", self.birth_date),
            ("Study", self.study_date),
        )


def read_identity(cine: Cine) -> tuple[Identity | None, str]:
    """(whom the cine shows, or None, and then a sentence on why nobody can be named).

    PatientName (0010,0010), PatientID (0010,0020), PatientBirthDate (0010,0030) and StudyDate (0008,0020)
    of the first image: the reader has refused studies of more than one patient.
    """
    if not cine.source.files:
        return None, "report.html names nobody: the cine was not read from DICOM files."
    try:
        # pydicom's warnings quote what they warn of
        with _unheard():
            header = pydicom.dcmread(
                cine.source.files[0][0], stop_before_pixels=True, force=True, specific_tags=_TAGS
            )
            header.decode()
            return (
                Identity(
                    _name(header),
                    _text(header, "PatientID"),
                    _date(header, "PatientBirthDate"),
                    _date(header, "StudyDate"),
                ),
                "",
            )
    except Exception:  # pydicom raises anything on damaged headers, with their values in the text
        return None, "report.html names nobody: the headers of the cine cannot be read again."


def _name(header) -> str:
    value = header.get("PatientName")
    if not value:
        return UNKNOWN
    parts = []
    for group in (value.alphabetic, value.ideographic):
        family, *given = [" ".join(part.split()) for part in group.split("^")]
        given = " ".join(part for part in given if part)
        parts += [", ".join(part for part in (family, given) if part)] if group.strip("^ ") else []
    return _writable(" · ".join(parts)) or UNKNOWN


def _text(header, name: str) -> str:
    return _writable(str(header.get(name) or "")) or UNKNOWN


def _writable(text: str) -> str:
    """One line that UTF-8 can hold, whatever bytes the headers had."""
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").split())


def _date(header, name: str) -> str:
    text = _text(header, name)
    digits = text.replace(".", "")
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}" if len(digits) == 8 and digits.isdigit() else text


@contextmanager
def _unheard():
    logger = logging.getLogger("pydicom")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)
