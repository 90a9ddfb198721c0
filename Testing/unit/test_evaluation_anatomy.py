"""The ruler of the anatomy: Dice and score row by row, the figures made of them, the fit of the weights."""

from dataclasses import replace

import numpy as np
import pytest

from T1DiffLogic.anatomy import score
from T1DiffLogic.evaluation import degraded
from T1DiffLogic.evaluation.anatomy_validation import VOLUMES, kind_of, summary
from T1DiffLogic.evaluation.cavity_stacks import cavity_stacks
from T1DiffLogic.evaluation.score_fit import fit
from T1DiffLogic.evaluation.scored_slices import failed, slice_rows
from T1DiffLogic.study import LV_CAVITY, LV_MYOCARDIUM

SIZE = 96


def ring(cavity, wall, centre=(48, 48)):
    row, column = np.indices((SIZE, SIZE))
    radius = np.hypot(row - centre[0], column - centre[1])
    return np.where(radius < cavity, LV_CAVITY, np.where(radius < cavity + wall, LV_MYOCARDIUM, 0))


def stack_of(*rings):
    labels = np.array(rings)[:, None].repeat(2, axis=1)
    return degraded.stack_of(labels * 100.0, 9.0 * np.arange(len(rings)), 1.5), labels.astype(np.uint8)


def soft_of(labels, sure=1.0):
    soft = np.stack([labels == value for value in range(4)], axis=-3) * sure
    return (soft + (1 - sure) / 4).astype(np.float32)


def test_rows_hold_the_dice_and_what_was_missed_or_invented():
    cine, truth = stack_of(ring(14, 7), ring(16, 7), ring(12, 7), np.zeros((SIZE, SIZE)))
    found = truth.copy()
    found[1] = ring(16, 3)  # wall too thin
    found[2] = 0  # missed
    found[3] = ring(8, 5)  # invented
    rows = {r["slice"]: r for r in slice_rows("x", "none", cine, soft_of(found), truth) if r["phase"] == 0}
    wall = 2 * 1 / (1 + ((23**2 - 16**2) / (19**2 - 16**2)))
    assert (rows[0]["dice_cavity"], rows[0]["dice_myocardium"]) == (1.0, 1.0)
    assert rows[1]["dice_cavity"] == 1.0 and rows[1]["dice_myocardium"] == pytest.approx(wall, abs=0.03)
    assert rows[2]["score"] is None and rows[2]["dice_cavity"] == 0
    assert rows[3]["dice_cavity"] == 0 and rows[3]["dice_myocardium"] == 0
    assert [failed(rows[s]) for s in range(4)] == [False, True, True, True]
    known = np.zeros((4, 2), dtype=bool)
    known[0, 1] = True
    (row,) = slice_rows("x", "none", cine, soft_of(found), truth, known)
    assert (row["slice"], row["phase"], row["dice_myocardium"]) == (0, 1, None)


def test_the_score_falls_with_doubt_and_with_a_neighbour_that_does_not_fit():
    cine, labels = stack_of(*[ring(15, 7)] * 4)

    def scores(soft):
        return score.score_of(score.features(soft[:, 0], cine.geometries))

    sure, doubtful = scores(soft_of(labels, 0.98)), scores(soft_of(labels, 0.6))
    assert (sure > 0.8).all() and (doubtful < sure - 0.1).all()
    aside = labels.copy()
    aside[3] = ring(15, 7, centre=(48, 70))
    moved = scores(soft_of(aside, 0.9))
    assert moved[3] < scores(soft_of(labels, 0.9))[3] - 0.02
    assert moved[1] == pytest.approx(scores(soft_of(labels, 0.9))[1]), "it has a better neighbour"
    assert np.isnan(scores(soft_of(np.where(labels == LV_CAVITY, 0, labels)))).all()


def test_neighbours_are_compared_where_they_lie_in_the_patient():
    """A slice whose field of view was moved shows the LV elsewhere in the image and not in the patient."""
    cine, labels = stack_of(ring(15, 7), ring(15, 7, centre=(40, 58)))
    g = cine.geometries[1]
    origin = g.to_patient(np.array([8.0, -10.0]))
    there = (cine.geometries[0], replace(g, origin=origin))
    assert score.features(soft_of(labels)[:, 0], cine.geometries)[0, 2] < 0.8
    assert score.features(soft_of(labels)[:, 0], there)[0, 2] > 0.98


