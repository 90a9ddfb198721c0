"""Each flag finds the fault that was planted in a digital study, and is silent on the study as it was.

The contours are the true ones throughout: what is tested are the flags, whatever network drew the contours.
"""

from dataclasses import replace

import numpy as np
import pytest

from T1DiffLogic.anatomy import gating, quality
from T1DiffLogic.evaluation import degraded
from T1DiffLogic.evaluation.anatomy_validation import PLANTED, kind_of
from T1DiffLogic.phantom.draws import patient_seed
from T1DiffLogic.phantom.patient import digital_patient
from T1DiffLogic.segmentation import study_anatomy
from T1DiffLogic.study import LV_CAVITY, LV_MYOCARDIUM

MID = 4
"""A mid-ventricular slice of the stack."""


@pytest.fixture(scope="module")
def stack() -> degraded.Stack:
    """Every slice of a healthy heart, in 20 phases; the field is cut to what surrounds the heart."""
    patient = digital_patient(patient_seed("validation", 300), phases=20, infarcted=False)
    return degraded.windowed((patient.cine, patient.labels), patient.labels)


def anatomy_of(stack):
    cine, labels = stack
    soft = np.stack([labels == value for value in range(4)], axis=2).astype(np.float16)
    return study_anatomy(cine, soft)


def told(stack, ignoring=()):
    """Slice -> its flags, without those that any stack has at its ends."""
    usual = {quality.NO_LV, quality.BASE_LEFT, quality.OPEN_RING, quality.IMPLAUSIBLE_AREA, *ignoring}
    flags = {s: set(own) - usual for s, own in enumerate(anatomy_of(stack).flags)}
    return {s: own for s, own in flags.items() if own}


def test_a_clean_study_has_no_flags(stack):
    anatomy = anatomy_of(stack)
    assert told(stack) == {}
    assert anatomy.levels[MID] == "mid" and anatomy.flags[MID] == ()
    assert anatomy.quality[MID] > 0.9
    assert all((q is None) == (quality.NO_LV in f) for q, f in zip(anatomy.quality, anatomy.flags))


def test_uneven_trigger_times(stack):
    assert told(degraded.uneven_times(stack, MID, 0.8, seed=1)) == {MID: {gating.UNEVEN_TIMES}}
    assert told(degraded.uneven_times(stack, MID, 0.05, seed=1)) == {}, "rounding is no fault"


def test_another_heart_rate(stack):
    assert told(degraded.faster(stack, MID, 1.4)) == {MID: {gating.OTHER_RATE}}
    assert told(degraded.faster(stack, MID, 1.08)) == {}


def test_a_slice_out_of_step(stack):
    found = told(degraded.out_of_step(stack, MID, 6), ignoring={quality.IMPLAUSIBLE_MOTION})
    assert found == {MID: {gating.OUT_OF_STEP}}
    assert told(degraded.out_of_step(stack, MID, 1)) == {}


def test_two_beats_in_a_cycle(stack):
    assert told(degraded.two_beats(stack, MID))[MID] >= {gating.TWO_BEATS}
    everywhere = told(degraded.two_beats(stack))
    assert sum(gating.TWO_BEATS in own for own in everywhere.values()) >= 4


def test_frames_of_an_irregular_heart(stack):
    found = told(degraded.frames_exchanged(stack, MID, 3, seed=2), {quality.IMPLAUSIBLE_MOTION})
    assert found == {MID: {gating.JUMPS}}


def test_a_breath_hold_that_moved_a_slice(stack):
    found = told(degraded.slice_shifted(stack, MID, 11.0))
    assert list(found) == [MID]
    (sentence,) = found[MID]
    told_mm = int(sentence.split(" mm")[0].rsplit(" ")[-1])
    assert sentence.startswith("shifted by") and abs(told_mm - 11) <= 2
    assert told(degraded.slice_shifted(stack, MID, 3.0)) == {}
    end = next(s for s, level in enumerate(anatomy_of(stack).levels) if level is not None)
    assert told(degraded.slice_shifted(stack, end, 8.0)) == {}, "where a line is only carried on"
    assert end in told(degraded.slice_shifted(stack, end, 20.0))


def test_poor_contrast(stack):
    lv = [s for s, level in enumerate(anatomy_of(stack).levels) if level is not None]
    faint = told(degraded.dulled(stack, 1.1), ignoring={quality.DOUBTFUL})
    assert all(faint.get(s) == {quality.POOR_CONTRAST} for s in lv)
    drowned = told(degraded.noisy(stack, 0.6, seed=1), ignoring={quality.DOUBTFUL})
    assert all(quality.POOR_CONTRAST in drowned.get(s, ()) for s in lv)
    assert told(degraded.noisy(stack, 0.04, seed=1)) == {}


def test_contours_that_jump_or_grow_between_ed_and_es(stack):
    cine, labels = stack
    es = anatomy_of(stack).phases.es
    elsewhere = labels.copy()
    elsewhere[MID, es] = np.roll(labels[MID, es], 12, axis=0)
    assert quality.IMPLAUSIBLE_MOTION in told((cine, elsewhere))[MID]
    turned = labels.copy()
    turned[MID] = labels[MID, ::-1]
    turned[MID] = np.roll(turned[MID], es, axis=0)
    assert quality.IMPLAUSIBLE_MOTION in told((cine, turned))[MID]


def test_the_faults_that_the_validation_plants_are_told(stack):
    for fault, (flag, plant) in PLANTED.items():
        found = told(plant(stack, MID), {quality.IMPLAUSIBLE_MOTION})
        kinds = {s: {kind_of(own) for own in flags} for s, flags in found.items()}
        assert kinds == {MID: {flag}}, fault


def test_another_field_strength_is_told_with_the_contours(stack):
    cine, labels = stack
    at = replace(cine, source=replace(cine.source, field_strength_t=1.5))
    assert all(any("1.5 T" in flag for flag in own) for own in anatomy_of((at, labels)).flags)
    unknown = replace(cine, source=replace(cine.source, field_strength_t=None))
    assert any("field strength" in note for note in anatomy_of((unknown, labels)).notes)


def test_contours_that_are_no_ventricle_score_low(stack):
    """Half of the wall is missing and a bite of the cavity; the network is unsure of the rest."""
    cine, labels = stack
    broken = labels.copy()
    row = int(np.argwhere(labels[MID, 0] == LV_CAVITY)[:, 0].mean())
    broken[MID, :, row:][broken[MID, :, row:] == LV_MYOCARDIUM] = 0
    broken[MID, :, row:][broken[MID, :, row:] == LV_CAVITY] = 0
    soft = np.stack([broken == value for value in range(4)], axis=2).astype(np.float32)
    unsure = soft.copy()
    unsure[MID] = 0.5 * soft[MID] + 0.125
    anatomy, whole = study_anatomy(cine, unsure.astype(np.float16)), anatomy_of(stack)
    assert anatomy.quality[MID] < quality.MIN_SCORE < whole.quality[MID]
    assert quality.DOUBTFUL in anatomy.flags[MID] and quality.DOUBTFUL not in anatomy.flags[MID + 2]
