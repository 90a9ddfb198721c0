"""Slices that may not be judged are told from slices that are merely sick."""

import numpy as np
import pytest

from T1DiffLogic.anatomy import quality
from T1DiffLogic.study import LV_CAVITY, LV_MYOCARDIUM, SliceGeometry

SHAPE = (120, 120)
GEOMETRIES = [SliceGeometry([0, 0, 9.0 * s], [1, 0, 0], [0, 1, 0], (1.4, 1.4), SHAPE) for s in range(3)]
LEVELS = ("apical", "mid", "basal")


def ring(cavity_mm, wall_mm=9.0, centre=(60, 60)):
    row, column = np.indices(SHAPE)
    radius = 1.4 * np.hypot(row - centre[0], column - centre[1])
    return np.where(radius < cavity_mm, LV_CAVITY, np.where(radius < cavity_mm + wall_mm, LV_MYOCARDIUM, 0))


def stack(*rings):
    return np.array(rings, dtype=np.uint8)


def test_a_healthy_stack_has_no_flags():
    flags, judged = quality.slice_flags(
        stack(ring(12), ring(24), ring(25)),
        stack(ring(5, 12), ring(15, 14), ring(17, 14)),
        GEOMETRIES,
        LEVELS,
    )
    assert flags == ((), (), ()) and judged.all()


@pytest.mark.parametrize("es_mm", [24 * (1 - 0.2) ** (1 / 3), 24 * (1 - 0.1) ** (1 / 3)])
def test_hypokinetic_hearts_move(es_mm):
    phase = 2 * np.pi * np.arange(25) / 25
    radius = (24 + es_mm) / 2 + (24 - es_mm) / 2 * np.cos(phase)
    noise = 1 + 0.01 * np.random.default_rng(0).normal(size=(3, 25))
    ed = stack(*[ring(24)] * 3)
    # even when the reader's ED and ES show the same contour, the curve tells that the slice moves
    for es in (stack(*[ring(es_mm, 10)] * 3), ed):
        area = np.pi * radius**2 * noise
        flags, judged = quality.slice_flags(ed, es, GEOMETRIES, LEVELS, cavity_mm2=area)
        assert flags == ((), (), ()) and judged.all()


def test_an_akinetic_slice_that_is_carried_along_is_judged():
    ed, es = stack(*[ring(20)] * 3), stack(*[ring(20, centre=(61, 61))] * 3)
    assert quality.slice_flags(ed, es, GEOMETRIES, LEVELS)[1].all()


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_a_frozen_slice_is_left_out(noise):
    rng = np.random.default_rng(1)
    ed, es = stack(ring(20), ring(24), ring(24)), stack(ring(14), ring(24), ring(16))
    curve = 1500 * (1 + noise * rng.normal(size=(3, 25)))
    curve[[0, 2]] *= 1 + 0.3 * np.cos(2 * np.pi * np.arange(25) / 25)
    flags, judged = quality.slice_flags(ed, es, GEOMETRIES, LEVELS, cavity_mm2=curve)
    assert flags == ((), (quality.NO_MOTION,), ()) and list(judged) == [True, False, True]


def test_no_lv_and_far_intensities_are_left_out_border_and_open_ring_are_only_told():
    opened = ring(22)
    opened[:60, 60:][opened[:60, 60:] == LV_MYOCARDIUM] = 0
    opened[60:, 60:][opened[60:, 60:] == LV_MYOCARDIUM] = 0
    ed = stack(ring(20, centre=(60, 20)), np.zeros(SHAPE), opened)
    es = stack(ring(12, centre=(60, 20)), np.zeros(SHAPE), ring(14))
    flags, judged = quality.slice_flags(ed, es, GEOMETRIES, ("apical", None, None))
    assert flags == ((quality.AT_BORDER,), (quality.NO_LV,), (quality.OPEN_RING,))
    assert list(judged) == [True, False, True]
    flags, judged = quality.with_intensities(flags, [0.4, 0.2, 1.3])
    assert flags[:2] == ((quality.AT_BORDER,), (quality.NO_LV,))
    assert flags[2] == (quality.OPEN_RING, quality.FAR_FROM_TRAINING) and list(judged) == [True, False, False]


def test_implausible_area_and_missing_insertions_are_told():
    ed, es = stack(ring(64, 4), ring(24), ring(5, 3)), stack(ring(50, 8), ring(15), ring(3, 4))
    flags, judged = quality.slice_flags(ed, es, GEOMETRIES, LEVELS, insertions=np.full((3, 2, 2), np.nan))
    assert quality.IMPLAUSIBLE_AREA in flags[0] and quality.IMPLAUSIBLE_AREA in flags[2]
    assert flags[1] == (quality.NO_INSERTION,) and judged.all()


def test_a_slice_that_the_base_leaves_in_systole_is_left_out():
    """At ES it shows the atrium, of which a rim may pass for wall: there is no motion to read."""
    ed = stack(ring(14), ring(24), ring(25))
    es = stack(ring(6, 12), ring(15, 14), np.zeros(SHAPE))
    es[2, 40:55, 40:55] = LV_MYOCARDIUM
    flags, judged = quality.slice_flags(ed, es, GEOMETRIES, LEVELS)
    assert flags == ((), (), (quality.BASE_LEFT,)) and list(judged) == [True, True, False]


def test_contours_are_doubted_where_there_are_some():
    flags = ((), (), (quality.NO_LV,), (quality.AT_BORDER,), ())
    found = quality.score_flags([0.9, 0.2, 0.2, 0.2, None], flags)
    assert found == ((), (quality.DOUBTFUL,), (), (quality.DOUBTFUL,), ())
