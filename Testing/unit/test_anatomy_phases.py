"""ED and ES from noisy, shifted, weak and broken area curves."""

import numpy as np
import pytest

from T1DiffLogic.anatomy.phases import cavity_area, find_phases, mid_slices, smooth_cycle
from T1DiffLogic.errors import StudyError


def volume_curve(phase, es=0.36, ef=0.6):
    """Relative LV volume over the unit cycle: systole, rapid filling, diastasis, atrial kick; ED at 0."""
    filling = np.interp(phase, [es, es + 0.17, 0.80, 0.97, 1.0], [0.0, 0.72, 0.80, 1.0, 1.0])
    systole = 0.5 + 0.5 * np.cos(np.pi * np.clip(phase / es, 0, 1))
    return 1 - ef + ef * np.where(phase < es, systole, filling)


def areas(rng, count=25, ef=0.6, noise=0.0, roll=0, es=0.36, slices=9):
    phase = np.arange(count) / count
    curve = volume_curve(phase, es, ef) ** (2 / 3)
    size = 1600 * np.sqrt(np.clip(1 - np.linspace(-0.25, 1.02, slices) ** 2, 0, None))
    result = size[:, None] * curve * (1 + noise * rng.normal(size=(slices, count)))
    return np.roll(np.clip(result, 0, None), roll, axis=1)


def trigger(count, slices=9, rr=900.0):
    return np.tile(np.arange(count) * rr / count, (slices, 1))


def cyclic(a, b, count):
    return min((a - b) % count, (b - a) % count)


@pytest.mark.parametrize("ef, noise", [(0.6, 0.0), (0.6, 0.04), (0.35, 0.03), (0.2, 0.02)])
def test_ed_within_one_and_es_within_two_of_25(ef, noise):
    rng = np.random.default_rng(0)
    misses = 0
    for es in np.tile(np.linspace(0.30, 0.42, 7), 10):
        found = find_phases(areas(rng, ef=ef, noise=noise, es=es), None, trigger(25))
        misses += abs(found.ed) > 1 or abs(found.es - 25 * es) > 2
    assert misses <= 2  # of 70


def test_a_cycle_that_does_not_start_at_the_r_wave():
    rng = np.random.default_rng(1)
    for roll in (5, 11, 18):
        found = find_phases(areas(rng, noise=0.01, roll=roll), None, trigger(25))
        assert cyclic(found.ed, roll, 25) <= 1 and cyclic(found.es, roll + 9, 25) <= 2


@pytest.mark.parametrize("count", [8, 12, 20, 30, 40])
def test_other_phase_counts(count):
    found = find_phases(areas(np.random.default_rng(2), count, noise=0.01), None, trigger(count))
    assert cyclic(found.ed, 0, count) <= max(1, count // 25)
    assert abs(found.es - 0.36 * count) <= max(1, 2 * count / 25)
    assert found.count == count and not found.given


def test_failed_phases_do_not_move_the_answer():
    curve = areas(np.random.default_rng(3), noise=0.01)
    curve[:, 14] *= 1.6  # one phase where the network painted the RV as well, one where it saw nothing
    curve[:, 20] = 0
    found = find_phases(curve, None, trigger(25))
    assert found.ed in (0, 1, 24) and abs(found.es - 9) <= 2


def test_plateau_is_reported_at_the_r_wave_not_at_its_noisy_maximum():
    curve = np.interp(np.arange(25), [0, 9, 18, 22, 25], [1.0, 0.5, 0.99, 1.003, 1.0])
    assert int(curve.argmax()) == 22
    assert find_phases(1000 * np.tile(curve, (3, 1)), None, trigger(25, 3)).ed == 0


def test_prospective_gating_that_misses_late_diastole():
    rng = np.random.default_rng(6)
    phase = np.arange(25) / 25 * 0.85  # the last 15 % of the beat was not imaged
    for _ in range(20):
        curve = 1500 * volume_curve(phase) ** (2 / 3) * (1 + 0.02 * rng.normal(size=(5, 25)))
        found = find_phases(curve, None, np.tile(phase * 900, (5, 1)))
        assert found.ed <= 1 and abs(found.es - 0.36 / 0.85 * 25) <= 2


def test_soft_masks_and_spacing_give_areas_in_mm2():
    row, column = np.indices((64, 64)) - 31.5
    radius = 15 + 5 * np.cos(2 * np.pi * np.arange(20) / 20)
    soft = np.clip(radius[:, None, None] - np.hypot(row, column) + 0.5, 0, 1)[None].repeat(3, axis=0)
    spacing = [(1.5, 1.2), (1.5, 1.2), (1.0, 1.0)]
    area = cavity_area(soft, spacing)
    assert area[0] == pytest.approx(np.pi * radius**2 * 1.8, rel=0.01)
    assert area[2] == pytest.approx(area[0] / 1.8)
    found = find_phases(soft, spacing, trigger(20, 3))
    assert (found.ed, found.es) == (0, 10) and found.area_mm2.shape == (20,)


def test_mid_slices_are_the_middle_of_the_lv_not_of_the_stack():
    typical = np.array([0, 0, 1500, 1600, 1500, 1300, 1000, 700, 350, 200, 0, 0, 0, 0.0])
    chosen = mid_slices(np.tile(typical[:, None], (1, 10)))
    assert list(np.flatnonzero(chosen)) == [4, 5, 6, 7]


def test_overrides():
    curve = areas(np.random.default_rng(4))
    found = find_phases(curve, None, trigger(25), ed=2)
    assert found.ed == 2 and abs(found.es - 9) <= 2 and found.given
    assert find_phases(curve, None, trigger(25), es=12).ed in (24, 0, 1)
    blank = find_phases(np.zeros((4, 25)), None, trigger(25, 4), ed=0, es=8)
    assert (blank.ed, blank.es, blank.area_mm2.size) == (0, 8, 0)
    with pytest.raises(StudyError, match="--es 25 is outside"):
        find_phases(curve, None, trigger(25), es=25)
    with pytest.raises(StudyError, match="same phase"):
        find_phases(curve, None, trigger(25), ed=3, es=3)


def test_no_lv_and_no_motion_say_what_to_do():
    with pytest.raises(StudyError, match="no left ventricle.*--ed and --es"):
        find_phases(np.zeros((4, 25)), None, trigger(25, 4))
    rng = np.random.default_rng(5)
    for noise in (0.0, 0.02, 0.05):
        still = 1500 * (1 + noise * rng.normal(size=(6, 25)))
        with pytest.raises(StudyError, match="does not move.*--ed and --es"):
            find_phases(still, None, trigger(25, 6))


def test_smoothing_is_the_least_squares_fourier_fit_on_clean_data():
    angle = 2 * np.pi * np.arange(25) / 25
    curve = 100 + 20 * np.cos(angle) - 7 * np.sin(3 * angle)
    assert smooth_cycle(curve)[0] == pytest.approx(curve, abs=1e-9)
