"""Agreement with patient-clustered intervals, and tests between methods, against SciPy and brute force."""

import itertools

import numpy as np
import pytest
from scipy import stats

from T1DiffLogic.evaluation import agreement, significance
from T1DiffLogic.statistics import agreement_of


def cohort(patients=20, segments=8, seed=0, noise=30.0):
    """Segments of patients who differ from each other: native, synthetic, names."""
    generator = np.random.default_rng(seed)
    level = np.repeat(generator.normal(1200, 60, patients), segments)
    native = level + generator.normal(0, 40, level.shape)
    synthetic = 1220 + 0.6 * (native - 1200) + generator.normal(0, noise, level.shape)
    return synthetic, native, np.repeat([f"p{i}" for i in range(patients)], segments)


def test_figures_of_moments_are_those_of_agreement_of_and_scipy():
    synthetic, native, patients = cohort()
    index = agreement.patient_index(patients)
    whole = agreement.figures_of_moments(agreement.patient_moments(synthetic, native, index).sum(axis=0))
    expected = agreement_of(synthetic, native)
    for name in agreement.FIGURES:
        assert whole[name] == pytest.approx(expected[name], rel=1e-6), name
    line = stats.linregress(native, synthetic)
    assert (whole["slope"], whole["pearson_r"]) == (pytest.approx(line.slope), pytest.approx(line.rvalue))
    assert whole["intercept"] == pytest.approx(line.intercept, rel=1e-6)


def test_the_interval_is_that_of_resampled_patients():
    """Against a loop that draws patients and pools their segments."""
    synthetic, native, patients = cohort(patients=12, segments=5)
    found = agreement.clustered_agreement(synthetic, native, patients, resamples=300, seed=4)
    names = list(dict.fromkeys(patients))
    counts = agreement.resampled_counts(len(names), 300, 4)
    drawn = {name: [] for name in agreement.FIGURES}
    for row in counts:
        pick = np.concatenate([np.flatnonzero(patients == n).repeat(k) for n, k in zip(names, row) if k])
        figures = agreement_of(synthetic[pick], native[pick])
        for name in drawn:
            drawn[name].append(figures[name])
    for name in drawn:
        assert found[f"{name}_ci"] == pytest.approx(np.quantile(drawn[name], [0.025, 0.975]), rel=1e-6), name
    assert found["n"] == 60 and found["n_patients"] == 12


def test_every_patient_is_drawn_once_in_the_mean():
    counts = agreement.resampled_counts(7, 3000, 1)
    assert (counts.sum(axis=1) == 7).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(7), abs=0.08)


def test_segments_of_one_heart_do_not_count_as_patients():
    """Sixteen copies of each patient's value must not narrow the interval."""
    synthetic, native, patients = cohort(patients=15, segments=1)
    one = agreement.clustered_agreement(synthetic, native, patients)
    many = agreement.clustered_agreement(*(np.repeat(v, 16) for v in (synthetic, native, patients)))
    assert many["pearson_r_ci"] == pytest.approx(one["pearson_r_ci"], rel=1e-9)


def test_few_patients_have_no_interval():
    found = agreement.clustered_agreement(
        [1200.0, 1250, 1190, 1300], [1210.0, 1240, 1195, 1310], list("aabb")
    )
    assert found["pearson_r"] is not None and found["pearson_r_ci"] is None and found["pearson_p"] is None


def test_within_patient_r_ignores_what_differs_between_patients():
    generator = np.random.default_rng(2)
    patients = np.repeat(["a", "b", "c", "d"], 16)
    level = np.repeat([1100.0, 1200, 1300, 1400], 16)
    inside = generator.normal(0, 30, 64)
    native, synthetic = level + inside, level - 0.5 * inside + generator.normal(0, 1, 64)
    assert agreement_of(synthetic, native)["pearson_r"] > 0.9
    within = agreement.within_patient_r(synthetic, native, patients)
    assert within["median"] < -0.95 and within["n_patients"] == 4
    assert within["by_patient"]["b"] == pytest.approx(stats.pearsonr(native[16:32], synthetic[16:32])[0])


def test_holm_by_hand_and_in_the_order_given():
    assert significance.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert significance.holm([0.5, None, 0.6]) == [1.0, None, 1.0]


def test_wilcoxon_by_enumeration_of_signs():
    difference = np.array([3.0, -1.0, 4.5, 6.0, 2.0, 8.0, 7.0])
    ranks = np.abs(difference).argsort().argsort() + 1
    seen = ranks[difference > 0].sum()
    sums = [np.dot(ranks, signs) for signs in itertools.product((0, 1), repeat=7)]
    middle = ranks.sum() / 2
    expected = np.mean([abs(s - middle) >= abs(seen - middle) for s in sums])
    base = np.array([80.0, 90, 100, 110, 95, 85, 70])
    assert significance.wilcoxon_p(base + difference, base) == pytest.approx(expected)
    assert (
        significance.wilcoxon_p(base, base) == 1.0 and significance.wilcoxon_p(base[:4], base[:4] + 1) is None
    )


