"""Cine and T1 maps from volume files: NIfTI, NRRD and Slicer's sequence NRRD, by way of SimpleITK."""

from __future__ import annotations

import gzip
import re
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .errors import StudyError
from .study import Cine, CineSource, SliceGeometry, T1Map

VOLUME_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr")
ASSUMED_CYCLE_MS = 1000.0
MAX_VOXELS = 2**31
_MS_PER_UNIT = {"s": 1000.0, "sec": 1000.0, "ms": 1.0, "msec": 1.0, "us": 1e-3, "usec": 1e-3}


@dataclass(frozen=True, eq=False)
class Volume:
    """A file of N frames of one grid: array (N, K, R, C), K slice geometries in file order.

    times_ms  (N,) or None when the file gives none; `note` says where they come from
    keys      key/value pairs of the header
    """

    array: np.ndarray
    geometries: tuple[SliceGeometry, ...]
    times_ms: np.ndarray | None
    note: str
    keys: dict[str, str]


def read_cine_volume(path: Path) -> Cine:
    """A 4D file as Cine; the third axis counts slices. Raises StudyError for anything but 4D grey values."""
    volume = read_volume(path)
    phases, slices = volume.array.shape[:2]
    if phases < 2:
        raise StudyError(f"{path.name} holds one phase; give a 4D file with the whole cardiac cycle.")
    order = _along_normal(volume.geometries)
    notes = [volume.note]
    times = volume.times_ms
    if times is None:
        times = np.arange(phases) * ASSUMED_CYCLE_MS / phases
    if (np.diff(times) <= 0).any():
        sort = np.argsort(times, kind="stable")
        times = times[sort]
        if (np.diff(times) <= 0).any():
            raise StudyError(f"{path.name} gives two phases the same time; write increasing times in ms.")
        volume = Volume(volume.array[sort], volume.geometries, times, volume.note, volume.keys)
        notes.append("The phases were sorted by time.")
    if slices < 3:
        notes.append(f"The cine has {slices} slice(s); taken as short axis without a stack to confirm it.")
    return Cine(
        images=np.swapaxes(volume.array, 0, 1)[order],
        geometries=tuple(volume.geometries[k] for k in order),
        trigger_ms=np.tile(times, (slices, 1)),
        source=CineSource(path=str(path), notes=tuple(notes)),
    )


def read_t1_volume(path: Path) -> T1Map:
    """A 3D file as T1Map, its scale judged as for DICOM. Raises StudyError."""
    from .dicom.t1map import to_ms

    volume = read_volume(path)
    if volume.array.shape[0] != 1:
        raise StudyError(f"{path.name} holds {volume.array.shape[0]} frames; a T1 map is one 3D volume.")
    order = _along_normal(volume.geometries)
    values, note = to_ms([("values as stored", volume.array[0][order].astype(np.float32))])
    return T1Map(values, tuple(volume.geometries[k] for k in order), (note,))


def _along_normal(geometries) -> list[int]:
    normal = geometries[0].normal
    return sorted(range(len(geometries)), key=lambda k: geometries[k].origin @ normal)


def read_volume(path: Path) -> Volume:
    """Any 2D to 4D grey file; a sequence's list axis may be the first or the last. Raises StudyError."""
    is_nrrd = path.name.lower().endswith((".nrrd", ".nhdr"))
    fields, keys = _nrrd_header(path) if is_nrrd else ({}, {})
    image = _read_image(path, fields)
    dimension, channels = image.GetDimension(), image.GetNumberOfComponentsPerPixel()
    if dimension == 2:
        image = sitk.JoinSeries([image])
        dimension = 3
    if dimension not in (3, 4) or (dimension == 4 and channels > 1):
        raise StudyError(
            f"{path.name} has {dimension} dimensions and {channels} channels; give a 3D or 4D file."
        )
    array = sitk.GetArrayFromImage(image)
    if dimension == 3:
        array = np.moveaxis(array, -1, 0) if channels > 1 else array[None]
        if channels > 1 and not is_nrrd:
            raise StudyError(f"{path.name} holds colour or vector values; give grey values.")
        if channels > 1 and re.search(r"color|rgb|vector|matrix|complex", fields.get("kinds", ""), re.I):
            raise StudyError(f"{path.name} holds colour or vector values; give grey values.")
    finite = is_nrrd or _nifti_is_finite(path)
    if array.dtype.kind == "c" or not finite or not np.isfinite(array).all():
        raise StudyError(f"{path.name} holds NaN, infinite or complex values; export it again.")
    if is_nrrd:
        times, note = _nrrd_times(fields, keys, array.shape[0])
    else:
        times, note = _nifti_times(image, array.shape[0])
    return Volume(array, _geometries(image, path), times, note, keys)


