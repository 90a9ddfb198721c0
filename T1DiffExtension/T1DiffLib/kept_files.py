"""Files that a study keeps in the scene, so that a saved scene reopens with all that was made.

A zip archive as base64 in a text node: such a node is saved with every scene, in one file or many,
and needs no module to be read again. Nothing in it can run code, and no name in it leads elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from T1DiffLogic.errors import StudyError

LARGEST_BYTES = 2**31
"""What an archive may hold unpacked; a study is a hundredth of it."""

# RuntimeError: encrypted or, as NotImplementedError, packed in a way that we never do
_DAMAGE = (binascii.Error, zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, RuntimeError)


def keep(scene, name: str, files: dict[str, bytes]):
    """Adds a vtkMRMLTextNode `name` to the scene that holds `files` (relative POSIX names -> content)."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    node = scene.AddNewNodeByClass("vtkMRMLTextNode", name)
    node.SetText(base64.b64encode(packed.getvalue()).decode("ascii"))
    return node


def kept(node) -> dict[str, bytes]:
    """The files that `keep` put into a text node. StudyError when it is damaged."""
    try:
        packed = base64.b64decode(node.GetText() or "", validate=True)
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if sum(entry.file_size for entry in entries) > LARGEST_BYTES or not all(map(_inside, entries)):
                raise ValueError("not what T1Diff keeps")
            return {entry.filename: archive.read(entry) for entry in entries}
    except _DAMAGE as error:
        raise StudyError(
            f"what the scene keeps as '{node.GetName()}' is damaged; find the contours and synthesise again."
        ) from error


def files_of(folder: Path, without: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Every file below `folder` for `keep`, but for names at its top that are in `without`."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in without
    }


def unpack(files: dict[str, bytes], folder: Path) -> None:
    """Writes `files` of `kept` below `folder`."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _inside(entry) -> bool:
    path = PurePosixPath(entry.filename)
    return not path.is_absolute() and ".." not in path.parts and not {"\\", ":"} & set(entry.filename)
