"""Finding the DICOM images below a folder and reading their headers, pixel data left on disk."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID, ImplicitVRLittleEndian

from ..errors import StudyError

MAX_SIDE = 4096
MAX_PIXEL_BYTES = 4 * 1024**3
_DICOMDIR = "1.2.840.10008.1.3.10"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_NAMES = ("PatientName", "OtherPatientNames", "PatientBirthName")
_IDENTIFYING = (*_NAMES, "PatientID", "OtherPatientIDs", "AccessionNumber", "PatientBirthDate")


@dataclass(frozen=True, eq=False)
class ImageFile:
    """One DICOM image on disk.

    name    path relative to the given folder, patient identifiers blotted out; fit for messages
    header  every element before the pixel data
    damage  "" or what is wrong with the file as a whole, as the end of a sentence
    """

    path: Path
    name: str
    header: Dataset
    damage: str = ""


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


def without_identifiers(text: str, header: Dataset) -> str:
    """`text` with every part of the patient's name, ID, birth date or accession number as '…'.

    Parts of a name that are two letters short ("Li") go only as words of their own: within words they
    are syllables of anything, and a "slice" or a "file" would lose its meaning.
    """
    for keyword in _IDENTIFYING:
        # brackets and quotes are those that pydicom writes around several values
        for part in re.split(r"[\^=,;\\\s\[\]'\"]+", str(header.get(keyword, "") or "")):
            pattern = re.escape(part)
            if len(part) == 2 and keyword in _NAMES:
                pattern = rf"(?<![^\W\d_]){pattern}(?![^\W\d_])"
            elif len(part) < 3:
                continue
            text = re.sub(pattern, "…", text, flags=re.IGNORECASE)
    return text


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
    # an unreadable file has no header of its own, but it lies among files of the same patient
    unreadable = [without_identifiers(sentence, images[0].header) for sentence in unreadable]
    return Listing(root, tuple(images), others, tuple(unreadable))


def require_one_study(listing: Listing) -> None:
    """Raise StudyError when the images belong to several patients or several studies."""
    for keyword, what in (("PatientID", "patients"), ("StudyInstanceUID", "studies")):
        values = {str(i.header.get(keyword, "") or "") for i in listing.images} - {""}
        if len(values) > 1:
            raise StudyError(
                f"the folder holds images of {len(values)} {what} ({keyword} differs); "
                "give one folder per study."
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
    with open(path, "rb") as handle:
        start = handle.read(132)
        has_preamble = start[128:132] == b"DICM"
        # Files without the Part 10 preamble open with group 0002 or 0008, little endian.
        if not has_preamble and start[:2] not in (b"\x02\x00", b"\x08\x00"):
            return None
        handle.seek(0)
        try:
            header = pydicom.dcmread(handle, stop_before_pixels=True, force=True)
        except Exception:
            if has_preamble:
                raise
            return None
        offset = handle.tell()
    if not has_preamble and "SOPClassUID" not in header:
        return None
    sop_class = str(header.get("SOPClassUID", "") or header.file_meta.get("MediaStorageSOPClassUID", ""))
    if sop_class == _DICOMDIR:
        return None
    if "Rows" not in header or "Columns" not in header:
        # Reports and documents have no rows; an image without them lost the rest of its header.
        if has_preamble and (not sop_class or "Image Storage" in UID(sop_class).name):
            raise EOFError("the header is cut short")
        return None
    return ImageFile(path, without_identifiers(name, header), header, _damage(header, size, offset))


def _damage(header: Dataset, size: int, offset: int) -> str:
    """What makes the pixel data unusable, judged before a byte of it is read."""
    try:
        rows, columns = int(header.Rows), int(header.Columns)
        frames = int(header.get("NumberOfFrames", 1) or 1)
        bits = int(header.get("BitsAllocated", 16) or 16)
        samples = int(header.get("SamplesPerPixel", 1) or 1)
    except (TypeError, ValueError):
        return "has unusable Rows (0028,0010), Columns (0028,0011) or NumberOfFrames (0028,0008)"
    if not (0 < rows <= MAX_SIDE and 0 < columns <= MAX_SIDE):
        return f"declares {rows} × {columns} pixels in Rows and Columns (0028,0010/0011), beyond {MAX_SIDE}"
    declared = rows * columns * frames * samples * bits // 8
    if frames < 1 or declared > MAX_PIXEL_BYTES:
        return f"declares {frames} frames in NumberOfFrames (0028,0008), more than can be read"
    syntax = UID(str(header.file_meta.get("TransferSyntaxUID", "") or ""))
    # The Pixel Data element opens with tag and length, and with a VR unless that is implicit.
    present = size - offset - (8 if syntax == ImplicitVRLittleEndian else 12)
    if present <= 0:
        return "holds no pixel data (7FE0,0010)"
    native = not (syntax.is_transfer_syntax and syntax.is_compressed) and syntax != _DEFLATED
    if native and present < declared:
        return f"is cut short ({present} of {declared} bytes of pixel data)"
    return ""