def _read_image(path: Path, fields: dict[str, str]) -> sitk.Image:
    try:
        if re.search(r"\btime\b", fields.get("kinds", "")):
            # ITK takes 'time' for a fourth direction of space and gives up; 'list' means the same here.
            if fields.keys() & {"data file", "datafile"}:
                raise StudyError(
                    f"{path.name} has an axis of kind 'time' and its values in another file; "
                    "save it as one .nrrd file."
                )
            return _read_time_as_list(path)
        return _read_within_bounds(path)
    except RuntimeError as error:
        raise StudyError(f"{path.name} cannot be read; it is damaged or no NIfTI or NRRD file.") from error


def _read_within_bounds(path: Path) -> sitk.Image:
    """The image, its declared size judged before memory is taken for it."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    if np.prod([float(n) for n in reader.GetSize()]) * reader.GetNumberOfComponents() > MAX_VOXELS:
        raise StudyError(f"{path.name} declares {reader.GetSize()} voxels, more than can be read.")
    return reader.Execute()


def _read_time_as_list(path: Path) -> sitk.Image:
    content = path.read_bytes()
    end = content.index(b"\n\n") if b"\n\n" in content else len(content)
    header = re.sub(rb"(?m)^(kinds:.*)\btime\b", rb"\1list", content[:end])
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(header + content[end:])
        return _read_within_bounds(copy)


def _geometries(image: sitk.Image, path: Path) -> tuple[SliceGeometry, ...]:
    """One geometry per index of the third axis; SimpleITK speaks LPS mm for NIfTI and NRRD alike."""
    dimension = image.GetDimension()
    directions = np.array(image.GetDirection()).reshape(dimension, dimension)[:3, :3]
    origin = np.array(image.GetOrigin()[:3])
    spacing = image.GetSpacing()
    columns, rows, slices = image.GetSize()[:3]
    if not np.isfinite(directions).all() or abs(abs(np.linalg.det(directions)) - 1) > 1e-2:
        raise StudyError(f"{path.name} has no usable axis directions; save it with its position in space.")
    return tuple(
        SliceGeometry(
            origin + k * spacing[2] * directions[:, 2],
            directions[:, 0],
            directions[:, 1],
            (spacing[1], spacing[0]),
            (rows, columns),
            spacing[2],
        )
        for k in range(slices)
    )


def _nrrd_header(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Fields ('name: value') and key/value pairs ('name:=value') of an NRRD text header."""
    with open(path, "rb") as handle:
        text = handle.read(1 << 20).split(b"\n\n", 1)[0].split(b"\r\n\r\n", 1)[0]
    if not text.startswith(b"NRRD"):
        raise StudyError(f"{path.name} is no NRRD file; export it again.")
    fields, keys = {}, {}
    for line in text.decode("utf-8", "replace").splitlines()[1:]:
        if line.startswith("#"):
            continue
        if ":=" in line:
            key, value = line.split(":=", 1)
            keys[key.strip()] = value.strip()
        elif ": " in line:
            key, value = line.split(": ", 1)
            fields[key.strip().lower()] = value.strip()
    return fields, keys


