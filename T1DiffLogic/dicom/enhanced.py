"""Enhanced multi-frame MR (PS3.3 A.36): each frame's functional groups as one set of attributes."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from .files import ImageFile, Listing
from .frames import Attributes, Frame, make_frame

_TEMPORAL_POINTERS = {
    0x00209153,  # NominalCardiacTriggerDelayTime
    0x00209128,  # TemporalPositionIndex
    0x00209241,  # NominalPercentageOfCardiacPhase
    0x00200100,  # TemporalPositionIdentifier
    0x00181060,  # TriggerTime
    0x20011008,  # Philips PhaseNumber
}


def frames_of(listing: Listing) -> list[Frame]:
    """Every image of the listing: one per classic file, one per frame of an enhanced file."""
    frames = []
    for image in listing.images:
        if "PerFrameFunctionalGroupsSequence" in image.header:
            frames += _enhanced_frames(image)
        else:
            frames.append(make_frame(image, Attributes(image.header)))
    return frames


def _enhanced_frames(image: ImageFile) -> list[Frame]:
    header = image.header
    groups = header.PerFrameFunctionalGroupsSequence
    shared = _items(header.SharedFunctionalGroupsSequence[0]) if header.get(
        "SharedFunctionalGroupsSequence") else []  # fmt: skip
    declared = int(header.get("NumberOfFrames", 1) or 1)
    if declared != len(groups) and not image.damage:
        damage = f"declares {declared} frames but describes {len(groups)} (5200,9230)"
        image = ImageFile(image.path, image.name, header, damage)
    temporal = _temporal_dimension(header)
    frames = []
    for index, group in enumerate(groups):
        attributes = Attributes(*_items(group), *shared, header)
        values = attributes.value("DimensionIndexValues")
        try:
            dimension = None if temporal is None else float(values[temporal])
        except (TypeError, IndexError):
            dimension = None
        frames.append(make_frame(image, attributes, index, enhanced=True, dimension=dimension))
    return frames


def _items(group: Dataset) -> list[Dataset]:
    """The first item of every functional group, the standard ones before the private ones.

    Philips repeats the classic attributes of a frame in (2005,140F), legacy-converted objects in
    (0020,9171); both count here as further groups.
    """
    elements = [e for e in group if isinstance(e.value, Sequence) and len(e.value)]
    return [e.value[0] for e in sorted(elements, key=lambda e: e.tag.is_private)]


def _temporal_dimension(header: Dataset) -> int | None:
    for number, item in enumerate(header.get("DimensionIndexSequence") or []):
        if int(item.get("DimensionIndexPointer") or 0) in _TEMPORAL_POINTERS:
            return number
    return None
