"""The single images of a scene's sequences and multi-volumes, and what places them in space and time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from ..errors import StudyError
from ..study import SliceGeometry
from .volumes import from_ras, under_transform

CINE_ATTRIBUTE = "T1Diff.Cine"
"""On our own sequences: JSON of what MRML has no place for (times of each slice, thickness, source)."""

RESAMPLED_ATTRIBUTE = "T1Diff.Resampled"
FRAME_LABELS = "MultiVolume.FrameLabels"
TRIGGER_TIME, NOMINAL_INTERVAL, HEART_RATE = "0018,1060", "0018,1062", "0018,1088"
_MS_PER_UNIT = {"ms": 1.0, "msec": 1.0, "s": 1000.0, "sec": 1000.0}

Headers = Callable[[str, str], str]
"""(SOP instance UID, tag as 'gggg,eeee') -> the value as text, '' when unknown."""


@dataclass(frozen=True, eq=False)
class SceneFrame:
    """One image of one slice: the fields by which dicom.stacks and dicom.timing order frames.

    volume      the node that holds the pixels; `plane` its slice, `component` its time (multi-volume)
    series_uid  id of the sequence or multi-volume node, which stands for the series
    trigger_ms  None when nothing in the scene tells it
    """

    volume: slicer.vtkMRMLVolumeNode
    plane: int
    component: int | None
    geometry: SliceGeometry
    series_uid: str
    series_number: float
    description: str
    trigger_ms: float | None
    instance: float
    index: int
    uid: str = ""
    rr_ms: float | None = None
    acquired_ms: float | None = None
    phase: None = None
    temporal: None = None

    @property
    def shape(self) -> tuple[int, int]:
        return self.geometry.shape

    @property
    def later_key(self) -> tuple:
        return (self.series_number, self.instance)

    def pixels(self) -> np.ndarray:
        """(R, C) float32."""
        array = slicer.util.arrayFromVolume(self.volume)[self.plane]
        return np.array(array if self.component is None else array[..., self.component], np.float32)


def is_sequence_of_images(node) -> bool:
    """True for a sequence of grey volumes with at least two frames."""
    return (
        node.IsA("vtkMRMLSequenceNode")
        and node.GetNumberOfDataNodes() > 1
        and node.GetDataNodeClassName() == "vtkMRMLScalarVolumeNode"
        and node.GetAttribute(RESAMPLED_ATTRIBUTE) is None
    )


def is_multi_volume(node) -> bool:
    """True for what the MultiVolume importer makes: all frames as the components of one volume."""
    return node.IsA("vtkMRMLVolumeNode") and node.GetAttribute(FRAME_LABELS) is not None


def frames_of(node, headers: Headers | None = None) -> tuple[list[SceneFrame], list[str]]:
    """The images of a sequence or multi-volume node and notes on where their times come from.

    Raises StudyError for other nodes, images without data, a sheared geometry or a transform that
    is not linear.
    """
    if is_multi_volume(node):
        return _of_multi_volume(node)
    if is_sequence_of_images(node):
        return _of_sequence(node, headers)
    raise StudyError(
        f"'{node.GetName()}' holds no cine; give a sequence of grey images or a MultiVolume with two or more "
        "frames."
    )


def geometries_of(volume, placed_by=None) -> tuple[SliceGeometry, ...]:
    """The K slice geometries of a volume node in LPS mm, parent transform of `placed_by` included.

    placed_by  the node whose transform counts (a proxy); the volume itself when None

    Raises StudyError for a volume without voxels, a sheared geometry or a transform that is not linear.
    """
    image = volume.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        raise StudyError(f"'{volume.GetName()}' holds no image; load it again.")
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    matrix = under_transform(slicer.util.arrayFromVTKMatrix(matrix), placed_by or volume)
    columns, rows, slices = image.GetDimensions()
    axes, origin = from_ras(matrix[:3, :3].T), from_ras(matrix[:3, 3])
    spacing = np.linalg.norm(axes, axis=1)
    if not np.isfinite(matrix).all() or (spacing < 1e-6).any():
        raise StudyError(f"'{volume.GetName()}' has no usable geometry; load it again.")
    along_row, along_column = axes[0] / spacing[0], axes[1] / spacing[1]
    if abs(along_row @ along_column) > 1e-3:
        raise StudyError(
            f"'{volume.GetName()}' has a sheared geometry; take it out of the transform or load it again."
        )
    return tuple(
        SliceGeometry(
            origin=origin + k * axes[2],
            row_direction=along_row,
            column_direction=along_column,
            spacing=(spacing[1], spacing[0]),
            shape=(rows, columns),
            thickness_mm=float(spacing[2]),
        )
        for k in range(slices)
    )


def own_record(node) -> dict | None:
    """What `add_cine` left on a sequence, None when it did not make it or the text is damaged."""
    try:
        record = json.loads(node.GetAttribute(CINE_ATTRIBUTE) or "")
        return record if isinstance(record, dict) else None
    except ValueError:
        return None


def proxy_of(sequence):
    """The volume node that shows the sequence's selected frame, None without a browser."""
    scene = sequence.GetScene()
    for browser in [] if scene is None else slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode", scene):
        if browser.IsSynchronizedSequenceNode(sequence, True):
            proxy = browser.GetProxyNode(sequence)
            if proxy is not None:
                return proxy
    return None


