"""Enhanced multi-frame MR (PS3.3 A.36): each frame's functional groups as one set of attributes."""

from __future__ import annotations

from dataclasses import replace

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
        if "PerFrameFunctionalGroupsSequence" not in image.header:
            frames.append(make_frame(image, Attributes(image.header)))
            continue
        try:
            own = _enhanced_frames(image)
            if not own:
                raise ValueError("no groups")
            frames += own
        # sequences are parsed on access; what is wrong in them shows here, in any way
        except Exception:
            damage = image.damage or "has functional groups (5200,9229/9230) that cannot be read"
            frames.append(make_frame(replace(image, damage=damage), Attributes(image.header), enhanced=True))
    return frames


def _enhanced_frames(image: ImageFile) -> list[Frame]:
    header = image.header
    groups = header.PerFrameFunctionalGroupsSequence
    shared = _items(header.SharedFunctionalGroupsSequence[0]) if header.get(
        "SharedFunctionalGroupsSequence") else []  # fmt: skip
    declared = int(header.get("NumberOfFrames", 1) or 1)
    if declared != len(groups) and not image.damage:
        damage = f"declares {declared} frames but describes {len(groups)} (5200,9230)"
        image = replace(image, damage=damage)
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
    items = []
    for tag in sorted(group.keys(), key=lambda t: (t.is_private, t)):
        try:
            value = group[tag].value
        # a malformed group counts as absent, as a malformed value does
        except Exception:
            continue
        if isinstance(value, Sequence) and len(value):
            items.append(value[0])
    return items


def _temporal_dimension(header: Dataset) -> int | None:
    for number, item in enumerate(header.get("DimensionIndexSequence") or []):
        if int(item.get("DimensionIndexPointer") or 0) in _TEMPORAL_POINTERS:
            return number
    return None
