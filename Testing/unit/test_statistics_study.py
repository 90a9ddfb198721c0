"""Study statistics against SciPy, the ANOVA definition of the ICC, and hand-made maps."""

import dataclasses
import json

import numpy as np
import pytest
from scipy import stats

from T1DiffLogic.errors import StudyError
from T1DiffLogic.statistics import (
    agreement,
    agreement_of,
    global_t1,
    midseptal_t1,
    scar_rule,
    segment_table,
    thickening_of,
)
from T1DiffLogic.study import (
    LV_MYOCARDIUM,
    CardiacPhases,
    Cine,
    LVSegmentation,
    SliceGeometry,
    SliceReport,
    Synthesis,
)

SHAPE = (16, 20)


def make(samples, aha, native=None, valid=None, myocardium=None, native_aha=None):
    """A Synthesis around given maps: (K, S, R, C) samples and (S, R, C) segments."""
    s = aha.shape[0]
    geometries = tuple(
        SliceGeometry([0, 0, 8.0 * k], [1, 0, 0], [0, 1, 0], (1.4, 1.4), SHAPE) for k in range(s)
    )
    cine = Cine(np.zeros((s, 2, *SHAPE)), geometries, np.tile([0.0, 40.0], (s, 1)))
    soft = np.zeros((s, 4, *SHAPE), dtype=np.float32)
    wall = aha > 0 if myocardium is None else myocardium
    soft[:, LV_MYOCARDIUM], soft[:, 0] = wall, ~wall
    valid = np.ones_like(aha) if valid is None else valid
    samples = np.where(valid > 0, samples, 0)
    return Synthesis(
        cine=cine,
        phases=CardiacPhases(0, 1, 2),
        segmentation=LVSegmentation(soft, soft, np.full((s, 2, 2), np.nan)),
        slices=tuple(SliceReport(k, "mid", True) for k in range(s)),
        t1_ms=samples.mean(axis=0),
        sd_ms=samples.std(axis=0),
        valid=valid,
        samples_ms=samples,
        aha=aha,
        provenance={},
        native_ms=native,
        native_aha=(None if native is None else aha) if native_aha is None else native_aha,
    )


def sixteen(rng, k=4, spread=60.0, empty=()):
    """A study whose segments are rows of one slice, segment n in row n - 1, 20 pixels each."""
    aha = np.repeat(np.arange(1, 17, dtype=np.uint8), 20).reshape(1, *SHAPE)
    aha = np.where(np.isin(aha, empty), 0, aha).astype(np.uint8)
    truth = 1200 + spread * rng.normal(size=16)[:, None] + 20 * rng.normal(size=SHAPE)
    samples = truth + 15 * rng.normal(size=(k, 16, 1)) + 25 * rng.normal(size=(k, *SHAPE))
    native = truth + 20 * rng.normal(size=SHAPE)
    return aha, truth, samples[:, None].astype(np.float32), native[None].astype(np.float32)


def icc21_by_anova(table):
    """ICC(2,1) of (n targets, k judges) from its mean squares, Shrout and Fleiss 1979, by plain sums."""
    n, k = table.shape
    grand = table.mean()
    between = sum(k * (table[i].mean() - grand) ** 2 for i in range(n)) / (n - 1)
    judges = sum(n * (table[:, j].mean() - grand) ** 2 for j in range(k)) / (k - 1)
    error = 0.0
    for i in range(n):
        for j in range(k):
            error += (table[i, j] - table[i].mean() - table[:, j].mean() + grand) ** 2
    error /= (n - 1) * (k - 1)
    return (between - error) / (between + (k - 1) * error + k * (judges - error) / n)


def test_agreement_of_pairs_against_references():
    rng = np.random.default_rng(0)
    native = rng.normal(1200, 70, 33)
    synthetic = 300 + 0.8 * native + rng.normal(0, 30, 33)
    got = agreement_of(synthetic, native)
    line = stats.linregress(native, synthetic)
    assert got["pearson_r"] == pytest.approx(stats.pearsonr(native, synthetic).statistic, abs=1e-12)
    assert (got["slope"], got["intercept"]) == pytest.approx((line.slope, line.intercept), rel=1e-10)
    difference = synthetic - native
    half = 1.96 * np.std(difference, ddof=1)
    low, high = difference.mean() - half, difference.mean() + half
    assert got["loa_ms"] == pytest.approx([low, high]) and got["bias_ms"] == pytest.approx(difference.mean())
    assert got["icc21"] == pytest.approx(icc21_by_anova(np.stack([native, synthetic], axis=1)), abs=1e-12)
    ccc = (
        2
        * np.cov(native, synthetic, ddof=0)[0, 1]
        / (np.var(native) + np.var(synthetic) + difference.mean() ** 2)
    )
    assert got["ccc"] == pytest.approx(ccc, abs=1e-12)
    assert got["rmse_ms"] == pytest.approx(np.sqrt(np.mean(difference**2)))
    assert got["mae_ms"] == pytest.approx(np.mean(np.abs(difference)))


