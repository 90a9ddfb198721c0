"""References to the true source images, and planes that are not parallel to the last digit."""

from __future__ import annotations

from collections import defaultdict

from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes

from .source import SourceImage, SourceStudy, decimals


def reference(image: SourceImage, purpose: bool = False) -> Dataset:
    """SOP Instance Reference (PS3.3 table 10-11), with the frame of an enhanced object."""
    item = Dataset()
    item.ReferencedSOPClassUID = image.sop_class
    item.ReferencedSOPInstanceUID = image.sop_instance
    if image.frame is not None:
        item.ReferencedFrameNumber = image.frame
    if purpose:
        item.PurposeOfReferenceCodeSequence = [
            CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
        ]
    return item


def source_image_sequence(images) -> Sequence:
    """SourceImageSequence (0008,2112), one item per instance: the frames of an enhanced object together."""
    return Sequence([_of_frames(group, purpose=True) for group in _by_instance(images)])


def refer_to_source(dataset: Dataset, source: SourceStudy) -> None:
    """Puts the true source images where highdicom wrote their stand-ins, in every frame and at the root."""
    stands_for = source.by_stand_in
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        for derivation in frame.DerivationImageSequence:
            for item in derivation.SourceImageSequence:
                image = stands_for.get(item.ReferencedSOPInstanceUID)
                if image is not None:  # segments of one slice share the item, which is then true already
                    item.update(reference(image))
    dataset.SourceImageSequence = source_image_sequence(source.images)
    dataset.ReferencedSeriesSequence = referenced_series(source.images)


def referenced_series(images) -> Sequence:
    """Common Instance Reference (PS3.3 C.12.2): the instances by series, each once."""
    series = defaultdict(list)
    for group in _by_instance(images):
        whole = SourceImage(group[0].sop_class, group[0].sop_instance, group[0].series, None)
        series[whole.series].append(reference(whole))
    items = []
    for uid, instances in series.items():
        item = Dataset()
        item.SeriesInstanceUID = uid
        item.ReferencedInstanceSequence = instances
        items.append(item)
    return Sequence(items)


def slices_of_frames(dataset: Dataset, geometries) -> list[int]:
    """Which slice each frame is, by ImagePositionPatient (0020,0032)."""
    by_position = {tuple(map(float, decimals(g.origin))): index for index, g in enumerate(geometries)}
    return [
        by_position[tuple(map(float, frame.PlanePositionSequence[0].ImagePositionPatient))]
        for frame in dataset.PerFrameFunctionalGroupsSequence
    ]


def true_planes(dataset: Dataset, geometries) -> None:
    """Gives every frame its own orientation and spacing where the slices do not share them.

    highdicom writes those of the first slice for all; slices of one stack may differ by what a header
    rounds, or by a few degrees.
    """
    shared = dataset.SharedFunctionalGroupsSequence[0]
    directions = [decimals([*g.row_direction, *g.column_direction]) for g in geometries]
    measures = [decimals([*g.spacing, g.thickness_mm]) for g in geometries]
    frames, slice_of = dataset.PerFrameFunctionalGroupsSequence, slices_of_frames(dataset, geometries)
    if any(d != directions[0] for d in directions):
        del shared.PlaneOrientationSequence
        for frame, index in zip(frames, slice_of, strict=True):
            item = Dataset()
            item.ImageOrientationPatient = directions[index]
            frame.PlaneOrientationSequence = [item]
    if any(m != measures[0] for m in measures):
        del shared.PixelMeasuresSequence
        for frame, index in zip(frames, slice_of, strict=True):
            item = Dataset()
            item.PixelSpacing, item.SliceThickness = measures[index][:2], measures[index][2]
            frame.PixelMeasuresSequence = [item]


def _by_instance(images) -> list[list[SourceImage]]:
    groups = defaultdict(list)
    for image in images:
        groups[image.sop_instance].append(image)
    return list(groups.values())


def _of_frames(group: list[SourceImage], purpose: bool) -> Dataset:
    item = reference(group[0], purpose)
    if len(group) > 1:
        item.ReferencedFrameNumber = [image.frame for image in group]
    return item
