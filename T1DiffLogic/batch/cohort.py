"""Which studies lie below a folder, whatever the nesting, and what their files looked like when found."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pydicom
import SimpleITK as sitk
from pydicom.tag import Tag
from pydicom.uid import UID

from ..dicom.files import printable
from ..dicom.identifiers import Identifiers, text_of
from ..dicom.reading import header_of, open_bounded
from ..errors import StudyError
from ..outputs import STAGE
from ..study_files import CINE_SUFFIX
from ..volumes import VOLUME_SUFFIXES

Part = tuple[str, tuple[str, ...] | None]
"""A folder relative to the cohort, and the files of it that belong to the study (None: all of them)."""

_ROWS = 0x00280010
_TAGS = [
    Tag(keyword)
    for keyword in (
        "SOPClassUID", "SpecificCharacterSet", "StudyInstanceUID", "Rows", "PatientName", "OtherPatientNames",
        "PatientBirthName", "PatientID", "OtherPatientIDs", "AccessionNumber", "PatientBirthDate",
    )
]  # fmt: skip
_LABELS = ("labels.seq.nrrd", ".seg.nrrd")


@dataclass(frozen=True)
class FoundStudy:
    """One study of a cohort, as small as can be: a cohort may hold very many.

    key       ten hexadecimal digits, from StudyInstanceUID or, without one, from the place; the same in
              every run
    label     the place relative to the cohort, patient identifiers blotted out; fit for tables and logs
    place     the same as it is on disk, for the person who owns the files
    parts     where its files lie; a volume file is the one file of its part
    is_volume whether it is a 4D volume file instead of DICOM
    inputs    SHA-256 over names, sizes and times of all its files
    """

    key: str
    label: str
    place: str
    parts: tuple[Part, ...]
    is_volume: bool
    inputs: str

    @property
    def name(self) -> str:
        """A folder name for the results: readable, safe on every file system, unique by the key."""
        readable = re.sub(r"[^A-Za-z0-9_]+", "-", self.label)[-40:].strip("-_")
        return f"{readable or 'study'}-{self.key}"


def find_studies(
    cohort: Path, leave_out: Path | None = None, seen: Callable[[int], None] | None = None
) -> tuple[list[FoundStudy], list[str]]:
    """The studies below `cohort` in order of their places, and sentences on what could not be searched.

    A study is what shares a StudyInstanceUID (0020,000D), over however many folders, or one 4D volume
    file. DICOM images without that UID make one study per folder, never more, so that patients are not
    mixed; so do damaged files with nothing else beside them, which will then be told as a failure.
    Symbolic links are followed, each folder once. Memory grows by some hundred bytes per study.

    leave_out  a folder not to search: the one with the results
    seen       called with the number of files looked at so far

    Raises StudyError when `cohort` is no folder or holds no study.
    """
    cohort = Path(cohort)
    if not cohort.is_dir():
        raise StudyError(f"{cohort} is not a folder; give the folder that holds the studies.")
    parts: dict[str, list[tuple[Part, str, str]]] = {}
    volumes, problems, looked_at = [], [], 0
    for folder, names, problem in _folders(cohort, leave_out):
        if problem:
            problems.append(problem)
            continue
        relative = folder.relative_to(cohort).as_posix()
        for key, files, label in _studies_of(folder, relative, names):
            parts.setdefault(key, []).append(((relative, files), label, _state(folder, files or names)))
        for name in names:
            if _is_cine_volume(folder / name):
                place = (PurePosixPath(relative) / name).as_posix()
                part, state = (relative, (name,)), _state(folder, (name,))
                key, label = _key(f"file {place}"), printable(place)
                volumes.append(FoundStudy(key, label, place, (part,), True, _key(state, 64)))
        looked_at += len(names)
        if seen:
            seen(looked_at)
    found = volumes + [_joined(key, entries) for key, entries in parts.items()]
    if not found:
        raise StudyError(
            f"no study was found below {cohort} ({looked_at} files, none of them a DICOM image or a 4D "
            "volume); give the folder that holds the studies."
        )
    return sorted(found, key=lambda study: (study.place, study.key)), problems


def files_of(root: Path, parts: tuple[Part, ...]) -> list[str]:
    """Every file of a study now, relative to the cohort `root`. OSError when a folder is gone."""
    result = []
    for folder, names in parts:
        here = Path(root) / folder
        for name in names if names is not None else _names(here):
            result.append((PurePosixPath(folder) / name).as_posix())
    return result


def inputs_of(root: Path, parts: tuple[Part, ...]) -> str:
    """What FoundStudy.inputs would be now. OSError when a file or folder is gone."""
    states = [_state(Path(root) / f, n if n is not None else _names(Path(root) / f)) for f, n in parts]
    return _key("".join(states), 64)


def _joined(key: str, entries: list[tuple[Part, str, str]]) -> FoundStudy:
    parts = tuple(part for part, _, _ in entries)
    place, label = (
        posixpath.commonpath(p) for p in ([f for f, _ in parts], [label for _, label, _ in entries])
    )
    return FoundStudy(key, label, place, parts, False, _key("".join(state for _, _, state in entries), 64))


def _folders(cohort: Path, leave_out: Path | None) -> Iterator[tuple[Path, list[str], str]]:
    """(folder, its files, "") of every folder, parents first, or (folder, [], why it cannot be listed)."""
    left_out = leave_out.resolve() if leave_out is not None else None
    stack, visited = [cohort], set()
    while stack:
        folder = stack.pop()
        try:
            state = folder.stat()
            if (state.st_dev, state.st_ino) in visited:
                continue
            visited.add((state.st_dev, state.st_ino))
            names = _names(folder)
            with os.scandir(folder) as entries:
                below = sorted((e.name for e in entries if e.is_dir()), reverse=True)
        except OSError as error:
            # its name is not told: no header is at hand to see whether it names a patient
            yield (
                folder,
                [],
                f"a folder cannot be listed ({error.strerror}); give yourself the right to read it",
            )
            continue
        yield folder, names, ""
        for name in below:
            child = folder / name
            if not name.startswith(STAGE) and (left_out is None or child.resolve() != left_out):
                stack.append(child)


def _names(folder: Path) -> list[str]:
    # is_file() of a pipe or a device is False, so that nothing here can wait for one
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_file())


def _studies_of(folder: Path, relative: str, names: list[str]) -> Iterator[tuple[str, tuple | None, str]]:
    """(key, its files or None for all, label) of each study with files in `folder`."""
    by_uid: dict[str, list[str]] = {}
    known, rest = Identifiers(), []
    damaged = False
    for name in names:
        kind, uid, header = _identified(folder / name)
        if kind == "image":
            by_uid.setdefault(uid, []).append(name)
            known |= Identifiers.of(header)
        else:
            damaged |= kind == "damaged"
            rest.append(name)
    if len(by_uid) == 2 and "" in by_uid:
        # images that lost their UID among those of one study are read with it, as of a folder by itself
        by_uid = {next(uid for uid in by_uid if uid): []}
    if not by_uid and damaged:
        yield _key(f"folder {relative}"), None, printable(relative)
    for uid, own in by_uid.items():
        key = _key(f"study {uid}" if uid else f"folder {relative}")
        # what cannot be told apart goes to each study of the folder, which will note it or refuse
        files = None if len(by_uid) == 1 else tuple(sorted(own + rest))
        yield key, files, known.removed_from(printable(relative))


def _identified(path: Path) -> tuple[str, str, pydicom.Dataset | None]:
    """("image", StudyInstanceUID or "", header), ("damaged", …) or ("other", …): as little read as can be."""
    preamble = False
    try:
        with open_bounded(path) as handle:
            start = handle.read(132)
            preamble = start[128:132] == b"DICM"
            if not preamble and start[:2] not in (b"\x02\x00", b"\x08\x00"):
                return "other", "", None
            handle.seek(0)
            header = header_of(handle, _ROWS, _TAGS)
        if _ROWS not in header:
            sop_class = text_of(header, "SOPClassUID") or text_of(header.file_meta, "MediaStorageSOPClassUID")
            # reports have no rows; an image without them lost the rest of its header
            cut = preamble and (not sop_class or "Image Storage" in UID(sop_class).name)
            return "damaged" if cut else "other", "", None
        return "image", text_of(header, "StudyInstanceUID"), header
    # a file from elsewhere can break the parser in any way; each way means the same to the user
    except Exception:
        return ("damaged" if preamble else "other"), "", None


def _is_cine_volume(path: Path) -> bool:
    """Whether `path` is a volume file that may be a cine: 4D, by its header."""
    name = path.name.lower()
    if name.endswith(CINE_SUFFIX):
        return True
    if not name.endswith(VOLUME_SUFFIXES) or name.endswith(_LABELS):
        return False
    if name.endswith(".seq.nrrd"):
        return True
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    # ITK refuses axes of kind 'time', which the cine reader takes, and damaged files, which it will name
    except RuntimeError:
        return True
    return reader.GetDimension() == 4 or reader.GetNumberOfComponents() > 4


def _state(folder: Path, names) -> str:
    """SHA-256 over name, size and time (s: not every file system keeps more) of the files of a folder."""
    digest = hashlib.sha256()
    for name in names:
        state = os.stat(folder / name)
        digest.update(f"{name}\0{state.st_size}\0{int(state.st_mtime)}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _key(text: str, digits: int = 10) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:digits]
