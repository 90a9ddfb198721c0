"""The overlay as a colour Secondary Capture, what it is burned in above and below."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from .edition import Edition
from .references import source_image_sequence

BURNED_IN = "SYNTHETIC T1 - NOT FOR CLINICAL USE"
BAND_PX, LETTERS_PX = 56, 36
WIDTH_PX = 1000
"""Widest picture that is filed: all letters of an overlay (1600 px) remain legible, on a screen and on A4."""

_BAND, _LETTERS = (166, 28, 28), (255, 255, 255)


def overlay_capture(picture: Path, edition: Edition) -> Dataset:
    """The PNG `picture` as RGB, at most WIDTH_PX wide, between two bands that say what it is.

    Uncompressed: that every archive must take, while a sender may have to decode RLE or JPEG-LS first.
    """
    pixels = burned_in(np.asarray(_filed(Image.open(picture).convert("RGB"))))
    header = edition.source.headers[0]
    image = edition.image("overlay", SecondaryCaptureImageStorage, "OT", 1, header)
    # the picture shows more than the map (a native T1 beside it), so its own pixels name it
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = edition.uid("overlay", digest)
    image.ImageType = ["DERIVED", "SECONDARY"]
    image.ConversionType = "WSD"
    image.PatientOrientation = ""
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PlanarConfiguration = 3, "RGB", 0
    image.Rows, image.Columns = pixels.shape[:2]
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 8, 8, 7, 0
    # PS3.3 C.7.6.1.1.2: annotation that identifies the patient, which this is not
    image.BurnedInAnnotation = "NO"
    image.SourceImageSequence = source_image_sequence(edition.source.images)
    data = pixels.tobytes()
    image.PixelData = data + b"\0" * (len(data) % 2)
    return edition.finish(image)


def _filed(picture: Image.Image) -> Image.Image:
    if picture.width <= WIDTH_PX:
        return picture
    size = WIDTH_PX, round(picture.height * WIDTH_PX / picture.width)
    return picture.resize(size, Image.Resampling.LANCZOS)


def burned_in(pixels: np.ndarray) -> np.ndarray:
    """(R, C, 3) uint8 -> (R + 2 bands, C, 3) with BURNED_IN across the top and the bottom."""
    band = Image.new("RGB", (pixels.shape[1], BAND_PX), _BAND)
    font = ImageFont.load_default(LETTERS_PX)
    place = (pixels.shape[1] // 2, BAND_PX // 2)
    ImageDraw.Draw(band).text(place, BURNED_IN, _LETTERS, font=font, anchor="mm")
    return np.concatenate([np.asarray(band), pixels, np.asarray(band)])
