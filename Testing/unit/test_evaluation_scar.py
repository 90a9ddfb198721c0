"""Infarct measures on disc hearts whose infarct is known to the pixel."""

import numpy as np
import pytest
from evaluation_cases import disc_record

from T1DiffLogic.evaluation import scar
from T1DiffLogic.evaluation.cases import Case, Reading
from T1DiffLogic.evaluation.contestants import CEILINGS, slices_alike
from T1DiffLogic.evaluation.measure import measured
from T1DiffLogic.evaluation.sensitivity import moved_contours, one_hot


@pytest.fixture(scope="module")
def sick():
    return Case("test", disc_record("p", 3, True, shift=2.0))


def test_youden_is_the_best_of_all_thresholds():
    generator = np.random.default_rng(0)
    values = np.round(generator.normal(0, 1, 200), 1)
    positive = generator.random(200) < 1 / (1 + np.exp(-2 * values))

    def youden(threshold):
        return (values[positive] > threshold).mean() - (values[~positive] > threshold).mean()

    best = max(youden(t) for t in np.unique(values) - 0.05)
    assert youden(scar.youden_threshold(values, positive)) == pytest.approx(best)
    assert scar.youden_threshold(values, np.zeros(200, bool)) is None


def test_the_truth_finds_all_of_the_infarct(sick):
    truth = next(c for c in CEILINGS if c.maps == "t1_truth_ms").readings(sick, 1, 0)[""]
    for row in scar.scar_rows(truth, 1350.0, 1350.0):
        assert row["dice"] == 1.0 and row["percent"] == pytest.approx(row["reference_percent"]), row["rule"]
        assert row["transmurality"] == pytest.approx(row["reference_transmurality"])
    expected = sick.scar[sick.record["aha_t1"] > 0].mean()
    assert row["reference_percent"] == pytest.approx(100 * expected) and 10 < 100 * expected < 30


def test_scar_is_counted_in_each_sample_not_in_their_mean(sick):
    """Two samples that each show the infarct on another side: none of it is left in their mean."""
    record = sick.record
    angle = np.arctan2(*(np.mgrid[:128, :128] - 63.5))
    halves = [np.where((record["labels_ed"] == 3), 1800.0, np.where(side, 1420.0, 1050.0))
              for side in (angle > 0, angle <= 0)]  # fmt: skip
    row = scar.scar_rows(sick.read(np.stack(halves, axis=1)), None, None)[0]
    assert row["percent"] == pytest.approx(50, abs=3) and row["percent_of_mean_map"] == 0
    assert scar.scar_rows(sick.read(np.stack(halves, axis=1)), None, None)[2]["percent"] is None


def test_without_a_known_infarct_the_native_map_is_the_reference(sick):
    record = {k: v for k, v in sick.record.items() if k not in ("scar", "infarcted")}
    case = Case("test", record)
    wall = record["aha_t1"] > 0
    assert (scar.reference_scar(case) == (wall & (record["t1_ms"] > 1250))).all()


def test_a_noisy_pixel_makes_nobody_infarcted(sick):
    record = {k: v for k, v in sick.record.items() if k not in ("scar", "infarcted")}
    assert scar.is_infarcted(sick)
    wall = (record["aha_t1"] > 0) & (record["t1_ms"] > 0)
    assert scar.is_infarcted(Case("test", record | {"t1_ms": np.where(wall, 1400.0, record["t1_ms"])}))
    calm = np.where(wall, 1180.0, record["t1_ms"])
    calm[tuple(np.argwhere(wall)[0])] = 1400.0
    assert not scar.is_infarcted(Case("test", record | {"t1_ms": calm}))
    # what is known of a patient stands above what the map shows
    assert scar.is_infarcted(Case("test", record | {"t1_ms": calm, "infarcted": np.array(1)}))


