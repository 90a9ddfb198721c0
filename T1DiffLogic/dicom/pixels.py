"""Pixel values of single frames, rescaled; compressed files included where a decoder exists."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ..errors import StudyError
from .files import ImageFile
from .frames import Frame
from .identifiers import text_of
from .reading import pixels_of


def stored_values(frames) -> list[np.ndarray]:
    """(R, C) stored values of each frame, before any rescaling; every file is opened once.

    Raises StudyError naming the file when its pixel data cannot be decoded.
    """
    decoded: dict[Path, np.ndarray] = {}
    result = []
    for frame in frames:
        path = frame.file.path
        if path not in decoded:
            decoded[path] = _decode(frame.file)
        array = decoded[path]
        image = array[frame.index] if frame.enhanced and array.ndim == 3 else array
        if image.shape != frame.shape:
            raise StudyError(
                f"{frame.file.name} holds pixels of shape {image.shape}, not the {frame.shape} of its "
                "header; export the file again."
            )
        result.append(image)
    return result


def rescale(frame: Frame) -> tuple[float, float]:
    """(RescaleSlope (0028,1053), RescaleIntercept (0028,1052)); 1 and 0 when absent, as GE leaves them."""
    slope = frame.attributes.number("RescaleSlope")
    intercept = frame.attributes.number("RescaleIntercept")
    return (1.0 if not slope else slope), (0.0 if intercept is None else intercept)


def read_images(frames) -> np.ndarray:
    """(N, R, C) float32 rescaled values of N frames of one shape."""
    images = np.empty((len(frames), *frames[0].shape), dtype=np.float32)
    for target, frame, stored in zip(images, frames, stored_values(frames)):
        slope, intercept = rescale(frame)
        np.multiply(stored, slope, out=target, casting="unsafe")
        target += intercept
    return images


def _decode(file: ImageFile) -> np.ndarray:
    try:
        dataset = pixels_of(file.path)
        # a damaged file may give it as any text
        syntax = UID(text_of(dataset.file_meta, "TransferSyntaxUID"))
        if not syntax:
            is_implicit = dataset.original_encoding[0]
            syntax = ImplicitVRLittleEndian if is_implicit else ExplicitVRLittleEndian
        dataset.file_meta.TransferSyntaxUID = syntax
        return dataset.pixel_array
    # Decoders raise whatever they like on damaged or foreign data.
    except Exception as error:
        cause = error
    if "syntax" in locals() and syntax.is_transfer_syntax and syntax.is_compressed:
        try:
            if int(dataset.get("NumberOfFrames", 1) or 1) == 1:
                return _decode_with_gdcm(dataset)
        except Exception as error:
            cause = error
        raise StudyError(
            f"{file.name} is compressed ({syntax.name}) and no decoder for it could read the file; "
            "export the study uncompressed (Explicit VR Little Endian)."
        ) from cause
    raise StudyError(
        f"the pixel data (7FE0,0010) of {file.name} cannot be read; export the file again."
    ) from cause


def _decode_with_gdcm(dataset) -> np.ndarray:
    """Decode through the GDCM inside SimpleITK, which brings JPEG lossless, JPEG-LS and JPEG 2000."""
    for keyword in ("RescaleSlope", "RescaleIntercept"):  # GDCM would apply them
        if keyword in dataset:
            delattr(dataset, keyword)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "frame.dcm")
        dataset.save_as(path)
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(path)
        return np.squeeze(sitk.GetArrayFromImage(reader.Execute()), axis=0)