def _of_sequence(node, headers) -> tuple[list[SceneFrame], list[str]]:
    record, proxy, number = own_record(node), proxy_of(node), _number_of(node)
    index_ms, index_note = _index_times(node)
    # asked once a sequence: each look-up opens the database, and a cine has hundreds of images
    cycle = _cycle((node.GetNthDataNode(0).GetAttribute("DICOM.instanceUIDs") or "").split(), headers)
    frames, notes = [], []
    for item in range(node.GetNumberOfDataNodes()):
        volume = node.GetNthDataNode(item)
        geometries = geometries_of(volume, proxy)
        uids = (volume.GetAttribute("DICOM.instanceUIDs") or "").split()
        trigger, note = _trigger(volume, uids, headers, index_ms[item], index_note)
        notes.append(note)
        for k, geometry in enumerate(geometries):
            uid = uids[k] if len(uids) == len(geometries) else ""
            frames.append(
                SceneFrame(
                    volume=volume,
                    plane=k,
                    component=None,
                    geometry=_as_recorded(geometry, record, k),
                    series_uid=node.GetID() or "",
                    series_number=number,
                    description=node.GetName() or "",
                    trigger_ms=_recorded_time(record, k, item, trigger),
                    instance=_float(node.GetNthIndexValue(item), item),
                    index=item,
                    uid=uid,
                    rr_ms=cycle,
                )
            )
    return frames, list(dict.fromkeys(n for n in notes if n))


def _trigger(volume, uids, headers, from_index, index_note) -> tuple[float | None, str]:
    """One frame's time in ms: as the importer noted it, else the index, else the DICOM database."""
    noted = _float(volume.GetAttribute("DICOM.triggerTime"), None)
    if noted is not None:
        return noted, ""
    if from_index is not None:
        return from_index, index_note
    if uids and headers is not None:
        value = _float(headers(uids[0], TRIGGER_TIME), None)
        if value is not None:
            return value, "trigger times were looked up in the DICOM database"
    return None, ""


def _index_times(node) -> tuple[list[float | None], str]:
    """The index values as ms where the index is a time, else None for each item."""
    count = node.GetNumberOfDataNodes()
    values = [_float(node.GetNthIndexValue(i), None) for i in range(count)]
    unit, name = (node.GetIndexUnit() or "").strip().lower(), node.GetIndexName() or ""
    factor = _MS_PER_UNIT.get(unit)
    # a unit alone proves nothing: Slicer's default index is 'time' in 's', whatever it counts
    counts = np.allclose(np.diff([v or 0.0 for v in values]), 1.0)
    if factor is None or None in values or counts or not re.search("time|trigger|delay", name, re.I):
        return [None] * count, ""
    return [v * factor for v in values], f"times are the sequence index '{name}' in {unit}"


def _of_multi_volume(node) -> tuple[list[SceneFrame], list[str]]:
    geometries = geometries_of(node)
    components = node.GetImageData().GetNumberOfScalarComponents()
    labels = [_float(v, None) for v in node.GetAttribute(FRAME_LABELS).split(",")]
    tag = node.GetAttribute("MultiVolume.FrameIdentifyingDICOMTagName") or ""
    unit = (node.GetAttribute("MultiVolume.FrameIdentifyingDICOMTagUnits") or "").lower()
    if components < 2 or len(labels) != components:
        raise StudyError(
            f"'{node.GetName()}' has {components} frames and {len(labels)} frame labels; import it again."
        )
    factor = _MS_PER_UNIT.get(unit)
    times = [None if v is None or factor is None else v * factor for v in labels]
    triggered, acquired = tag == "TriggerTime", tag == "AcquisitionTime"
    known = triggered and None not in times
    note = "" if known else f"the frame labels ({tag or 'no tag'}) are not trigger times"
    number = _number_of(node)
    frames = [
        SceneFrame(
            volume=node,
            plane=k,
            component=c,
            geometry=geometry,
            series_uid=node.GetID() or "",
            series_number=number,
            description=node.GetName() or "",
            trigger_ms=times[c] if triggered else None,
            acquired_ms=times[c] if acquired else None,
            instance=float(c),
            index=c,
        )
        for k, geometry in enumerate(geometries)
        for c in range(components)
    ]
    return frames, [note] if note else []


def _recorded_time(record, k: int, item: int, otherwise):
    try:
        return float(record["trigger_ms"][k][item])
    except (TypeError, KeyError, IndexError, ValueError):
        return otherwise


def _as_recorded(geometry: SliceGeometry, record, k: int) -> SliceGeometry:
    """With the slice thickness of our own record: a volume knows the distance between slices only."""
    try:
        thickness = float(record["thickness_mm"][k])
    except (TypeError, KeyError, IndexError, ValueError):
        return geometry
    return SliceGeometry(
        geometry.origin,
        geometry.row_direction,
        geometry.column_direction,
        geometry.spacing,
        geometry.shape,
        thickness,
    )


def _cycle(uids, headers) -> float | None:
    if not uids or headers is None:
        return None
    interval = _float(headers(uids[0], NOMINAL_INTERVAL), None)
    rate = _float(headers(uids[0], HEART_RATE), None)
    for value in (interval, 60000 / rate if rate else None):
        if value is not None and 250 <= value <= 3000:
            return value
    return None


def _number_of(node) -> float:
    """The DICOM series number with which importers begin a name ('7: MR cine_SAX'), else 0."""
    match = re.match(r"\s*(\d+):", node.GetName() or "")
    return float(match[1]) if match else 0.0


def _float(text, otherwise):
    try:
        value = float(text)
    except (TypeError, ValueError):
        return otherwise
    return value if np.isfinite(value) else otherwise
