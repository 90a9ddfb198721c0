"""One patient's map -> rows of numbers, from which every table and figure is made later."""

from __future__ import annotations

import numpy as np

from ..statistics import paired_segments
from ..study import LV_CAVITY, LV_MYOCARDIUM
from .cases import Reading
from .image_quality import errors_ms, image_figures
from .scar import is_infarcted, reference_scar, scar_fractions, scar_rows
from .sharpness import gradient_ms_per_mm, high_band_power
from .uncertainty import LEVELS, coverage, crps_ms, normal_crps_ms, reliability

LEAST_PIXELS = 8
"""A segment with fewer pixels in either map is not compared."""


def slice_rows(reading: Reading) -> list[dict]:
    """One row per slice: image quality on the whole region of interest, errors in ms, sharpness.

    Where the native map has no value, both are 0. `roi` is every other pixel, `wall` the myocardium
    that both contours see. Sharpness is of the map over the native map's LV, beside the native map's own.
    """
    case = reading.case
    rows = []
    for s, (native, image) in enumerate(zip(case.native_ms, reading.t1_ms)):
        known, wall = native > 0, reading.shared_wall[s]
        heart = np.isin(case.record["labels_t1"][s], (LV_MYOCARDIUM, LV_CAVITY))
        roi, inside = errors_ms(image[known], native[known]), errors_ms(image[wall], native[wall])
        masked = np.where(known, image, 0.0)
        rows.append(
            {
                "slice": case.slices[s],
                "level": case.levels[s],
                "n_roi": int(known.sum()),
                "n_wall": int(wall.sum()),
                **image_figures(masked, native),
                "roi_rmse_ms": roi["rmse"],
                "roi_mae_ms": roi["mae"],
                "wall_rmse_ms": inside["rmse"],
                "wall_mae_ms": inside["mae"],
                "gradient_ms_per_mm": gradient_ms_per_mm(image, heart, case.pixel_mm),
                "native_gradient_ms_per_mm": gradient_ms_per_mm(native, heart, case.pixel_mm),
                "high_band_ms2": high_band_power(masked, case.pixel_mm),
                "native_high_band_ms2": high_band_power(native, case.pixel_mm),
            }
        )
    return rows


def segment_rows(reading: Reading, roc_ms: float | None) -> list[dict]:
    """One row per AHA segment with at least LEAST_PIXELS in both maps, each under its own contours.

    uncertainty_ms   SD over the samples of the segment's mean, None for one sample
    infarct_share    of the segment, by the reference of scar.py under the native contours
    truth_ms         the noise-free native map, of digital patients
    """
    case = reading.case
    pairs = paired_segments(reading)
    reference = reference_scar(case)
    fractions = scar_fractions(reading, [mask for mask, _ in pairs], roc_ms)
    infarcted = is_infarcted(case)
    rows = []
    for number, (mask, own) in enumerate(pairs, start=1):
        if min(mask.sum(), own.sum()) < LEAST_PIXELS:
            continue
        means = reading.samples_ms[:, mask].mean(axis=1, dtype=np.float64)
        rows.append(
            {
                "infarcted": int(infarcted),
                "segment": number,
                "n": int(mask.sum()),
                "native_ms": float(case.native_ms[own].mean(dtype=np.float64)),
                "synthetic_ms": float(means.mean()),
                "uncertainty_ms": float(means.std(ddof=1)) if len(means) > 1 else None,
                "infarct_share": float(reference[own].mean()),
                "truth_ms": float(case.record["t1_truth_ms"][own].mean(dtype=np.float64))
                if case.has("t1_truth_ms")
                else None,
                **{name: values[number - 1] for name, values in fractions.items()},
            }
        )
    return rows


