"""CRPS, coverage and reliability against brute force and Gaussian closed forms."""

import numpy as np
import pytest
from scipy.stats import norm

from T1DiffLogic.evaluation.uncertainty import (
    LEVELS,
    coverage,
    crps_ms,
    normal_crps_ms,
    reliability,
    sd_factor,
)


def test_crps_by_all_pairs_of_samples():
    generator = np.random.default_rng(0)
    samples, observed = generator.normal(1200, 50, (5, 7)), generator.normal(1200, 60, 7)
    expected = np.mean(
        [
            np.abs(s - y).mean() - 0.5 * np.abs(s[:, None] - s[None, :]).mean()
            for s, y in zip(samples.T, observed)
        ]
    )
    assert crps_ms(samples, observed) == pytest.approx(expected)


def test_crps_of_one_map_is_its_mean_absolute_error():
    observed = np.array([1.0, 4.0, 9.0])
    assert crps_ms(np.array([[2.0, 4.0, 5.0]]), observed) == pytest.approx(5 / 3)
    assert crps_ms(np.zeros((3, 0)), np.zeros(0)) is None


def test_crps_of_many_gaussian_samples_is_the_closed_form():
    generator = np.random.default_rng(1)
    mean, sd, y = 1200.0, 40.0, 1255.0
    z = (y - mean) / sd
    expected = sd * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert crps_ms(generator.normal(mean, sd, (20000, 1)), np.array([y])) == pytest.approx(expected, rel=0.02)


def test_crps_of_a_normal_error_is_that_of_endless_samples_of_it():
    generator = np.random.default_rng(6)
    mean, observed = np.array([1100.0, 1250.0, 1300.0]), np.array([1130.0, 1250.0, 1210.0])
    drawn = generator.normal(mean, 60.0, (40000, 3))
    assert normal_crps_ms(mean, 60.0, observed) == pytest.approx(crps_ms(drawn, observed), rel=0.01)
    each = np.array([20.0, 60.0, 100.0])
    apart = [normal_crps_ms(mean[i : i + 1], each[i], observed[i : i + 1]) for i in range(3)]
    assert normal_crps_ms(mean, each, observed) == pytest.approx(np.mean(apart))
    assert normal_crps_ms(mean, 0.0, observed) == pytest.approx(np.abs(mean - observed).mean())
    assert normal_crps_ms(np.zeros(0), 60.0, np.zeros(0)) is None


def test_eight_samples_in_pairs_cost_seven_percent_more_than_the_whole_distribution():
    generator = np.random.default_rng(7)
    observed, half = generator.normal(0, 100, 40000), generator.normal(0, 100, (4, 40000))
    drawn, whole = crps_ms(np.concatenate([half, -half]), observed), normal_crps_ms(0.0, 100.0, observed)
    assert drawn / whole == pytest.approx(1.072, abs=0.005)


def test_crps_punishes_a_spread_that_is_not_there_and_rewards_one_that_is():
    generator = np.random.default_rng(2)
    observed = generator.normal(1200, 40, 4000)
    scores = {sd: crps_ms(generator.normal(1200, sd, (32, 4000)), observed) for sd in (5, 40, 160)}
    assert scores[40] < scores[5] and scores[40] < scores[160]


def test_a_right_sd_covers_as_stated_and_its_factor_mends_a_wrong_one():
    generator = np.random.default_rng(3)
    sd = generator.uniform(20, 80, 40000)
    mean = np.full(40000, 1200.0)
    observed = mean + sd * generator.normal(size=40000)
    for level in LEVELS:
        assert coverage(mean, sd, observed)[f"coverage_{100 * level:.0f}"] == pytest.approx(level, abs=0.01)
    factor = sd_factor(reliability(mean, sd / 3, observed))
    assert factor == pytest.approx(3, rel=0.02)
    assert coverage(mean, sd / 3, observed, factor)["coverage_90"] == pytest.approx(0.9, abs=0.01)
    assert coverage(mean, sd / 3, observed)["coverage_90"] < 0.5


def test_reliability_puts_every_pixel_in_the_bin_of_its_sd():
    sd = np.array([0.0, 9.9, 10.0, 75.0, 900.0])
    rows = reliability(np.zeros(5), sd, np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert [(r["sd_from_ms"], r["n"], r["sum_error2"]) for r in rows] == [
        (0.0, 2, 5.0), (10.0, 1, 9.0), (60.0, 1, 16.0), (300.0, 1, 25.0)
    ]  # fmt: skip
    assert sum(r["sum_sd2"] for r in rows) == pytest.approx((sd**2).sum())
    assert sd_factor([]) is None
