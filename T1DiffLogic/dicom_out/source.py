"""The DICOM images a result was made from: who they belong to, what they are called, where they lie."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import numpy as np
from pydicom import config
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID, MRImageStorage, generate_uid
from pydicom.valuerep import format_number_as_ds

from ..dicom.enhanced import frames_of
from ..dicom.files import find_images, require_one_study
from ..dicom.frames import Frame
from ..dicom.offers import selected
from ..errors import StudyError
from ..study import Cine, SliceGeometry

CHARACTER_SET = "ISO_IR 192"
"""UTF-8: the series descriptions hold a dash, and any patient's name can be written in it."""

_KEPT_GROUPS = {0x0008, 0x0010, 0x0012, 0x0032, 0x0038}
_KEPT = {
    "StudyInstanceUID", "StudyID", "PositionReferenceIndicator", "SoftwareVersions", "DeviceSerialNumber",
    "PatientPosition", "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod",
}  # fmt: skip
_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName", "PositionReferenceIndicator",
)  # fmt: skip
_SEXES = ("M", "F", "O")
_SAME_PLACE_MM = 1e-3


@dataclass(frozen=True)
class SourceImage:
    """One image of the source as other objects refer to it; `frame` counts from 1, None in a classic file."""

    sop_class: str
    sop_instance: str
    series: str
    frame: int | None


@dataclass(frozen=True, eq=False)
class SourceStudy:
    """The ED images of a cine, base for everything that is filed beside it.

    images   S SourceImage, in the order of the cine's slices
    headers  S stand-ins for them: classic MR headers of one series at the slices' positions, with the
             source's patient, study, frame of reference and equipment. highdicom takes sources of one
             series and one orientation only, while Siemens writes a series per slice, an enhanced object
             holds them all, and slices are parallel but for rounding or some tenths of a degree.
    notes    sentences on what of the source could not be carried over
    """

    images: tuple[SourceImage, ...]
    headers: tuple[Dataset, ...]
    notes: tuple[str, ...]

    @property
    def by_stand_in(self) -> dict[str, SourceImage]:
        """Which image each stand-in's SOPInstanceUID stands for."""
        return {str(h.SOPInstanceUID): image for h, image in zip(self.headers, self.images, strict=True)}


def read_source(cine: Cine, phase: int) -> SourceStudy:
    """The source images of `cine` at `phase`, their headers read again from disk.

    Raises StudyError when the cine does not come from DICOM files, when these are gone or are no longer
    what the cine was read from, or when they lack what an object of the same study must have.
    """
    source = cine.source
    if not source.files:
        raise StudyError("the cine was not read from DICOM files, so there is no study to file in.")
    paths = [os.path.abspath(files[phase]) for files in source.files]
    numbers = [frames[phase] for frames in source.frames] or [0] * len(paths)
    try:
        listing = find_images(selected(dict.fromkeys(paths)))
        require_one_study(listing)
        found = {(os.path.abspath(f.file.path), f.index): f for f in frames_of(listing)}
        frames = [found[place] for place in zip(paths, numbers, strict=True)]
    except (OSError, KeyError, StudyError):
        raise StudyError("the DICOM files of the cine are no longer where it was read from.") from None
    for frame, geometry in zip(frames, cine.geometries, strict=True):
        if not _same_place(frame.geometry, geometry):
            raise StudyError("the DICOM files of the cine were changed since it was read.")
    reference = _frame_of_reference(frames)
    images = tuple(_source_image(frame) for frame in frames)
    series = generate_uid(entropy_srcs=["T1Diff stand-in", *(i.sop_instance for i in images)])
    headers, notes = [], {}
    for number, (frame, geometry) in enumerate(zip(frames, cine.geometries, strict=True)):
        header, refused = _carried_over(frame.file.header)
        notes |= dict.fromkeys(refused)
        header.SOPClassUID, header.SeriesInstanceUID = MRImageStorage, series
        header.SOPInstanceUID = generate_uid(entropy_srcs=[series, str(number)])
        header.FrameOfReferenceUID = reference
        header.InstanceNumber, header.Modality = number + 1, "MR"
        # highdicom wants one orientation; references.true_planes gives each slice its own again
        place(header, replace(cine.geometries[0], origin=geometry.origin))
        headers.append(header)
    return SourceStudy(images, tuple(headers), tuple(notes))


def place(dataset: Dataset, geometry: SliceGeometry) -> None:
    """Image Plane (PS3.3 C.7.6.2) and size of one slice."""
    dataset.ImagePositionPatient = decimals(geometry.origin)
    dataset.ImageOrientationPatient = decimals([*geometry.row_direction, *geometry.column_direction])
    dataset.PixelSpacing = decimals(geometry.spacing)
    dataset.SliceThickness = decimals([geometry.thickness_mm])[0]
    dataset.Rows, dataset.Columns = geometry.shape


def decimals(values) -> list[str]:
    """Decimal strings of at most 16 characters, never -0."""
    return [format_number_as_ds(float(v) + 0.0) for v in values]


def _same_place(found: SliceGeometry | None, expected: SliceGeometry) -> bool:
    if found is None or found.shape != expected.shape:
        return False
    corners = np.array([[0, 0], [0, found.shape[1]], [found.shape[0], 0]])
    return bool(np.abs(found.to_patient(corners) - expected.to_patient(corners)).max() < _SAME_PLACE_MM)


def _frame_of_reference(frames: list[Frame]) -> str:
    """The one FrameOfReferenceUID (0020,0052). StudyError where it is missing or differs."""
    references = {frame.attributes.text("FrameOfReferenceUID") for frame in frames}
    if len(references) > 1:
        raise StudyError("the slices of the cine lie in different frames of reference (0020,0052).")
    reference = references.pop()
    if not UID(reference).is_valid:
        raise StudyError("the cine has no valid FrameOfReferenceUID (0020,0052).")
    return reference


def _source_image(frame: Frame) -> SourceImage:
    names = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
    values = [frame.attributes.text(name) for name in names]
    for name, value in zip(names, values, strict=True):
        if not value or not UID(value).is_valid:
            raise StudyError(f"the cine has no valid {name}.")
    return SourceImage(*values[:3], frame.index + 1 if frame.enhanced else None)


def _carried_over(header: Dataset) -> tuple[Dataset, list[str]]:
    """Patient, study and equipment of `header` as UTF-8, and a note on each value that is not valid DICOM."""
    kept, notes = Dataset(), []
    kept.SpecificCharacterSet = header.get("SpecificCharacterSet") or CHARACTER_SET
    for tag in header.keys():
        if tag.is_private or tag.group not in _KEPT_GROUPS and keyword_for_tag(tag) not in _KEPT:
            continue
        try:
            element = header[tag]
            if element.VR != "SQ":
                element = DataElement(tag, element.VR, element.value, validation_mode=config.RAISE)
        except Exception:  # a value that pydicom cannot convert or that breaks its VR
            notes.append(f"{keyword_for_tag(tag)} {tag} of the cine is not valid and not in dicom/.")
            continue
        kept.add(element)
    kept.decode()
    kept.SpecificCharacterSet = CHARACTER_SET
    for keyword in _TYPE_2:
        if keyword not in kept:
            setattr(kept, keyword, "")
    if kept.PatientSex and kept.PatientSex not in _SEXES:
        kept.PatientSex = ""
        notes.append("PatientSex (0010,0040) of the cine is none of M, F, O and not in dicom/.")
    return kept, notes
