"""Digital hearts as Enhanced MR Image objects (PS3.3 A.36): all frames in one file."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage

from ..study import SliceGeometry
from .dicom_headers import Identity, base_dataset, decimal, pixel_module


def enhanced_object(pixels: np.ndarray, geometries: tuple[SliceGeometry, ...], trigger_ms: np.ndarray,
                    identity: Identity, series: str, number: int, description: str, image_type: list[str],
                    slope: float) -> FileDataset:  # fmt: skip
    """Stored values (S, P, R, C) of S slices at (S, P) trigger times as one object, phase by phase.

    Frames carry plane position, orientation, cardiac synchronisation (P > 1) and dimension indices;
    spacing is shared when all slices have the same, and so is the rescaling by `slope`.
    """
    slices, phases = pixels.shape[:2]
    dataset = base_dataset(identity, EnhancedMRImageStorage, series, number, 1)
    dataset.SeriesDescription = description
    dataset.ImageType = image_type
    dataset.MagneticFieldStrength = 3.0
    dataset.ResonantNucleus, dataset.ContentQualification = "1H", "RESEARCH"
    dataset.PixelPresentation, dataset.VolumetricProperties = "MONOCHROME", "VOLUME"
    dataset.VolumeBasedCalculationTechnique = "NONE"
    dataset.ComplexImageComponent = "MAGNITUDE"
    dataset.AcquisitionContrast = "STEADY_STATE"
    dataset.AcquisitionDateTime = "20240101" + identity.clock(number * 20)
    dataset.AcquisitionDuration = 15.0 * slices
    dataset.PresentationLUTShape, dataset.BurnedInAnnotation = "IDENTITY", "NO"
    dataset.LossyImageCompression = "00"
    dataset.AcquisitionContextSequence = Sequence()
    if phases > 1:
        dataset.CardiacSynchronizationTechnique = "RETROSPECTIVE"
        dataset.CardiacSignalSource = "ECG"
    dataset.NumberOfFrames = slices * phases
    _dimensions(dataset, identity, phases)
    dataset.SharedFunctionalGroupsSequence = Sequence([_shared(geometries, image_type, slope)])
    frames = [
        _frame(geometries[s], s, p, trigger_ms[s], identity, number)
        for p in range(phases)
        for s in range(slices)
    ]
    dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
    rows, columns = pixels.shape[2:]
    pixel_module(dataset, np.swapaxes(pixels, 0, 1).reshape(-1, rows, columns), signed=False)
    return dataset


def _dimensions(dataset: Dataset, identity: Identity, phases: int) -> None:
    organisation = identity.uid("dimension organisation", dataset.SeriesInstanceUID)
    own = Dataset()
    own.DimensionOrganizationUID = organisation
    dataset.DimensionOrganizationSequence = Sequence([own])
    # (index, group it lies in): stack position, then trigger delay
    pointers = [(0x00209057, 0x00209111)] + ([(0x00209153, 0x00189118)] if phases > 1 else [])
    items = []
    for pointer, group in pointers:
        item = Dataset()
        item.DimensionOrganizationUID = organisation
        item.DimensionIndexPointer = pointer
        item.FunctionalGroupPointer = group
        items.append(item)
    dataset.DimensionIndexSequence = Sequence(items)


def _group(**values) -> Sequence:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return Sequence([item])


def _measures(geometry: SliceGeometry) -> Sequence:
    return _group(PixelSpacing=decimal(geometry.spacing), SliceThickness=decimal([geometry.thickness_mm])[0])


def _shared(geometries, image_type: list[str], slope: float) -> Dataset:
    shared = Dataset()
    if len({g.spacing for g in geometries}) == 1:
        shared.PixelMeasuresSequence = _measures(geometries[0])
    shared.PixelValueTransformationSequence = _group(
        RescaleIntercept="0", RescaleSlope=decimal([slope])[0], RescaleType="US"
    )
    shared.MRImageFrameTypeSequence = _group(
        FrameType=image_type, PixelPresentation="MONOCHROME", VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE", ComplexImageComponent="MAGNITUDE",
        AcquisitionContrast="STEADY_STATE",
    )  # fmt: skip
    return shared


def _frame(geometry: SliceGeometry, s: int, p: int, times, identity: Identity, number: int) -> Dataset:
    frame = Dataset()
    frame.FrameContentSequence = _group(
        StackID="1", InStackPositionNumber=s + 1,
        DimensionIndexValues=[s + 1] + ([p + 1] if len(times) > 1 else []),
        FrameAcquisitionDateTime="20240101" + identity.clock(number * 20 + s * 15),
    )  # fmt: skip
    frame.PlanePositionSequence = _group(ImagePositionPatient=decimal(geometry.origin))
    frame.PlaneOrientationSequence = _group(
        ImageOrientationPatient=decimal([*geometry.row_direction, *geometry.column_direction])
    )
    frame.PixelMeasuresSequence = _measures(geometry)
    if len(times) > 1:
        cycle = float(np.median(np.diff(times))) * len(times)
        frame.CardiacSynchronizationSequence = _group(
            NominalCardiacTriggerDelayTime=float(times[p]), RRIntervalTimeNominal=cycle
        )
    return frame


def set_inversion_times(dataset: FileDataset, times_ms: np.ndarray) -> None:
    """Tell each frame its (S, N) inversion time in its MR Modifier group, frames image by image.

    Philips fills InversionTimes (0018,9079) up with the largest double; so does this.
    """
    times = np.asarray(times_ms).T.ravel()
    for frame, time in zip(dataset.PerFrameFunctionalGroupsSequence, times, strict=True):
        frame.pop("CardiacSynchronizationSequence", None)
        frame.MRModifierSequence = _group(
            InversionRecovery="YES", InversionTimes=[float(time), float(np.finfo(np.float64).max)]
        )
