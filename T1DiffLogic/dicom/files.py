"""Finding the DICOM images below a folder and reading their headers, pixel data left on disk."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID, ImplicitVRLittleEndian

from ..errors import StudyError
from .identifiers import Identifiers, text_of
from .reading import MAX_PIXEL_BYTES, MAX_SIDE, header_of, open_bounded

_DICOMDIR = "1.2.840.10008.1.3.10"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_HIGHEST_COMPRESSION = 2000
"""A blank image as JPEG 2000; what declares more is no image, and memory for it is not set aside."""
_SMALL_BYTES = 64 * 1024**2


@dataclass(frozen=True, eq=False)
class ImageFile:
    """One DICOM image on disk.

    name    path relative to the given folder, patient identifiers blotted out; fit for messages
    header  every element before the pixel data
    damage  "" or what is wrong with the file as a whole, as the end of a sentence
    known   what all headers of the folder say of who the patient is
    """

    path: Path
    name: str
    header: Dataset
    damage: str = ""
    known: Identifiers = Identifiers()


@dataclass(frozen=True)
class SelectedFiles:
    """Some files below a folder, in place of all of them: the study of a folder that holds several.

    files  paths relative to `root`
    """

    root: Path
    files: tuple[str, ...]

    def __str__(self) -> str:
        return str(self.root)


@dataclass(frozen=True, eq=False)
class Listing:
    """What lies below a folder: images, count of other files, sentences on unreadable ones."""

    root: Path
    images: tuple[ImageFile, ...]
    others: int
    unreadable: tuple[str, ...]


def printable(name: str) -> str:
    """A file name that can be written anywhere: undecodable bytes and control characters become '?'."""
    return re.sub(r"[\x00-\x1f\x7f]", "?", name.encode("utf-8", "replace").decode("utf-8"))


def find_images(path) -> Listing:
    """Every DICOM image at or below `path`, whatever the nesting, names and extensions.

    `path` is a folder, a DICOMDIR, a single DICOM file or SelectedFiles. Other files are counted, not
    named. Raises StudyError when the path does not exist or holds no DICOM image at all.
    """
    selected = path.files if isinstance(path, SelectedFiles) else None
    path = path.root if isinstance(path, SelectedFiles) else Path(path)
    if not path.exists():
        raise StudyError(f"{path} does not exist; give the folder that holds the DICOM files.")
    if path.is_file():
        root, candidates = path.parent, [path]
        if path.name.upper() == "DICOMDIR":
            candidates = _files_below(root)
    else:
        root = path
        candidates = _files_below(path) if selected is None else [path / name for name in selected]
    images, unreadable, others = [], [], 0
    for candidate in candidates:
        name = printable(str(candidate.relative_to(root)))
        try:
            image = _read_header(candidate, name)
        # A file from elsewhere can break the parser in any way; each way means the same to the user.
        except Exception as error:
            unreadable.append(f"{name} cannot be read ({type(error).__name__})")
            continue
        if image is None:
            others += 1
        else:
            images.append(image)
    if not images:
        detail = f"; {unreadable[0]}" if unreadable else ""
        raise StudyError(
            f"no DICOM image was found in {path.name or path} ({others} other files{detail}); "
            "give the folder that holds the exported cine."
        )
    # one that is damaged may name the patient only in its file name, but it lies among files of the same
    known = reduce(or_, (Identifiers.of(i.header) for i in images))
    images = [replace(i, name=known.removed_from(i.name), known=known) for i in images]
    return Listing(root, tuple(images), others, tuple(known.removed_from(s) for s in unreadable))


def require_one_study(listing: Listing) -> None:
    """Raise StudyError when the images belong to several patients or several studies.

    Where an image lacks PatientID or StudyInstanceUID, name and birth date must not differ either.
    """
    headers = [i.header for i in listing.images]
    known = {k: [text_of(h, k) for h in headers] for k in ("PatientID", "StudyInstanceUID")}
    what = {"PatientID": "patients", "StudyInstanceUID": "studies"}
    told = [(keyword, what[keyword], values) for keyword, values in known.items()]
    if any("" in values for values in known.values()):
        # the same name is written in more than one way within a study
        names = [re.sub(r"[\W_]+", "", text_of(h, "PatientName")).casefold() for h in headers]
        told.append(("PatientName", "patients", names))
        told.append(("PatientBirthDate", "patients", [text_of(h, "PatientBirthDate") for h in headers]))
    for keyword, what, values in told:
        count = len(set(values) - {""})
        if count > 1:
            raise StudyError(
                f"the folder holds images of {count} {what} ({keyword} differs); give one folder per study."
            )


def _files_below(folder: Path) -> list[Path]:
    found = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        found += [Path(parent) / name for name in sorted(names)]
    return [p for p in found if p.is_file()]


def _read_header(path: Path, name: str) -> ImageFile | None:
    """The image at `path`; None when the file is not DICOM or not an image."""
    size = path.stat().st_size
    with open_bounded(path) as handle:
        start = handle.read(132)
        has_preamble = start[128:132] == b"DICM"
        # Files without the Part 10 preamble open with group 0002 or 0008, little endian.
        if not has_preamble and start[:2] not in (b"\x02\x00", b"\x08\x00"):
            return None
        handle.seek(0)
        try:
            header = header_of(handle)
        except Exception:
            if has_preamble:
                raise
            return None
        offset = handle.tell()
    if not has_preamble and "SOPClassUID" not in header:
        return None
    sop_class = text_of(header, "SOPClassUID") or text_of(header.file_meta, "MediaStorageSOPClassUID")
    if sop_class == _DICOMDIR:
        return None
    if "Rows" not in header or "Columns" not in header:
        # Reports and documents have no rows; an image without them lost the rest of its header.
        if has_preamble and (not sop_class or "Image Storage" in UID(sop_class).name):
            raise EOFError("the header is cut short")
        return None
    return ImageFile(path, name, header, _damage(header, size, offset))


def _damage(header: Dataset, size: int, offset: int) -> str:
    """What makes the pixel data unusable, judged before a byte of it is read."""
    try:
        rows, columns = int(header.Rows), int(header.Columns)
        frames = int(header.get("NumberOfFrames", 1) or 1)
        bits = int(header.get("BitsAllocated", 16) or 16)
        samples = int(header.get("SamplesPerPixel", 1) or 1)
    # whatever stands there in place of a number
    except Exception:
        return "has unusable Rows (0028,0010), Columns (0028,0011) or NumberOfFrames (0028,0008)"
    if not (0 < rows <= MAX_SIDE and 0 < columns <= MAX_SIDE):
        return f"declares {rows} × {columns} pixels in Rows and Columns (0028,0010/0011), beyond {MAX_SIDE}"
    declared = rows * columns * frames * samples * bits // 8
    if frames < 1 or declared > MAX_PIXEL_BYTES:
        return f"declares {frames} frames in NumberOfFrames (0028,0008), more than can be read"
    syntax = UID(text_of(header.file_meta, "TransferSyntaxUID"))
    # The Pixel Data element opens with tag and length, and with a VR unless that is implicit.
    present = size - offset - (8 if syntax == ImplicitVRLittleEndian else 12)
    if present <= 0:
        return "holds no pixel data (7FE0,0010)"
    native = not (syntax.is_transfer_syntax and syntax.is_compressed) and syntax != _DEFLATED
    if native and present < declared:
        return f"is cut short ({present} of {declared} bytes of pixel data)"
    if declared > max(_SMALL_BYTES, _HIGHEST_COMPRESSION * present):
        return f"declares {declared} bytes of pixels (7FE0,0010) and holds {present}"
    return ""
