"""T1 and its SD as float Parametric Maps, and T1 as plain MR images for archives that draw no floats."""

from __future__ import annotations

import math

import numpy as np
from highdicom import VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from highdicom.sr import CodeContentItem
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import MRImageStorage

from ..report.colours import SD_WINDOW_MS, T1_WINDOW_MS
from . import codes as concepts
from .edition import CREATOR, NO_VALUE, NOTICE, Edition
from .references import refer_to_source, slices_of_frames, source_image_sequence, true_planes
from .source import place

LARGEST_MS = 4095.0
"""End of the mapped range: no T1 in the body is longer, and twelve bits hold it."""

_WHAT = {
    "t1_map": ("T1", "Synthetic T1", T1_WINDOW_MS, False),
    "t1_sd": ("T1 SD", "SD of the synthetic T1", SD_WINDOW_MS, True),
}


def parametric_map(values_ms: np.ndarray, role: str, edition: Edition) -> ParametricMap:
    """(S, R, C) float32 ms as one Parametric Map; `role` is 't1_map' or 't1_sd'.

    Frame s is slice s of the cine. FloatPixelPaddingValue (0028,0122) is 0: no value there.
    """
    label, explanation, window, is_sd = _WHAT[role]
    result = ParametricMap(
        source_images=edition.source.headers,
        pixel_array=np.asarray(values_ms, dtype=np.float32),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_mapping(label, explanation, (0.0, _largest(values_ms)), is_sd)],
        voi_lut_transformations=[VOILUTTransformation(*_centre_width(window), label)],
        content_label=label.upper().replace(" ", "_"),
        content_description=f"{explanation} in ms, {NO_VALUE}",
        content_creator_name=CREATOR,
        **edition.names(role),
    )
    _in_slice_order(result, values_ms, edition.synthesis.cine.geometries)
    true_planes(result, edition.synthesis.cine.geometries)
    refer_to_source(result, edition.source)
    result.Modality = "MR"  # PS3.3 C.8.32.1: of the device that acquired the data; highdicom writes OT
    # one value, as a range of one: validators want the limit wherever there is a padding value
    result.FloatPixelPaddingValue = result.FloatPixelPaddingRangeLimit = 0.0
    result.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [_heart()]
    for frame, report in zip(result.PerFrameFunctionalGroupsSequence, edition.synthesis.slices, strict=True):
        frame.FrameContentSequence[0].FrameComments = _told(report)
    return edition.finish(result)


def _in_slice_order(result: ParametricMap, values_ms, geometries) -> None:
    """Frames along the stack normal, row × column: highdicom sorts them the other way, and 3D Slicer's
    importer (dcmqi 1.5) lays them down in file order from the lowest one, whatever their positions say."""
    order = np.argsort(slices_of_frames(result, geometries))
    frames = [result.PerFrameFunctionalGroupsSequence[k] for k in order]
    for number, frame in enumerate(frames, start=1):
        frame.FrameContentSequence[0].DimensionIndexValues = [number]
    result.PerFrameFunctionalGroupsSequence = frames
    result.FloatPixelData = np.ascontiguousarray(values_ms, dtype="<f4").tobytes()


def t1_images(edition: Edition) -> list[Dataset]:
    """S classic MR images of the T1, uint16 whole ms: PixelPaddingValue (0028,0120) is 0."""
    synthesis, source = edition.synthesis, edition.source
    stored = np.clip(np.rint(synthesis.t1_ms), 0, np.iinfo(np.uint16).max).astype("<u2")
    images = []
    for index, (header, report) in enumerate(zip(source.headers, synthesis.slices, strict=True)):
        image = edition.image("t1_image", MRImageStorage, "MR", index + 1, header)
        geometry = synthesis.cine.geometries[index]
        image.FrameOfReferenceUID = header.FrameOfReferenceUID
        image.PositionReferenceIndicator = header.PositionReferenceIndicator
        if "PatientPosition" in header:
            image.PatientPosition = header.PatientPosition
        place(image, geometry)
        image.ImageType = ["DERIVED", "PRIMARY", "T1 MAP"]
        # no scanner played a sequence for this image, and the cine's would mislead
        image.ScanningSequence, image.SequenceVariant, image.ScanOptions = "RM", "NONE", ""
        image.MRAcquisitionType, image.EchoTime, image.EchoTrainLength = "2D", None, None
        image.RepetitionTime = None
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
        image.PixelPaddingValue = 0
        image.RescaleSlope, image.RescaleIntercept, image.RescaleType = "1", "0", "ms"
        image.WindowCenter, image.WindowWidth = (f"{v:g}" for v in _centre_width(T1_WINDOW_MS))
        image.WindowCenterWidthExplanation = "T1"
        image.RealWorldValueMappingSequence = [_mapping("T1", "Synthetic T1", (0, 65535))]
        image.BurnedInAnnotation = "NO"
        image.ImageComments = f"{NOTICE}. T1 in ms, {NO_VALUE}. {_told(report)}"
        image.SourceImageSequence = source_image_sequence([source.images[index]])
        image.PixelData = stored[index].tobytes()
        images.append(edition.finish(image))
    return images


def _heart() -> Dataset:
    """Frame Anatomy (PS3.3 C.7.6.16.2.8), without which 3D Slicer's importer (dcmqi 1.5) crashes."""
    item = Dataset()
    item.AnatomicRegionSequence = [concepts.HEART]
    item.FrameLaterality = "U"
    return item


def _mapping(label: str, explanation: str, limits, is_sd: bool = False) -> RealWorldValueMapping:
    mapping = RealWorldValueMapping(
        lut_label=label,
        lut_explanation=f"{explanation}, {NO_VALUE}",
        unit=concepts.MILLISECOND,
        value_range=limits,
        slope=1,
        intercept=0,
        quantity_definition=concepts.T1,
    )
    if is_sd:
        mapping.QuantityDefinitionSequence.append(
            CodeContentItem(codes.DCM.Derivation, concepts.STANDARD_DEVIATION)
        )
    return mapping


def _largest(values_ms) -> float:
    return max(LARGEST_MS, float(math.ceil(np.max(values_ms))))


def _centre_width(window) -> tuple[float, float]:
    return (window[0] + window[1]) / 2, float(window[1] - window[0])


def _told(report) -> str:
    """What a reader of one slice should know: its level, and why it has no value."""
    words = [f"Slice {report.index}: {report.level or 'outside the LV'}"]
    if not report.valid:
        words.append("not judged, no value anywhere")
    return "; ".join([*words, *report.flags])