def test_auc_counts_pairs_and_ties():
    values, positive = np.array([3.0, 1.0, 2.0, 2.0, 0.5]), np.array([1, 0, 1, 0, 0], bool)
    pairs = [(a > b) + 0.5 * (a == b) for a in values[positive] for b in values[~positive]]
    assert significance.auc(values, positive) == pytest.approx(np.mean(pairs))
    u = stats.mannwhitneyu(values[positive], values[~positive]).statistic
    assert significance.auc(values, positive) == pytest.approx(u / 6)
    assert significance.auc(values, np.ones(5, bool)) is None


def test_resampled_auc_is_that_of_the_pooled_segments():
    generator = np.random.default_rng(5)
    index = np.repeat(np.arange(6), 4)
    positive = generator.random(24) < 0.4
    values = np.round(generator.normal(0, 1, 24) + positive, 1)  # with ties
    counts = agreement.resampled_counts(6, 40, 2)
    found = significance._auc_of(significance._wins(values, positive, index), counts)
    for row, value in zip(counts, found):
        pick = np.concatenate([np.flatnonzero(index == p).repeat(k) for p, k in enumerate(row)])
        expected = significance.auc(values[pick], positive[pick])
        assert (np.isnan(value) and expected is None) or value == pytest.approx(expected)


def test_a_better_method_is_told_and_an_equal_one_is_not():
    synthetic, native, patients = cohort(noise=15)
    generator = np.random.default_rng(9)
    worse = synthetic + generator.normal(0, 120, synthetic.shape)
    found = significance.compare_r(synthetic, worse, native, patients)
    assert found["difference"] > 0.2 and found["p"] < 0.01 and found["ci"][0] > 0
    back = significance.compare_r(worse, synthetic, native, patients)
    assert back["difference"] == pytest.approx(-found["difference"]) and back["p"] == found["p"]
    same = significance.compare_r(synthetic, synthetic + 5, native, patients)
    assert same["difference"] == pytest.approx(0, abs=1e-12) and same["p"] > 0.05
    positive = native > 1260
    assert significance.compare_auc(synthetic, worse, positive, patients)["p"] < 0.05
    assert significance.compare_auc(synthetic, synthetic, positive, patients)["p"] == 1.0


def test_a_bias_is_of_all_patients_and_its_sign_does_not_matter():
    generator = np.random.default_rng(3)
    spread = generator.normal(0, 6, (3, 40))
    spread -= spread.mean(axis=1, keepdims=True)
    small = spread + np.array([[1.0], [-1.0], [1.0]])
    large = spread[:, ::-1] - np.array([[8.0], [8.0], [-5.0]])
    found = significance.compare_bias(small, large)
    assert found["difference"] == pytest.approx(1 - 7) and found["p"] < 0.05
    assert found["ci"][0] < -6 < found["ci"][1] < 0
    assert significance.compare_bias(large, small)["difference"] == pytest.approx(6)
    assert significance.compare_bias(small, small)["p"] == 1.0
    assert significance.compare_bias(small[:, :2], large[:, :2])["p"] is None


@pytest.mark.parametrize("seed", range(3))
def test_the_bootstrap_p_is_uniform_enough_without_a_difference(seed):
    """Twenty pairs of equally noisy methods: about one in twenty below 0.05, never most of them."""
    small = 0
    for number in range(20):
        synthetic, native, patients = cohort(seed=100 * seed + number)
        generator = np.random.default_rng(1000 * seed + number)
        a, b = (native + generator.normal(0, 40, native.shape) for _ in range(2))
        small += significance.compare_r(a, b, native, patients, resamples=400)["p"] < 0.05
    assert small <= 4


def test_partial_r_is_that_of_residuals_and_zero_when_the_control_says_it_all():
    synthetic, native, patients = cohort()
    generator = np.random.default_rng(3)
    control = native + generator.normal(0, 30, native.shape)

    def residual(values):
        design = np.stack([np.ones_like(control), control], axis=1)
        return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]

    expected = stats.pearsonr(residual(synthetic), residual(native))[0]
    found, limits = agreement.partial_r(synthetic, native, control, patients)
    assert found == pytest.approx(expected, rel=1e-6) and limits[0] < found < limits[1]
    blind = control + generator.normal(0, 30, native.shape)  # knows the control and nothing else
    found, limits = agreement.partial_r(blind, native, control, patients)
    assert abs(found) < 0.25 and limits[0] < 0 < limits[1]
    assert agreement.partial_r(synthetic, native, np.full(len(native), 3.0), patients) == (None, None)


def test_place_is_judged_inside_each_patient():
    """Patient b's healthy segments are above a's infarct: place is perfect in both, pooled AUC is not."""
    values = np.array([1100.0, 1300, 1400, 1600, 1400, 1450])
    positive = np.array([0, 1, 0, 1, 0, 0], bool)
    patients = np.array(list("aabbcc"))
    found = significance.within_patient_auc(values, positive, patients)
    assert (found["auc"], found["n_patients"]) == (1.0, 2)
    assert significance.auc(values, positive) < 0.8
    assert significance.within_patient_auc(values, np.zeros(6, bool), patients)["auc"] is None