def test_wall_shares_are_of_ten_degrees(sick):
    aha, found = sick.record["aha_t1"], sick.scar & (sick.record["aha_t1"] > 0)
    shares = scar.wall_shares(found, aha)
    assert shares.shape == (3, 36) and np.isfinite(shares).all()
    # ± 0.6 rad about one direction: between 5 and 8 sectors of 36, most of them whole
    assert 5 <= (shares[0] > 0.5).sum() <= 8 and shares[0].max() == 1.0
    assert np.isnan(scar.wall_shares(found, np.zeros_like(aha))).all()


def test_dice():
    a, b = np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool)
    assert scar.dice(a, b) == 0.5 and scar.dice(a & ~a, b & ~b) is None and scar.dice(a, ~a) == 0.0


def test_each_map_is_read_under_its_own_contours():
    """The native map lies four pixels lower than the cine: under the cine's contours it would hold blood."""
    case = Case("test", disc_record("p", 5, False, shift=4.0))
    clean = np.where(case.record["labels_ed"] == 2, 1200.0, 1800.0)[:, None]
    rows = measured(case.read(clean), None, None, None)
    remote = case.record["t1_truth_ms"][case.record["labels_t1"] == 2].mean()
    for row in rows["segments"]:
        assert row["synthetic_ms"] == pytest.approx(1200, abs=0.01)
        assert row["native_ms"] == pytest.approx(remote, abs=12)
    patient = rows["patients"][0]
    assert patient["global_ms"] == pytest.approx(1200, abs=0.01)
    both = (case.record["labels_ed"] == 2) & (case.record["labels_t1"] == 2)
    expected = np.sqrt(np.square(1200 - case.record["t1_ms"][both].astype(float)).mean())
    assert patient["wall_rmse_ms"] == pytest.approx(expected, rel=1e-5)
    assert patient["n_wall"] == both.sum() and patient["infarcted"] == 0


def test_pixels_without_a_native_value_count_for_nothing(sick):
    record = dict(sick.record)
    record["t1_ms"] = record["t1_ms"].copy()
    record["t1_ms"][:, 60:70] = 0
    case = Case("test", record)
    row = measured(case.read(np.full((3, 1, 128, 128), 1200.0)), None, None, None)["patients"][0]
    known = record["t1_ms"] > 0
    expected = np.abs(1200 - np.clip(record["t1_ms"], 0, 2400)[known]).mean()
    assert row["roi_mae_ms"] == pytest.approx(expected, rel=1e-5)
    wall = known & (record["labels_ed"] == 2) & (record["labels_t1"] == 2)
    assert row["n_wall"] == wall.sum() < ((record["labels_ed"] == 2) & (record["labels_t1"] == 2)).sum()


def test_contours_move_by_one_pixel():
    labels = np.zeros((1, 9, 9), np.uint8)
    labels[0, 2:7, 2:7], labels[0, 3:6, 3:6] = 2, 3
    wide, narrow = (moved_contours(labels, outward) for outward in (True, False))
    assert (wide == 3).sum() == 9 + 12 and ((wide == 2) | (wide == 3)).sum() == 25 + 20
    assert (narrow == 3).sum() == 1 and ((narrow == 2) | (narrow == 3)).sum() == 9
    soft = one_hot(wide)
    assert soft.shape == (1, 4, 9, 9) and (soft.argmax(1).numpy() == wide).all()


def test_slices_are_matched_by_level_and_rank():
    assert slices_alike(["basal", "mid", "apical"], ["basal", "basal", "mid", "apical"]) == [0, 2, 3]
    assert slices_alike(["mid", "mid"], ["basal", "mid", "mid", "apical"]) == [1, 2]
    assert slices_alike(["apical"], ["basal", "mid"]) == [1]


def test_a_reading_limits_maps_to_the_window(sick):
    reading = Reading(sick, np.full((3, 2, 128, 128), 3000.0), sick.record["labels_ed"], sick.record["aha"])
    assert reading.t1_ms.max() == 2400 and reading.samples_ms.shape == (2, 3, 128, 128)