def test_icc_on_the_published_example():
    """Shrout and Fleiss 1979, table 2: ICC(2,1) = 0.29 for the four judges."""
    judges = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7.0]])
    assert icc21_by_anova(judges) == pytest.approx(0.29, abs=0.005)
    first, fourth = judges[:, 0], judges[:, 3]
    expected = icc21_by_anova(np.stack([first, fourth], axis=1))
    assert agreement_of(first, fourth)["icc21"] == pytest.approx(expected, abs=1e-12)


def test_undefined_agreement_is_none():
    assert all(v is None for v in agreement_of([], []).values())
    one = agreement_of([1210.0], [1200.0])
    assert one["bias_ms"] == 10 and one["loa_ms"] is None and one["pearson_r"] is None
    flat = agreement_of([1200.0, 1210, 1220], [1200.0, 1200, 1200])
    assert flat["pearson_r"] is None and flat["slope"] is None
    assert agreement_of([1.0, 2.0], [1.0, 3.0])["pearson_r"] is None


def test_segment_rows():
    rng = np.random.default_rng(1)
    aha, _, samples, _ = sixteen(rng, empty=(5,))
    study = make(samples, aha)
    rows = segment_table(study)
    assert [r.id for r in rows] == list(range(1, 17)) and rows[7].name == "mid anteroseptal"
    assert rows[4].as_dict() | {"id": 0, "name": ""} == {
        "id": 0, "name": "", "mean_ms": None, "sd_ms": None, "median_ms": None, "n": 0,
        "uncertainty_ms": None, "scar_fraction": None, "thickening_percent": None,
    }  # fmt: skip
    pixels = study.samples_ms[:, 0, 2].astype(float)
    row = rows[2]
    assert row.n == 20 and row.mean_ms == pytest.approx(pixels.mean(), abs=1e-3)
    assert row.sd_ms == pytest.approx(pixels.mean(axis=0).std(), abs=1e-3)
    assert row.median_ms == pytest.approx(np.median(pixels.mean(axis=0)), abs=1e-3)
    assert row.uncertainty_ms == pytest.approx(pixels.mean(axis=1).std(ddof=1), abs=1e-6)
    assert row.scar_fraction == pytest.approx(np.mean([(p > 1250).mean() for p in pixels]))
    assert all(r.uncertainty_ms is None for r in segment_table(make(samples[:1], aha)))
    json.dumps([r.as_dict() for r in rows], allow_nan=False)


def test_scar_is_counted_in_samples_not_in_their_mean():
    aha = np.full((1, *SHAPE), 9, dtype=np.uint8)
    samples = np.full((2, 1, *SHAPE), 1200.0, dtype=np.float32)
    samples[0, 0, :4], samples[1, 0, 4:8] = 1290, 1290  # each sample has scar elsewhere; the mean has none
    study = make(samples, aha)
    assert study.t1_ms.max() < 1250
    assert segment_table(study)[8].scar_fraction == pytest.approx(0.25)


def test_invalid_pixels_never_count():
    rng = np.random.default_rng(2)
    aha, _, samples, native = sixteen(rng)
    valid = np.ones((1, *SHAPE), dtype=np.uint8)
    valid[:, :3], valid[:, 3:, :5] = 0, 0
    study = make(samples, aha, native, valid)
    rows = segment_table(study)
    assert [r.n for r in rows] == [0] * 3 + [15] * 13
    assert rows[5].mean_ms == pytest.approx(samples[:, 0, 5, 5:].mean(), abs=1e-3)
    assert global_t1(study)["n"] == 13 * 15
    assert agreement(study)["n_segments"] == 13 and agreement(study)["global"]["n"] == 13 * 15


def test_global_and_midseptal_t1():
    rng = np.random.default_rng(3)
    aha, _, samples, _ = sixteen(rng)
    study = make(samples, aha)
    assert global_t1(study)["mean_ms"] == pytest.approx(samples.mean(), abs=1e-2)
    assert global_t1(study)["sd_ms"] == pytest.approx(samples.mean(axis=0).std(), abs=1e-2)
    assert midseptal_t1(study)["mean_ms"] == pytest.approx(samples[:, 0, 7:9].mean(), abs=1e-2)
    empty = global_t1(make(samples, aha * 0))
    assert empty == {"mean_ms": None, "sd_ms": None, "n": 0, "uncertainty_ms": None}


def test_agreement_reads_each_map_under_its_own_contours():
    rng = np.random.default_rng(9)
    aha, _, samples, native = sixteen(rng)
    aha, native = np.concatenate([aha, aha]), np.concatenate([native, native + 100])
    samples = np.concatenate([samples, samples + 50], axis=1)
    own = np.roll(aha, 4, axis=2)
    own[1, 4] = 0  # the second scan's slice shows no segment 5
    study = make(samples, aha, native, native_aha=own)
    got = agreement(study)["segments"]
    for number in (3, 5):
        slices = slice(0, 1) if number == 5 else slice(0, 2)
        expected = native[slices][own[slices] == number]
        assert got[number - 1]["native_mean_ms"] == pytest.approx(expected.mean(), abs=1e-3)
        assert got[number - 1]["n"] == expected.size
        synthetic = study.t1_ms[slices][aha[slices] == number]
        assert got[number - 1]["synthetic_mean_ms"] == pytest.approx(synthetic.mean(), abs=1e-3)


