"""One inversion series from disk to disk: what `t1diff fit-t1` does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from . import nrrd_files
from .devices import chosen_device
from .dicom.inversion_search import FoundSeries, find_inversion_series
from .dicom.molli import InversionSeries, fit_series, load_inversion_series
from .errors import StudyError, UsageError
from .outputs import RESULT, Staged, check_writable
from .progress import Stopwatch, silent
from .report.t1_pictures import write_t1_pictures
from .study import T1Map
from .study_files import plain_value
from .versions import installed_versions

NOTICE = "FITTED T1 – FOR RESEARCH ONLY, NOT FOR CLINICAL USE"


def run_fit(source, output, *, number: int | None = None, min_r2: float, correction: float = 1.0,
            device: str = "auto", progress=None) -> dict:  # fmt: skip
    """Find, read and fit the inversion series in `source`, write `output`, and return what result.json holds.

    number      SeriesNumber (0020,0011) of the series to fit, where several lie in `source`
    min_r2      T1 has no value where R² of the fit is lower, 0…1
    correction  factor on T1 (dicom.molli.fit_series)

    `output` gets t1_map.nrrd (ms) and r2.nrrd, float32 in series geometry (single slices under slices/ where
    the stack is not uniform), t1_00.png … and, last, result.json. Raises StudyError; UsageError for options
    out of range.
    """
    if not 0 <= min_r2 < 1:
        raise UsageError(f"--min-r2 {min_r2:g} is outside 0 … 1.")
    if not 0.5 <= correction <= 2:
        raise UsageError(f"--correction {correction:g} is outside 0.5 … 2; it is a factor on T1.")
    progress, watch, output = progress or silent, Stopwatch(), Path(output)
    chosen = chosen_device(device)
    check_writable(output)
    with watch("read"):
        progress("read", 0.0)
        found, notes = _chosen(find_inversion_series(source), number)
        series = load_inversion_series(found, progress)
    with watch("fit"):
        t1, r2 = fit_series(series, chosen, min_r2, correction, progress)
    if not (t1.values_ms > 0).any():
        raise StudyError(
            f"{found.label} follows no inversion recovery, R² is below {min_r2:g} everywhere; give the raw "
            "MOLLI images, or a lower --min-r2."
        )
    result = _result(series, t1, r2, notes)
    result["fit"] = {
        "model": "A - B exp(-TI/T1*), T1 = T1* (B/A - 1)",
        "min_r2": min_r2,
        "correction": correction,
        "device": str(chosen),
    }
    progress("write", 0.0)
    with Staged(output) as stage, watch("write"):
        result["files"] = _write(t1, r2, stage, series.label)
        result["seconds"] = watch.seconds
        text = json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False, default=plain_value)
        (stage / RESULT).write_text(text + "\n", encoding="utf-8")
    progress("write", 1.0)
    return result


def _chosen(found: list[FoundSeries], number: int | None) -> tuple[FoundSeries, list[str]]:
    """The series to fit, and a sentence on each that is left."""
    if number is not None:
        wanted = [s for s in found if number in s.series_numbers]
        if not wanted:
            raise StudyError(
                f"no inversion series has SeriesNumber {number}; found were "
                f"{'; '.join(s.label for s in found)}."
            )
    chosen = found[0] if number is None else wanted[0]
    rest = [
        f"{s.label} ({len(s.slices)} slices{', motion-corrected' * s.motion_corrected}"
        f"{', after contrast' * s.post_contrast}) was not fitted; --series {s.series_numbers[0]} fits it."
        for s in found
        if s is not chosen
    ]
    return chosen, rest


def _result(series: InversionSeries, t1: T1Map, r2: np.ndarray, notes: list[str]) -> dict:
    slices = []
    for s in range(series.n_slices):
        known, fitted = series.inversion[s] >= 0, t1.values_ms[s] > 0
        slices.append(
            {
                "index": s,
                "inversion_times_ms": [round(float(t), 2) for t in series.times_ms[s][known]],
                "share_fitted": float(fitted.mean()),
                "median_t1_ms": float(np.median(t1.values_ms[s][fitted])) if fitted.any() else None,
                "median_r2": float(np.median(r2[s][fitted])) if fitted.any() else None,
            }
        )
    return {
        "status": "ok",
        "kind": "T1 fit",
        "series": series.label,
        "motion_corrected": series.motion_corrected,
        "phase_sensitive": series.signed,
        "slices": slices,
        "notes": [*t1.notes, *notes],
        "provenance": {"notice": NOTICE, "versions": installed_versions("torch", "numpy", "pydicom")},
    }


def _write(t1: T1Map, r2: np.ndarray, stage: Path, title: str) -> dict[str, str]:
    header = {"T1Diff_notice": NOTICE}
    files = {}
    for name, values, unit in (("t1_map", t1.values_ms, "ms"), ("r2", r2, "share of variance explained")):
        written = nrrd_files.write_stack(values, t1.geometries, stage, name, header | {"T1Diff_unit": unit})
        files |= {path.removesuffix(".nrrd"): path for path in written}
    for name in write_t1_pictures(t1, r2, stage, NOTICE, title):
        files[name.removesuffix(".png")] = name
    return files | {"result": RESULT}
