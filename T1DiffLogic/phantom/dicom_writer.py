"""Digital hearts as real DICOM, in the ways that Siemens, Philips and GE write them.

Every file is a valid MR Image (or Enhanced MR Image) object of a synthetic patient. File names are
shuffled, because nothing that reads a study may depend on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.valuerep import format_number_as_ds

from ..study import Cine, SliceGeometry, T1Map
from . import DIALECTS
from .dicom_headers import Identity, mr_image, philips_private, save_shuffled, secondary_capture
from .dicom_multiframe import enhanced_object
from .long_axis import long_axis_cine, orthogonal_planes, sample_stack

VENDORS = {
    "siemens": "SIEMENS",
    "philips": "Philips Medical Systems",
    "ge": "GE MEDICAL SYSTEMS",
    "enhanced": "Philips",
}
_CINE_TYPE = {
    "siemens": ["ORIGINAL", "PRIMARY", "M", "RETRO", "NORM", "DIS2D"],
    "philips": ["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"],
    "ge": ["ORIGINAL", "PRIMARY", "OTHER"],
}
_T1_TYPE = {
    "siemens": ["DERIVED", "PRIMARY", "M", "T1 MAP", "MOCO", "NORM", "DIS2D"],
    "philips": ["DERIVED", "PRIMARY", "T1 MAP", "T1", "UNSPECIFIED"],
    "ge": ["DERIVED", "SECONDARY", "OTHER"],
}
_SERIES_OF = {"scout": 1, "long_axis": 2, "cine": 10, "t1": 80, "capture": 90}


def write_cine(
    cine: Cine,
    folder,
    dialect: str,
    seed: int = 0,
    patient: str | None = None,
    extras: bool = True,
    scouts: Sequence[tuple[np.ndarray, SliceGeometry]] | None = None,
    long_axis: Sequence[tuple[str, Cine]] | None = None,
) -> list[Path]:
    """Write `cine` below `folder` as `dialect` would, and return the paths in slice-major order.

    siemens   one series per slice, no rescaling
    philips   one series; rescaling; private phase numbers and scales; InstanceNumber runs over the
              slices within each phase, from apex to base, and so misleads
    ge        one series, signed pixels, no RescaleSlope
    enhanced  one Enhanced MR Image object, frames phase by phase

    Siemens and GE pixels are the images times one factor (arbitrary units), the others rescale back
    to the images within quantisation. With `extras` the folder also gets a scout of three orthogonal
    planes and a two- and a four-chamber cine: the given `scouts` (image (R, C), geometry) and
    `long_axis` (description, one-slice Cine), or sections through the stack. `seed` decides the UIDs
    and the shuffle; equal seeds make one study of several calls. Only cine paths are returned.
    """
    _check(dialect)
    identity = Identity(seed, patient, VENDORS[dialect])
    folder = Path(folder)
    maximum = float(cine.images.max())
    if extras:
        if scouts is None:
            scouts = [(sample_stack(cine, 0, plane), plane) for plane in orthogonal_planes(cine)]
        _write_scouts(scouts, folder, identity, dialect)
        if long_axis is None:
            long_axis = [(name, long_axis_cine(cine, name)) for name in ("2ch", "4ch")]
        for number, (name, view) in enumerate(long_axis):
            _write_stack(view, folder, identity, dialect, _SERIES_OF["long_axis"] + number,
                         f"cine_{name}_LAX", maximum)  # fmt: skip
    return _write_stack(cine, folder, identity, dialect, _SERIES_OF["cine"], "cine_SAX", maximum)


def write_t1_map(t1: T1Map, folder, dialect: str, seed: int = 0, patient: str | None = None) -> list[Path]:
    """Write a native T1 map below `folder`, one path per slice (one path in all for 'enhanced').

    siemens   series '…_MOCO_T1', uint16 ms
    philips   stored values need RescaleSlope and carry the private scale (2005,100E)
    ge        signed ms without RescaleSlope
    enhanced  one Enhanced MR Image object with a shared rescaling
    """
    _check(dialect)
    identity = Identity(seed, patient, VENDORS[dialect])
    values = np.asarray(t1.values_ms, dtype=np.float64)
    number = _SERIES_OF["t1"]
    series = identity.uid("series", number)
    if dialect == "enhanced":
        dataset = enhanced_object(
            values[:, None] * 8, t1.geometries, np.zeros((t1.n_slices, 1)), identity, series, number,
            "MOLLI T1 map", ["DERIVED", "PRIMARY", "T1 MAP", "NONE"], slope=1 / 8,
        )  # fmt: skip
        return save_shuffled([dataset], Path(folder), identity, number)
    datasets = []
    for index, geometry in enumerate(t1.geometries):
        slope = 0.5 if dialect == "philips" else 1.0
        dataset = mr_image(values[index] / slope, geometry, identity, series, number, index + 1,
                           signed=dialect == "ge")  # fmt: skip
        dataset.ImageType = _T1_TYPE[dialect]
        dataset.SeriesDescription = {
            "siemens": "T1Map_MOLLI_5(3)3_MOCO_T1",
            "philips": "MOLLI T1 map",
            "ge": "T1 MAP MOLLI",
        }[dialect]
        dataset.AcquisitionTime = identity.clock(number * 20 + index)
        if dialect == "philips":
            dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = slope, 0, "normalized"
            philips_private(dataset, scale_slope=4.0, scale_intercept=0.0)
        datasets.append(dataset)
    return save_shuffled(datasets, Path(folder), identity, number)


def write_screenshot(t1: T1Map, folder, seed: int = 0, patient: str | None = None) -> Path:
    """An RGB Secondary Capture of the middle slice of `t1`: what must not be taken for a map."""
    identity = Identity(seed, patient, VENDORS["siemens"])
    level = np.clip(t1.values_ms[t1.n_slices // 2] / 2400.0, 0, 1)
    colours = np.stack([level, 1 - np.abs(2 * level - 1), 1 - level], axis=-1)
    dataset = secondary_capture((255 * colours).astype(np.uint8), identity, _SERIES_OF["capture"])
    return save_shuffled([dataset], Path(folder), identity, _SERIES_OF["capture"])[0]


def _check(dialect: str) -> None:
    if dialect not in DIALECTS:
        raise ValueError(f"dialect {dialect!r} is not one of {', '.join(DIALECTS)}")


def _write_scouts(scouts, folder: Path, identity: Identity, dialect: str) -> None:
    number = _SERIES_OF["scout"]
    series = identity.uid("series", number)
    datasets = []
    for index, (image, geometry) in enumerate(scouts):
        factor = 4095 / max(float(np.max(image)), 1e-6)
        dataset = mr_image(image * factor, geometry, identity, series, number, index + 1, signed=False)
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M" if dialect == "siemens" else "OTHER"]
        dataset.SeriesDescription = "localizer" if dialect == "siemens" else "Survey"
        dataset.AcquisitionTime = identity.clock(index)
        datasets.append(dataset)
    save_shuffled(datasets, folder, identity, number)


def _write_stack(cine: Cine, folder, identity, dialect, number, description, maximum) -> list[Path]:
    factor = 4095 / max(maximum, 1e-6)
    pixels = np.clip(cine.images * factor, 0, 32767)
    if dialect == "enhanced":
        series = identity.uid("series", number)
        dataset = enhanced_object(
            pixels, cine.geometries, cine.trigger_ms, identity, series, number, description,
            ["ORIGINAL", "PRIMARY", "CARDIAC_CINE", "NONE"], slope=1 / factor,
        )  # fmt: skip
        return save_shuffled([dataset], folder, identity, number)
    slices, phases = cine.images.shape[:2]
    datasets = []
    for s in range(slices):
        own = number + s if dialect == "siemens" and slices > 1 else number
        series = identity.uid("series", own)
        cycle = float(np.median(np.diff(cine.trigger_ms[s]))) * phases
        for p in range(phases):
            instance = {
                "siemens": p + 1,
                "ge": s * phases + p + 1,
                "philips": p * slices + (slices - s),
            }[dialect]
            dataset = mr_image(pixels[s, p], cine.geometries[s], identity, series, own, instance,
                               signed=dialect == "ge")  # fmt: skip
            dataset.ImageType = _CINE_TYPE[dialect]
            dataset.SeriesDescription = description
            # A breath-hold per slice; Siemens counts the trigger delay into the acquisition time.
            delay = cine.trigger_ms[s, p] / 1000 if dialect == "siemens" else 0.0
            dataset.AcquisitionTime = identity.clock(number * 20 + s * 15 + delay)
            dataset.TriggerTime = round(float(cine.trigger_ms[s, p]), 4)
            dataset.NominalInterval = round(cycle)
            dataset.HeartRate = round(60000 / cycle)
            dataset.CardiacNumberOfImages = phases
            if dialect == "philips":
                dataset.RescaleSlope = format_number_as_ds(1 / factor)
                dataset.RescaleIntercept, dataset.RescaleType = 0, "normalized"
                philips_private(dataset, p + 1, phases, slices, scale_slope=0.01, scale_intercept=0.0)
            datasets.append(dataset)
    return save_shuffled(datasets, folder, identity, number)
