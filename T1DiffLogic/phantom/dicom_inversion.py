"""MOLLI inversion images of a digital patient as DICOM, in the ways that scanners tell the inversion time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..dicom.inversion_times import PHILIPS_MR_6
from ..dicom.molli import InversionSeries
from .dicom_headers import Identity, mr_image, philips_private, save_shuffled
from .dicom_multiframe import enhanced_object, set_inversion_times
from .dicom_writer import VENDORS

_SERIES = {False: 70, True: 75}
_DESCRIPTION = {
    "siemens": "T1Map_MOLLI_5(3)3",
    "philips": "MOLLI T1 source",
    "ge": "MOLLI 5(3)3",
    "enhanced": "MOLLI T1 source",
}


def write_inversion_series(
    series: InversionSeries, folder, dialect: str, seed: int = 0, patient: str | None = None,
    motion_corrected: bool = False,
) -> list[Path]:  # fmt: skip
    """Write the images of `series` below `folder` as `dialect` would; paths slice by slice in order of time.

    siemens   a series per slice, InversionTime (0018,0082) and ImageComments 'TIeff 120 ms'; before motion
              correction 'T1Map_MOLLI_5(3)3', after it '…_MOCO' with ImageType MOCO
    philips   one series, rescaled; the time in private elements, TriggerTime within the heart beat
    ge        one series, signed pixels; InversionTime (0018,0082)
    enhanced  one Enhanced MR Image object, InversionTimes (0018,9079) padded with the largest double
    """
    identity, number = Identity(seed, patient, VENDORS[dialect]), _SERIES[motion_corrected]
    description = _DESCRIPTION[dialect] + ("_MOCO" if motion_corrected else "")
    slope = 0.25 if dialect in ("philips", "enhanced") else 1.0
    if dialect == "enhanced":
        dataset = enhanced_object(
            series.images / slope, series.geometries, np.zeros_like(series.times_ms), identity,
            identity.uid("series", number), number, description, ["ORIGINAL", "PRIMARY", "T1", "NONE"], slope,
        )  # fmt: skip
        set_inversion_times(dataset, series.times_ms)
        return save_shuffled([dataset], Path(folder), identity, number)
    datasets = []
    for s, geometry in enumerate(series.geometries):
        own = number + s if dialect == "siemens" else number
        uid = identity.uid("series", own, motion_corrected)
        pulses, times = series.inversion[s], series.times_ms[s]
        for n in np.flatnonzero(pulses >= 0):
            dataset = mr_image(
                series.images[s, n] / slope, geometry, identity, uid, own, len(datasets) + 1,
                signed=dialect == "ge",
            )  # fmt: skip
            dataset.SeriesDescription = description
            dataset.ScanningSequence = ["GR", "IR"]
            dataset.TriggerTime = "612.5"
            # three heart beats of rest between the inversions, a breath-hold per slice
            rest = max(times[pulses < pulses[n]], default=0.0) + 3500.0 * pulses[n]
            dataset.AcquisitionTime = identity.clock(number * 20 + s * 25 + (times[n] + rest) / 1000)
            _tell_time(dataset, float(times[n]), dialect, motion_corrected)
            datasets.append(dataset)
    return save_shuffled(datasets, Path(folder), identity, number)


def _tell_time(dataset, time_ms: float, dialect: str, motion_corrected: bool) -> None:
    if dialect == "philips":
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"]
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 0.25, 0, "normalized"
        dataset.private_block(0x2005, PHILIPS_MR_6, create=True).add_new(0x72, "FL", time_ms)
        philips_private(dataset, scale_slope=2.0, scale_intercept=0.0)
        return
    dataset.InversionTime = round(time_ms, 1)
    if dialect == "siemens":
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D"]
        if motion_corrected:
            dataset.ImageType = ["DERIVED", "PRIMARY", "M", "MOCO", "NORM", "DIS2D"]
        dataset.ImageComments = f"TIeff {time_ms:.0f} ms"
    else:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
