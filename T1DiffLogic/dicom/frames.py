"""One image of a study, classic or one frame of an enhanced object, with what places it in space and time."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from ..study import SliceGeometry
from .files import ImageFile, printable

PHILIPS_IMAGING = "Philips Imaging DD 001"
PHILIPS_MR = "Philips MR Imaging DD 001"
MAX_THICKNESS_MM = 200.0
"""A slab of a whole chest; no slice of a heart is nearly as thick."""


class Attributes:
    """Element values of one image, looked up in `datasets` in order; the first that has one wins.

    A classic image has one dataset; a frame of an enhanced object has its per-frame groups, the
    shared groups and the root. Unreadable and empty values count as absent.
    """

    def __init__(self, *datasets: Dataset):
        self._datasets = datasets

    def value(self, keyword: str):
        for dataset in self._datasets:
            try:
                value = dataset.get(keyword)
                if value is not None and str(value) != "":
                    return value
            # pydicom converts on access, so a malformed value raises here; it counts as absent.
            except Exception:
                continue
        return None

    def text(self, keyword: str) -> str:
        value = self.value(keyword)
        return "" if value is None else str(value).strip()

    def texts(self, keyword: str) -> tuple[str, ...]:
        """The values of an element with several, in upper case."""
        value = self.value(keyword)
        several = isinstance(value, (list, tuple, MultiValue))
        return tuple(str(v).upper() for v in (value if several else [value] if value is not None else []))

    def number(self, keyword: str) -> float | None:
        return _number(self.value(keyword))

    def numbers(self, keyword: str, count: int) -> np.ndarray | None:
        """(count,) float64, or None when absent or of another length; may hold NaN."""
        value = self.value(keyword)
        try:
            array = np.array([float(v) for v in value], dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            return None
        return array if array.shape == (count,) else None

    def private(self, group: int, creator: str, element: int) -> float | None:
        """Number in a private element of `creator`, wherever its block lies."""
        for dataset in self._datasets:
            try:
                return _number(dataset.private_block(group, creator)[element].value)
            # absent, or malformed as in `value`
            except Exception:
                continue
        return None


def _number(value) -> float | None:
    if isinstance(value, bytes):  # a private element that lost its VR in an implicit VR file
        try:
            return float(value.decode("ascii").strip(" \0"))
        except (UnicodeDecodeError, ValueError):
            layout = {4: "<f", 8: "<d"}.get(len(value))
            value = struct.unpack(layout, value)[0] if layout else None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if np.isfinite(number) else None


@dataclass(frozen=True, eq=False)
class Frame:
    """One image. Lengths mm (LPS), times ms; None where the header has no usable value.

    index        frame number inside its file, from 0
    defect       "" or what forbids its use, as the end of a sentence that starts with the file
    geometry     None when `defect` is about geometry
    trigger_ms   TriggerTime (0018,1060), NominalCardiacTriggerDelayTime (0020,9153) when enhanced
    phase        Philips PhaseNumber (2001,1008)
    temporal     TemporalPositionIdentifier (0020,0100), TemporalPositionIndex (0020,9128), or the
                 temporal one of DimensionIndexValues (0020,9157)
    acquired_ms  AcquisitionTime (0008,0032) or FrameAcquisitionDateTime (0018,9074)
    rr_ms        NominalInterval (0018,1062), RRIntervalTimeNominal (0020,9251), 60000 / HeartRate
    """

    file: ImageFile
    index: int
    enhanced: bool
    attributes: Attributes
    uid: str
    series_uid: str
    series_number: float
    description: str
    image_type: tuple[str, ...]
    shape: tuple[int, int]
    geometry: SliceGeometry | None
    defect: str
    trigger_ms: float | None
    phase: float | None
    temporal: float | None
    acquired_ms: float | None
    instance: float | None
    rr_ms: float | None

    @property
    def later_key(self) -> tuple:
        """Sorts acquisitions by time, then by series number."""
        return (self.acquired_ms or 0.0, self.series_number, self.instance or 0.0)


def make_frame(file: ImageFile, attributes: Attributes, index: int = 0, enhanced: bool = False,
               dimension: float | None = None) -> Frame:  # fmt: skip
    """The Frame of `attributes`; `dimension` is the temporal dimension index of an enhanced frame."""
    a = attributes
    if file.damage:
        shape, geometry, defect = (0, 0), None, file.damage
    else:
        shape = (int(file.header.Rows), int(file.header.Columns))
        geometry, defect = _geometry(a, shape)
    temporal = a.number("TemporalPositionIdentifier")
    if temporal is None:
        temporal = a.number("TemporalPositionIndex")
    trigger = a.number("NominalCardiacTriggerDelayTime") if enhanced else None
    frame_type = a.texts("FrameType") if enhanced else ()
    description = a.text("SeriesDescription") or a.text("ProtocolName")
    return Frame(
        file=file,
        index=index,
        enhanced=enhanced,
        attributes=a,
        uid=f"{a.text('SOPInstanceUID')}#{index}",
        series_uid=a.text("SeriesInstanceUID"),
        series_number=a.number("SeriesNumber") or 0.0,
        description=file.known.removed_from(printable(description))[:60],
        image_type=frame_type or a.texts("ImageType"),
        shape=shape,
        geometry=geometry,
        defect=defect,
        trigger_ms=trigger if trigger is not None else a.number("TriggerTime"),
        phase=a.private(0x2001, PHILIPS_IMAGING, 0x08),
        temporal=dimension if temporal is None else temporal,
        acquired_ms=_acquired(a),
        instance=None if enhanced else a.number("InstanceNumber"),
        rr_ms=_cycle(a),
    )


def _geometry(a: Attributes, shape) -> tuple[SliceGeometry | None, str]:
    position = a.numbers("ImagePositionPatient", 3)
    orientation = a.numbers("ImageOrientationPatient", 6)
    spacing = a.numbers("PixelSpacing", 2)
    for value, name in ((position, "ImagePositionPatient (0020,0032)"),
                        (orientation, "ImageOrientationPatient (0020,0037)"),
                        (spacing, "PixelSpacing (0028,0030)")):  # fmt: skip
        if value is None:
            return None, f"lacks {name}"
        if not np.isfinite(value).all() or np.abs(value).max() > 1e4:
            return None, f"has an implausible {name}"
    if not (spacing > 0.05).all() or not (spacing < 50).all():
        return None, "has an implausible PixelSpacing (0028,0030)"
    row, column = orientation[:3], orientation[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    # Headers round direction cosines; more than this is not rounding.
    if any(abs(n - 1) > 1e-2 for n in lengths) or abs(row @ column) > 1e-2:
        return None, "has an ImageOrientationPatient (0020,0037) that is not two perpendicular unit vectors"
    row = row / lengths[0]
    column = column - (column @ row) * row
    thickness = a.number("SliceThickness") or 8.0
    if not 0 < thickness <= MAX_THICKNESS_MM:
        return None, "has an implausible SliceThickness (0018,0050)"
    return SliceGeometry(position, row, column / np.linalg.norm(column), tuple(spacing), shape, thickness), ""


def _acquired(a: Attributes) -> float | None:
    """ms since midnight of year 1, or of no year when the date is missing."""
    stamp = a.text("FrameAcquisitionDateTime") or a.text("AcquisitionDateTime")
    time = a.text("AcquisitionTime")
    if not stamp and time:
        stamp = (a.text("AcquisitionDate") or "00010101") + time.replace(":", "")
    match = re.match(r"(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2}(?:\.\d+)?)", stamp)
    if not match:
        return None
    year, month, day, hour, minute, second = (float(v) for v in match.groups())
    days = (year * 12 + month) * 31 + day  # only order and differences within a day matter
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000


def _cycle(a: Attributes) -> float | None:
    rate = a.number("HeartRate")
    from_rate = 60000 / rate if rate else None
    for value in (a.number("NominalInterval"), a.number("RRIntervalTimeNominal"), from_rate):
        if value is not None and 250 <= value <= 3000:
            return value
    return None