def _nrrd_times(fields, keys, frames: int) -> tuple[np.ndarray | None, str]:
    """Times from Slicer's 'axis N index values', in the unit of the list axis."""
    number = next((k.split()[1] for k in keys if re.fullmatch(r"axis \d index values", k)), None)
    untimed = f"The file gives no times; a cycle of {ASSUMED_CYCLE_MS:.0f} ms in equal parts is assumed."
    if number is None:
        return None, untimed
    try:
        values = np.array([float(v) for v in keys[f"axis {number} index values"].split()])
    except ValueError:
        return None, untimed
    if values.shape != (frames,) or not np.isfinite(values).all():
        return None, untimed
    kinds = fields.get("kinds", "").split()
    axis = kinds.index("list") if "list" in kinds else int(number)
    label = _quoted(fields.get("labels", ""), axis)
    unit = keys.get(f"axis {number} index unit", "") or _quoted(fields.get("units", ""), axis)
    factor = _MS_PER_UNIT.get(unit.lower())
    counts = frames > 1 and np.allclose(np.diff(values), 1.0)
    if factor is None and (counts or not re.search("time|trigger|delay", label, re.I)):
        return None, f"The sequence index '{label}' is a frame number; {untimed[0].lower()}{untimed[1:]}"
    if factor is None:
        factor = 1.0 if values.max() > 10 else 1000.0
        return values * factor, f"Times are the sequence index '{label}' without unit, taken as " + (
            "ms." if factor == 1 else "seconds."
        )
    return values * factor, f"Times are the sequence index '{label}' in {unit}."


def _quoted(field: str, axis: int) -> str:
    parts = re.findall(r'"([^"]*)"', field)
    return parts[axis] if axis < len(parts) else ""


def _nifti_is_finite(path: Path) -> bool:
    """False when the file stores NaN or infinity, which the NIfTI reader of ITK turns into zeros unasked."""
    with gzip.open(path) if path.name.lower().endswith(".gz") else open(path, "rb") as handle:
        content = handle.read()
    for order in "<>":
        size = struct.unpack_from(order + "i", content)[0]
        if size == 348:  # NIfTI-1: datatype int16 at 70, vox_offset float at 108
            datatype = struct.unpack_from(order + "h", content, 70)[0]
            start = int(struct.unpack_from(order + "f", content, 108)[0])
        elif size == 540:  # NIfTI-2: datatype int16 at 12, vox_offset int64 at 168
            datatype = struct.unpack_from(order + "h", content, 12)[0]
            start = struct.unpack_from(order + "q", content, 168)[0]
        else:
            continue
        width = {16: 4, 64: 8}.get(datatype)
        if width is None:
            return True
        count = (len(content) - start) // width
        return bool(np.isfinite(np.frombuffer(content, f"{order}f{width}", count, start)).all())
    return True


def _nifti_times(image: sitk.Image, frames: int) -> tuple[np.ndarray | None, str]:
    """Equal steps of pixdim[4] in the unit of xyzt_units."""
    step = float(image.GetMetaData("pixdim[4]")) if image.HasMetaDataKey("pixdim[4]") else 0.0
    unit = int(image.GetMetaData("xyzt_units")) & 0x38 if image.HasMetaDataKey("xyzt_units") else 0
    # NIfTI-1: 8 seconds, 16 milliseconds, 24 microseconds.
    factor = {8: 1000.0, 16: 1.0, 24: 1e-3}.get(unit)
    guessed = factor is None
    if guessed:
        factor = 1000.0 if step * frames < 10 else 1.0
    cycle = step * factor * frames
    # Converters leave 1 (second) in pixdim[4] when they know no time; no heart beats that slowly.
    if not 200 <= cycle <= 3000:
        return None, (
            f"pixdim[4] gives no plausible time step; a cycle of {ASSUMED_CYCLE_MS:.0f} ms "
            "in equal parts is assumed."
        )
    return np.arange(frames) * step * factor, f"Times are steps of pixdim[4] = {step * factor:.4g} ms" + (
        " (unit guessed)." if guessed else "."
    )
