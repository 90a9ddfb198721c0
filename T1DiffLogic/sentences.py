"""What may be told of an error: one sentence, and nothing that was read from a patient's file."""

from __future__ import annotations

import logging
import os
import traceback
import warnings

from .errors import Cancelled, StudyError


def sentence_of(error: BaseException) -> str:
    """One sentence on `error` for a person, without any value read from a patient's file."""
    if isinstance(error, StudyError):
        return " ".join(str(error).split())
    if isinstance(error, Cancelled | KeyboardInterrupt):
        return "stopped on request; nothing half-written was left behind."
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}; check the path, its permissions and the free space."
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "memory ran out; use fewer --samples, or --device cpu on a machine with more memory."
    if isinstance(error, ModuleNotFoundError):
        return f"the Python package {error.name!r} is missing; install t1diff with its extras again."
    # the text of an unforeseen exception may quote a DICOM value, so only its kind and place are told
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    return f"unexpected {type(error).__name__}{place}; run again with --debug and report what it prints."


def quieten_libraries() -> None:
    """pydicom's warnings quote element values, which may identify the patient."""
    warnings.simplefilter("ignore")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
