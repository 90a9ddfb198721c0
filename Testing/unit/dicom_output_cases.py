"""A small study that came from DICOM on disk, with a result to be written beside it."""

from __future__ import annotations

import dataclasses

import numpy as np
from dicom_cases import smooth_cine

from T1DiffLogic.dicom.cine import read_cine
from T1DiffLogic.phantom.dicom_writer import write_cine
from T1DiffLogic.statistics import segment_table
from T1DiffLogic.study import (
    RESEARCH_NOTICE,
    T1_SCALE_NOTICE,
    CardiacPhases,
    Cine,
    LVSegmentation,
    SliceReport,
    Synthesis,
)

NON_UNIFORM_MM = (-13.0, -2.0, 8.0, 18.5)
UNIFORM_MM = (-12.0, -2.0, 8.0, 18.0)
LEVELS = ("apical", "mid", "basal", None)
JUDGED = (True, True, False, False)
FLAG = "no motion between ED and ES"
SEED = 11
_SECTORS = {"apical": (13, 14, 15, 16), "mid": (7, 8, 9, 10, 11, 12), "basal": (1, 2, 3, 4, 5, 6)}


def source_study(folder, dialect, positions=NON_UNIFORM_MM, tilt_degrees=0.0):
    """A cine of 4 slices × 6 phases as `dialect` DICOM below `folder`, read back; and the written paths.

    tilt_degrees  by how much each slice is turned about its row direction against the one before it
    """
    cine = smooth_cine(phases=6, positions=positions)
    geometries = [tilted(g, np.radians(tilt_degrees * s)) for s, g in enumerate(cine.geometries)]
    paths = write_cine(Cine(cine.images, geometries, cine.trigger_ms), folder, dialect, seed=SEED)
    return read_cine(folder), paths


def tilted(geometry, angle):
    column = np.cos(angle) * geometry.column_direction + np.sin(angle) * geometry.normal
    return dataclasses.replace(geometry, column_direction=column)


def result_of(cine, samples=3) -> Synthesis:
    """Rings and T1 values drawn on `cine`: slice 2 was not judged, slice 3 holds no LV."""
    s, _, rows, columns = cine.images.shape
    y, x = np.mgrid[:rows, :columns] - np.array([rows / 2, columns / 2 - 2])[:, None, None]
    radius, angle = np.hypot(y, x), np.arctan2(y, x)
    labels = np.where(radius < 6, 3, np.where(radius < 11, 2, 0))
    labels = np.where((labels == 0) & (np.hypot(y, x + 15) < 7), 1, labels)
    stack = np.stack([labels if level else np.zeros_like(labels) for level in LEVELS])
    soft = np.moveaxis(np.eye(4, dtype=np.float32)[stack], -1, 1)
    aha, valid = np.zeros(stack.shape, np.uint8), np.zeros(stack.shape, np.uint8)
    for index, level in enumerate(LEVELS):
        if level:
            sectors = np.array(_SECTORS[level])
            which = ((angle + np.pi) / (2 * np.pi) * len(sectors)).astype(int) % len(sectors)
            aha[index] = np.where((radius > 7) & (radius < 10), sectors[which], 0)
        if JUDGED[index]:
            valid[index, 3:-4, 5:-2] = 1
    rng = np.random.default_rng(5)
    ramp = 700.25 + 4 * np.arange(columns) + 11 * np.arange(rows)[:, None] + 31 * np.arange(s)[:, None, None]
    drawn = (ramp + rng.normal(0, 30, (samples, *stack.shape))).astype(np.float32) * valid
    return Synthesis(
        cine=cine,
        phases=CardiacPhases(1, 4, cine.n_phases),
        segmentation=LVSegmentation(soft, soft, np.full((s, 2, 2), np.nan)),
        slices=tuple(
            SliceReport(i, level, judged, () if judged else (FLAG,))
            for i, (level, judged) in enumerate(zip(LEVELS, JUDGED, strict=True))
        ),
        t1_ms=drawn.mean(0),
        sd_ms=drawn.std(0, ddof=1) if samples > 1 else np.zeros_like(drawn[0]),
        valid=valid,
        samples_ms=drawn,
        aha=aha,
        provenance={
            "model": "rings",
            "weights_sha256": "0123456789abcdef" * 4,
            "trained_on": "drawn rings",
            "segmenter": {"name": "ruler", "weights_sha256": "f" * 64, "trained_on": "rulers"},
            "seed": 3,
            "sampler": "dpm_solver_pp_2m",
            "steps": 8,
            "samples": samples,
            "device": "cpu",
            "versions": {"t1diff": "0.1.0"},
            "notices": [RESEARCH_NOTICE, T1_SCALE_NOTICE],
            "notes": [],
        },
    )


def table(synthesis):
    """The AHA-16 table as result.json holds it."""
    return [row.as_dict() for row in segment_table(synthesis)]


def write(synthesis, folder, made_at=None, picture=None):
    """dicom/ below `folder` beside a picture, of noise by default; returns (files, notes)."""
    from PIL import Image

    from T1DiffLogic.dicom_out.files import write_dicom

    folder.mkdir(exist_ok=True)
    if picture is None:
        picture = np.random.default_rng(1).integers(0, 256, (61, 701, 3), dtype=np.uint8)
    Image.fromarray(picture).save(folder / "overlay.png")
    return write_dicom(synthesis, table(synthesis), folder / "overlay.png", folder, made_at)
