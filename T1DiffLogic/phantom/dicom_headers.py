"""The attributes that every DICOM object of a digital heart carries, and writing them to disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)
from pydicom.valuerep import format_number_as_ds

from ..dicom.frames import PHILIPS_IMAGING, PHILIPS_MR
from ..study import SliceGeometry

IMPLEMENTATION_UID = generate_uid(entropy_srcs=["T1Diff", "implementation"])


class Identity:
    """Who and which study: everything that files of one call, or of one seed, have in common."""

    def __init__(self, seed: int, patient: str | None, vendor: str):
        self.seed = seed
        self.patient = patient or f"T1DIFF-PHANTOM-{seed:06d}"
        self.vendor = vendor

    def uid(self, *parts) -> str:
        """The same UID for the same seed, patient and parts."""
        return generate_uid(entropy_srcs=["T1Diff phantom", str(self.seed), self.patient, *map(str, parts)])

    @staticmethod
    def clock(seconds: float) -> str:
        """TM of `seconds` after the start of the examination at 10:00."""
        total = 36000 + seconds
        hours, minutes = int(total // 3600), int(total % 3600 // 60)
        return f"{hours:02d}{minutes:02d}{total % 60:09.6f}"


def base_dataset(identity: Identity, sop_class: str, series: str, number: int, instance: int) -> FileDataset:
    """Patient, Study, Series, Equipment and SOP Common of one object."""
    sop_instance = identity.uid("instance", series, instance)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = sop_instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = sop_instance
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20240101"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = identity.clock(0)
    dataset.AccessionNumber = ""
    dataset.Modality = "MR"
    dataset.Manufacturer = identity.vendor
    dataset.ManufacturerModelName = "T1Diff digital phantom"
    dataset.SoftwareVersions = "T1Diff"
    dataset.DeviceSerialNumber = "0"
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = "DIGITAL PHANTOM - NOT A PATIENT"
    dataset.PatientName = dataset.PatientID = identity.patient
    dataset.PatientBirthDate = dataset.PatientSex = ""
    dataset.StudyID = "1"
    dataset.StudyInstanceUID = identity.uid("study")
    dataset.FrameOfReferenceUID = identity.uid("frame of reference")
    dataset.PositionReferenceIndicator = ""
    dataset.SeriesInstanceUID = series
    dataset.SeriesNumber = number
    dataset.InstanceNumber = instance
    dataset.PatientPosition = "HFS"
    return dataset


def pixel_module(dataset: Dataset, pixels: np.ndarray, signed: bool) -> None:
    """Image Pixel of (..., R, C) grey values, rounded to 16 bits, little endian."""
    dtype = "<i2" if signed else "<u2"
    limits = np.iinfo(dtype)
    stored = np.clip(np.rint(pixels), limits.min, limits.max).astype(dtype)
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = int(signed)
    dataset.PixelData = stored.tobytes()


def decimal(values) -> list[str]:
    """DS strings: at most 16 characters each."""
    return [format_number_as_ds(float(v) + 0.0) for v in values]


def mr_image(pixels: np.ndarray, geometry: SliceGeometry, identity: Identity, series: str, number: int,
             instance: int, signed: bool = False) -> FileDataset:  # fmt: skip
    """A classic MR Image of (R, C) stored values lying at `geometry`."""
    dataset = base_dataset(identity, MRImageStorage, series, number, instance)
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "GR", "SS", ""
    dataset.MRAcquisitionType = "2D"
    dataset.RepetitionTime, dataset.EchoTime, dataset.FlipAngle = "3.0", "1.5", "45"
    dataset.EchoTrainLength = 1
    dataset.MagneticFieldStrength = "3"
    dataset.AcquisitionNumber = 1
    dataset.ImagePositionPatient = decimal(geometry.origin)
    dataset.ImageOrientationPatient = decimal([*geometry.row_direction, *geometry.column_direction])
    dataset.PixelSpacing = decimal(geometry.spacing)
    dataset.SliceThickness = decimal([geometry.thickness_mm])[0]
    dataset.SliceLocation = decimal([geometry.origin @ geometry.normal])[0]
    pixel_module(dataset, pixels, signed)
    return dataset


def philips_private(
    dataset: Dataset,
    phase: int | None = None,
    phases: int | None = None,
    slices: int | None = None,
    *,
    scale_slope: float,
    scale_intercept: float,
) -> None:
    """PhaseNumber, NumberOfPhases, NumberOfSlices and the floating-point scale, as Philips keeps them."""
    if phase is not None:
        imaging = dataset.private_block(0x2001, PHILIPS_IMAGING, create=True)
        imaging.add_new(0x08, "IS", phase)
        imaging.add_new(0x17, "SL", phases)
        imaging.add_new(0x18, "SL", slices)
    mr = dataset.private_block(0x2005, PHILIPS_MR, create=True)
    mr.add_new(0x0D, "FL", scale_intercept)
    mr.add_new(0x0E, "FL", scale_slope)


def secondary_capture(colours: np.ndarray, identity: Identity, number: int) -> FileDataset:
    """An RGB Secondary Capture of (R, C, 3) uint8."""
    dataset = base_dataset(identity, SecondaryCaptureImageStorage, identity.uid("series", number), number, 1)
    dataset.SeriesDescription = "T1 map screen save"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.ConversionType = "WSD"
    dataset.SamplesPerPixel = 3
    dataset.PhotometricInterpretation = "RGB"
    dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = colours.shape[:2]
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.PixelData = colours.tobytes() + b"\0" * (colours.size % 2)
    dataset["PixelData"].VR = "OB"
    return dataset


def save_shuffled(datasets: list[FileDataset], folder: Path, identity: Identity, number: int) -> list[Path]:
    """Write under names in random order without an extension; paths in the order of `datasets`."""
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng([identity.seed, number]).permutation(len(datasets))
    paths = []
    for dataset, shuffled in zip(datasets, order):
        path = folder / f"IM_{number:03d}_{shuffled:04d}"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths
