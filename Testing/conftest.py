"""Fixtures: an analytic annulus heart on an oblique short-axis stack, as a finished Synthesis."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from T1DiffLogic.study import (
    RESEARCH_NOTICE,
    T1_SCALE_NOTICE,
    CardiacPhases,
    Cine,
    CineSource,
    LVSegmentation,
    SliceGeometry,
    SliceReport,
    Synthesis,
)

SLICES, PHASES, ROWS, COLUMNS = 9, 12, 92, 104
LEVELS = ("apical", "apical", "mid", "mid", "mid", "basal", "basal", "basal", None)
FLAGGED = 7
INFARCT = (7, 13)
SEGMENT_OF_SECTOR = {"basal": (6, 1, 2, 3, 4, 5), "mid": (12, 7, 8, 9, 10, 11), "apical": (16, 13, 14, 15)}


def _geometries(uniform: bool) -> tuple[SliceGeometry, ...]:
    """A short-axis stack seen from the apex: image right is left-posterior, image top head-anterior."""
    to_base = np.array([-0.62, 0.55, 0.56])
    to_base /= np.linalg.norm(to_base)
    row = np.array([0.66, 0.75, 0.0])
    row -= (row @ to_base) * to_base
    row /= np.linalg.norm(row)
    column = np.cross(to_base, row)
    steps = 9.0 * np.arange(SLICES)
    if not uniform:
        steps[5:] += 4.0
    return tuple(
        SliceGeometry(
            np.array([-60.0, -95.0, 40.0]) + s * to_base, row, column, (1.5, 1.4), (ROWS, COLUMNS), 8.0
        )
        for s in steps
    )


def _make_synthesis(uniform: bool = True) -> Synthesis:
    rng = np.random.default_rng(7)
    geometries = _geometries(uniform)
    y, x = np.mgrid[:ROWS, :COLUMNS]
    x_mm, y_mm = (x - 54.0) * 1.4, (y - 46.0) * 1.5
    radius = np.hypot(x_mm, y_mm)
    angle = np.degrees(np.arctan2(-y_mm, x_mm)) % 360
    phase_angle = 2 * np.pi * np.arange(PHASES) / PHASES

    def soft(distance):
        return 1 / (1 + np.exp(-distance / 0.6))

    def anatomy(size, contraction):
        """(4, R, C) soft masks; `size` shrinks towards the apex, `contraction` is 0 at ED, 1 at ES."""
        endo = 24 * size * (1 - 0.38 * contraction)
        epi = np.sqrt((24 * size + 8) ** 2 - (24 * size) ** 2 + endo**2)
        cavity, heart = soft(endo - radius), soft(epi - radius)
        right = np.hypot((x_mm + 34 * size) / 1.0, (y_mm - 2) / 1.35)
        rv = soft(26 * size - 4 * contraction - right) * (1 - heart)
        return np.stack([1 - rv - heart, rv, heart - cavity, cavity]), epi

    shape = (SLICES, ROWS, COLUMNS)
    images = np.zeros((SLICES, PHASES, ROWS, COLUMNS))
    ed, es = np.zeros((SLICES, 4, ROWS, COLUMNS)), np.zeros((SLICES, 4, ROWS, COLUMNS))
    insertions = np.full((SLICES, 2, 2), np.nan)
    truth, aha, valid = np.zeros(shape), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    texture = 18 * np.sin(x_mm / 7) * np.cos(y_mm / 9) + 60
    for s, level in enumerate(LEVELS):
        size = 0.55 + 0.45 * min(s / 6, 1)
        for p in range(PHASES):
            masks, epi = anatomy(size, 0.5 - 0.5 * np.cos(phase_angle[p]))
            if level is None:
                masks = np.stack([np.ones((ROWS, COLUMNS)), *np.zeros((3, ROWS, COLUMNS))])
            images[s, p] = masks[0] * texture + masks[1] * 190 + masks[2] * 80 + masks[3] * 210
            if p == 0:
                ed[s] = masks
                rim = epi
            elif p == PHASES // 2:
                es[s] = masks
        if level is None:
            continue
        for i, degrees in enumerate((120, 240)):
            insertions[s, i] = (
                46.0 - rim * np.sin(np.radians(degrees)) / 1.5,
                54.0 + rim * np.cos(np.radians(degrees)) / 1.4,
            )
        sectors = SEGMENT_OF_SECTOR[level]
        start = 0 if len(sectors) == 6 else -45
        sector = (((angle - start) % 360) // (360 / len(sectors))).astype(int)
        labels = np.array(sectors)[sector]
        wall = ed[s, 2] > 0.9
        truth[s] = ed[s, 2] * np.where(np.isin(labels, INFARCT), 1430, 1195 + 20 * np.sin(np.radians(angle)))
        truth[s] += ed[s, 3] * 1830 + ed[s, 1] * 1800 + ed[s, 0] * (700 + 3 * texture)
        if s != FLAGGED:
            valid[s, 10:82, 14:94] = 1
            aha[s] = np.where(wall & (valid[s] > 0), labels, 0)
    images += rng.normal(0, 4, images.shape)
    samples = (truth + rng.normal(0, 25, (4, *shape)) + rng.normal(0, 12, (4, 1, 1, 1))) * valid
    native = (truth + 15 + rng.normal(0, 30, shape)) * valid
    trigger = 71.5 * np.arange(PHASES) + np.linspace(0, 1.2, SLICES)[:, None]
    cavity_area = 2.1 * 0.25 * np.sum(images[2:5] > 170, axis=(0, 2, 3))
    return Synthesis(
        cine=Cine(
            images, geometries, trigger, CineSource(vendor="SIEMENS", field_strength_t=3.0, heart_rate_bpm=70)
        ),
        phases=CardiacPhases(0, PHASES // 2, PHASES, cavity_area),
        segmentation=LVSegmentation(ed, es, insertions),
        slices=tuple(
            SliceReport(
                s,
                level,
                level is not None and s != FLAGGED,
                ("no motion",) if s == FLAGGED else (),
                None if level is None else 0.25 if s == FLAGGED else 0.9,
            )
            for s, level in enumerate(LEVELS)
        ),
        t1_ms=samples.mean(0),
        sd_ms=samples.std(0, ddof=1) * valid,
        valid=valid,
        samples_ms=samples,
        aha=aha,
        native_ms=native,
        native_aha=aha,
        provenance={
            "model": "annulus",
            "weights_sha256": "0" * 64,
            "trained_on": "annuli of three patients",
            "segmenter": {"name": "rings", "weights_sha256": "1" * 64, "trained_on": "drawn rings"},
            "seed": 7,
            "sampler": "dpm_solver_pp_2m",
            "steps": 8,
            "samples": 4,
            "device": "cpu",
            "versions": {"numpy": np.__version__},
            "notices": [RESEARCH_NOTICE, "trained on annuli of three patients", T1_SCALE_NOTICE],
        },
    )


@pytest.fixture(scope="session")
def synthesis() -> Synthesis:
    """9 slices (apex first, the last one outside the LV, slice 7 flagged) × 12 phases, with a native map."""
    return _make_synthesis()


@pytest.fixture(scope="session")
def synthesis_without_native(synthesis) -> Synthesis:
    return dataclasses.replace(synthesis, native_ms=None, native_aha=None)


@pytest.fixture(scope="session")
def non_uniform_synthesis() -> Synthesis:
    """The same heart with a gap of 13 mm instead of 9 mm between slices 4 and 5."""
    return _make_synthesis(uniform=False)