def test_weights_are_found_again_and_never_negative():
    rng = np.random.default_rng(0)
    measured = rng.normal(2, 1, (4000, 3))
    good = rng.random(4000) < 1 / (1 + np.exp(-(1.5 * measured[:, 0] - 1.0 * measured[:, 2] - 1)))
    _, weights = fit(measured[:, :2], good)
    assert weights[0] > 5 * weights[1] >= 0
    assert fit(measured, good)[1][2] == 0.0


def study(seed, factor, **more):
    row = {"seed": seed, "slices": 10, "phases": 25, "seconds": 20.0, "ed_error": 0, "es_error": 2}
    for name, true in zip(VOLUMES, (150.0, 60.0, 110.0)):
        row |= {f"{name}_true": true, name: true * factor, f"{name}_drawn": true}
    ef = {"ef_percent_true": 60.0, "ef_percent": 57.0, "ef_percent_drawn": 60.0}
    return row | ef | {"dice_cavity_ed": 0.9} | more


def test_summary_says_bias_and_size_of_errors_apart():
    def row(name, score, dice_cavity, fault="none"):
        return {
            "study": name,
            "fault": fault,
            "slice": 0,
            "dice_cavity": dice_cavity,
            "dice_myocardium": dice_cavity if name.startswith("digital") else None,
            "score": score,
        }

    slices = [row("digital 1", 0.9, 0.95), row("digital 1", 0.2, 0.4), row("digital 2", 0.8, 0.9)]
    slices += [row("digital 2", 0.95, 0.1), row("digital 2", None, 0.0), row("real a", 0.9, 0.9)]
    flags = [
        {"study": "digital 1", "slice": s, "level": level, "score": 0.9, "flag": flag}
        for s, level, flag in (
            (0, None, "no LV found"),
            (1, "mid", "shifted by 9 mm in the plane"),
            (2, "mid", ""),
            (3, "mid", ""),
            (4, "mid", "shifted by 11 mm in the plane"),
        )
    ]
    planted = [{"fault": "two beats", "found": f} for f in (1, 0)]
    found = summary([study(1, 1.1), study(2, 0.9)], slices, flags, planted)
    edv = found["volumes"]["edv_ml_error_percent"]
    assert edv["mean"] == pytest.approx(0) and edv["mean_absolute"] == pytest.approx(10)
    assert found["volumes"]["edv_ml_drawn_error_percent"]["mean_absolute"] == 0
    assert found["volumes"]["ef_error_points"]["mean"] == pytest.approx(-3)
    assert (found["ed_within_1"], found["es_within_1"]) == (1.0, 0.0)
    assert found["seconds_of_10_slices_25_phases"] == 20.0
    cavity = found["score"]["digital, cavity"]
    assert (cavity["auc"], cavity["n_positive"], cavity["missed"]) == (0.5, 2, 1)
    assert (cavity["caught"], cavity["false_alarms"]) == (0.5, 0.0)
    assert found["score"]["real, cavity"]["auc"] is None, "without a failure there is none"
    assert found["flagged_of_slices_with_lv"] == {"shifted by # mm": 0.5}
    assert found["planted_found"] == {"two beats": 0.5}
    assert kind_of("the cavity contracts twice") == "the cavity contracts twice"


def test_real_slices_are_arranged_as_stacks(tmp_path):
    """Images are numbered slice by slice, 20 phases each; the fuller phase comes first."""
    images = np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((4, 16, 16), dtype=np.uint8)
    masks = np.zeros((4, 16, 16), dtype=bool)
    names = [f"SC-A-1-IM-0001-{n:04d}" for n in (1, 21, 9, 29)]
    masks[:2, 4:10, 4:10] = True  # ED: phase 1 of slices 0 and 1
    masks[2:, 5:8, 5:8] = True
    path = tmp_path / "labels.npz"
    np.savez(path, image=images, endocardium=np.packbits(masks, axis=-1), name=names)
    (stack,) = cavity_stacks(path, held_back=True)
    assert stack.cine.images[:, :, 0, 0].tolist() == [[0, 2], [1, 3]]
    assert stack.cavity.sum(axis=(2, 3)).tolist() == [[36, 9], [36, 9]] and stack.known.all()
    assert list(cavity_stacks(path, held_back=False)) == []
    np.savez(path, image=images[:3], endocardium=np.packbits(masks[:3], axis=-1), name=names[:3])
    (partial,) = cavity_stacks(path, held_back=True)
    assert partial.known.tolist() == [[True, True], [True, False]]