def patient_row(
    reading: Reading,
    slices: list[dict],
    segments: list[dict],
    sd_factor: float | None = None,
    error_sd_ms: float | None = None,
) -> dict:
    """The patient's own figures: means over the slices, errors over all pixels, the samples' doubt.

    global_native_ms, global_ms   mean over all trimmed segments, each map under its own contours
    wall_truth_rmse_ms            against the noise-free map, of digital patients
    crps_ms, sd_ms, coverage_*    over the pixels of the myocardium, against the (noisy) native map;
                                  sd_ms and coverage_* None for one sample
    one_sd_crps_ms                of the samples' mean with one normal error of `error_sd_ms` for all pixels,
                                  the doubt that any map can have; None without one
    own_sd_crps_ms                the same with the method's SD map (learned, or of the samples) times
                                  `sd_factor`: both SDs are then fitted on the same patients. None of one
                                  sample
    calibrated_coverage_*         the same with the SD times `sd_factor`, None without one
    """
    case, wall = reading.case, reading.shared_wall
    native, image, sd = case.native_ms[wall], reading.t1_ms[wall], reading.sd_ms[wall]
    pairs = paired_segments(reading)
    own, mine = np.any([b for _, b in pairs], axis=0), np.any([a for a, _ in pairs], axis=0)
    errors = errors_ms(image, native)
    known = case.native_ms > 0
    roi = errors_ms(reading.t1_ms[known], case.native_ms[known])
    truth = case.record.get("t1_truth_ms")
    several = len(reading.samples_ms) > 1
    means = (
        "psnr_2400_db", "ssim_2400", "psnr_4095_db", "ssim_4095", "nmse_percent", "gradient_ms_per_mm",
        "native_gradient_ms_per_mm", "high_band_ms2", "native_high_band_ms2",
    )  # fmt: skip
    return {
        "infarcted": int(is_infarcted(case)),
        "slices": len(slices),
        "segments": len(segments),
        "n_wall": int(wall.sum()),
        "samples": len(reading.samples_ms),
        **{name: _mean(row[name] for row in slices) for name in means},
        "roi_rmse_ms": roi["rmse"],
        "roi_mae_ms": roi["mae"],
        "wall_rmse_ms": errors["rmse"],
        "wall_mae_ms": errors["mae"],
        "wall_bias_ms": errors["bias"],
        "wall_truth_rmse_ms": None if truth is None else errors_ms(image, truth[wall])["rmse"],
        "segment_rmse_ms": errors_ms(
            np.array([r["synthetic_ms"] for r in segments]), np.array([r["native_ms"] for r in segments])
        )["rmse"],
        "global_native_ms": float(case.native_ms[own].mean(dtype=np.float64)) if own.any() else None,
        "global_ms": float(reading.t1_ms[mine].mean(dtype=np.float64)) if mine.any() else None,
        "crps_ms": crps_ms(reading.samples_ms[:, wall], native),
        "one_sd_crps_ms": None if error_sd_ms is None else normal_crps_ms(image, error_sd_ms, native),
        "own_sd_crps_ms": normal_crps_ms(image, sd_factor * sd, native) if several and sd_factor else None,
        "sd_ms": float(np.sqrt(np.square(sd, dtype=np.float64).mean())) if several and native.size else None,
        **_coverage(reading, None if not several else 1.0),
        **{
            f"calibrated_{name}": value
            for name, value in _coverage(reading, sd_factor if several else None).items()
        },
    }


def _coverage(reading: Reading, factor: float | None) -> dict[str, float | None]:
    if factor is None:
        return {f"coverage_{100 * level:.0f}": None for level in LEVELS}
    wall = reading.shared_wall
    return coverage(reading.t1_ms[wall], reading.sd_ms[wall], reading.native_ms[wall], factor)


def _mean(values) -> float | None:
    """Mean of what is known; an infinite PSNR, of a map equal to the native one, stays infinite."""
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None


def measured(
    reading: Reading,
    roc_ms: float | None,
    native_roc_ms: float | None,
    sd_factor: float | None,
    error_sd_ms: float | None = None,
) -> dict[str, list[dict]]:
    """All rows of one patient and one map: 'slices', 'segments', 'scar', 'reliability', 'patients'.

    roc_ms, native_roc_ms, sd_factor, error_sd_ms  from patients outside the test set, or None
    """
    slices, segments = slice_rows(reading), segment_rows(reading, roc_ms)
    wall = reading.shared_wall
    several = len(reading.samples_ms) > 1
    return {
        "slices": slices,
        "segments": segments,
        "scar": scar_rows(reading, roc_ms, native_roc_ms),
        "reliability": reliability(reading.t1_ms[wall], reading.sd_ms[wall], reading.native_ms[wall])
        if several
        else [],
        "patients": [patient_row(reading, slices, segments, sd_factor, error_sd_ms)],
    }
