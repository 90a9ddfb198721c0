"""batch.json of one study: what was asked, of which files, and how it ended; what is done and what is not.

`result.json` says that a folder is complete, batch.json that it is the answer to this very question: it
names the SHA-256 of the result.json that it belongs to, so a kill between the two can only cost a redo.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from ..outputs import RESULT, STAGE, remove_earlier
from ..study import RESEARCH_NOTICE

RECORD = "batch.json"


def digest(value) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def read_result(folder: Path) -> dict | None:
    """result.json of a complete study folder; None when it is missing, damaged or a listed file is."""
    try:
        result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        whole = result["status"] == "ok" and all((folder / f).is_file() for f in result["files"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return result if whole else None


def read_record(folder: Path) -> dict:
    """batch.json of a study folder; {} when it is missing or damaged."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def is_done(folder: Path, options_sha256: str, inputs_sha256: str) -> bool:
    """Whether `folder` is complete and made with these options from these very files."""
    record = read_record(folder)
    asked = {"status": "ok", "options_sha256": options_sha256, "inputs_sha256": inputs_sha256}
    if any(record.get(key) != value for key, value in asked.items()):
        return False
    try:
        same = record.get("result_sha256") == _file_sha256(folder / RESULT)
    except OSError:
        return False
    return same and read_result(folder) is not None


def record_done(folder: Path, entries: dict) -> None:
    """Write batch.json beside a fresh result.json. OSError when that cannot be."""
    _write(folder, {"status": "ok", **entries, "result_sha256": _file_sha256(folder / RESULT)})


def record_failure(folder: Path, reason: str, entries: dict) -> bool:
    """Leave nothing in `folder` of this or an earlier run but batch.json with the reason.

    A map made with other options or from other files would be taken for the answer. Returns whether
    the reason could be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        clear_stages(folder)
        remove_earlier(folder)
        _write(folder, {"status": "failed", "reason": reason, **entries})
    except OSError:
        return False
    return True


def clear_stages(folder: Path) -> None:
    """Remove the hidden files and folders that a killed or stopped run left in the folder of a study."""
    for left in folder.glob(f"{STAGE}*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def write_whole(path: Path, write) -> None:
    """Make a text file by write(file) beside its place and move it in when whole. OSError."""
    handle, temporary = tempfile.mkstemp(prefix=STAGE, dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            write(file)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    # there is no way to read it but to set it; mkstemp makes files that nobody else may read
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _write(folder: Path, record: dict) -> None:
    text = json.dumps({**record, "notice": RESEARCH_NOTICE}, indent=1, ensure_ascii=False) + "\n"
    write_whole(folder / RECORD, lambda file: file.write(text))


def _file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