def test_a_native_map_comes_with_its_own_segments():
    aha, _, samples, native = sixteen(np.random.default_rng(4))
    with pytest.raises(StudyError, match="own contours"):
        dataclasses.replace(make(samples, aha), native_ms=native)


def test_agreement_of_maps_with_the_same_contours():
    rng = np.random.default_rng(4)
    aha, _, samples, native = sixteen(rng, k=6)
    native[0, :, 12:] = 0  # the native map ends here
    native[0, 0] = 0  # segment 1 is not covered at all
    study = make(samples, aha, native, myocardium=np.arange(320).reshape(1, *SHAPE) % 20 < 15)
    got = agreement(study)
    means = np.array([(study.t1_ms[0, n, :12].mean(), native[0, n, :12].mean()) for n in range(1, 16)])
    assert got["pearson_r"] == pytest.approx(stats.pearsonr(*means.T).statistic, abs=1e-6)
    assert got["bias_ms"] == pytest.approx((means[:, 0] - means[:, 1]).mean(), abs=1e-3)
    assert got["segment_mae_ms"] == pytest.approx(np.abs(means[:, 0] - means[:, 1]).mean(), abs=1e-3)
    pixels = (study.t1_ms - native)[0, 1:, :12].astype(float)
    assert got["rmse_ms"] == pytest.approx(np.sqrt((pixels**2).mean()), abs=1e-3)
    assert got["mae_ms"] == pytest.approx(np.abs(pixels).mean(), abs=1e-3)
    assert (got["n_segments"], got["n_pixels"]) == (15, 15 * 12)
    assert got["segments"][0]["n"] == 0 and got["segments"][0]["native_mean_ms"] is None
    assert got["segments"][3]["native_sd_ms"] == pytest.approx(native[0, 3, :12].std(), abs=1e-2)
    assert got["global"]["difference_ms"] == pytest.approx(pixels.mean(), abs=1e-3)
    json.dumps(got, allow_nan=False)


def test_no_native_map_or_no_overlap():
    rng = np.random.default_rng(5)
    aha, _, samples, native = sixteen(rng)
    assert agreement(make(samples, aha)) is None
    nothing = agreement(make(samples, aha, native * 0))
    assert (
        nothing["n_segments"] == 0 and nothing["pearson_r"] is None and nothing["global"]["native_ms"] is None
    )
    json.dumps(nothing, allow_nan=False)


def test_remote_rule_takes_the_lowest_normally_thickening_third():
    rng = np.random.default_rng(6)
    aha, _, samples, _ = sixteen(rng, k=3, spread=0)
    samples += np.arange(16, dtype=np.float32)[None, None, :, None] * 15
    thickening = np.full(16, 60.0)
    thickening[[0, 3]] = 5.0  # low T1 but not moving: not remote
    study = make(samples, aha)
    rule = scar_rule(study, "remote", thickening)
    assert rule.remote == (2, 3, 5, 6, 7) and rule.note == "" and rule.name == "remote + 2 SD"
    remote = samples[:, 0][:, np.array(rule.remote) - 1].reshape(3, -1).astype(float)
    assert rule.threshold_ms == pytest.approx(remote.mean(axis=1) + 2 * remote.std(axis=1))
    row = segment_table(study, rule)[12]
    share = np.mean([(samples[i, 0, 12] > rule.threshold_ms[i]).mean() for i in range(3)])
    assert row.scar_fraction == pytest.approx(share)
    weak = scar_rule(study, "remote", np.linspace(1, 16, 16))
    assert weak.note and weak.remote == (9, 10, 11, 12, 13)


def test_thickening_of_a_study_is_that_of_its_contours(monkeypatch):
    """Nothing to measure in flat contours: None in every row, and the remote rule says what it lacks."""
    aha, _, samples, _ = sixteen(np.random.default_rng(7))
    study = make(samples, aha)
    assert np.isnan(thickening_of(study)).all()
    assert all(row.thickening_percent is None for row in segment_table(study))
    percent = np.where(np.arange(16) == 6, np.nan, np.arange(16.0))
    monkeypatch.setattr("T1DiffLogic.statistics.wall_thickening", lambda *_: percent)
    rows = segment_table(study)
    assert rows[6].thickening_percent is None and rows[9].thickening_percent == 9.0


def test_rules_by_name_and_number():
    aha, _, samples, _ = sixteen(np.random.default_rng(7))
    study = make(samples, aha)
    assert list(scar_rule(study).threshold_ms) == [1250.0] * 4
    assert (
        list(scar_rule(study, 1300).threshold_ms) == [1300.0] * 4 and scar_rule(study, "1300").name == "given"
    )
    for rule in ("best", 12.0):
        with pytest.raises(StudyError, match="rule|plausible"):
            scar_rule(study, rule)
    with pytest.raises(StudyError, match="thickening"):
        scar_rule(study, "remote")
