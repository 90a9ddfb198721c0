"""Which step of the panel is usable, what makes a map stale, and the words it uses."""

import dataclasses

import extension_path  # noqa: F401
import numpy as np
import pytest
from T1DiffLib import workflow
from T1DiffLib.workflow import Facts, fingerprint, overall, remaining_text, steps_of

WHOLE = Facts(cine=True, ed=0, es=9, contours=True, cavity=True, result=True, made_from="a", stands="a")


def usable(facts):
    return [name for name, step in steps_of(facts).items() if step.usable]


def test_each_step_waits_for_the_one_before():
    stages = [
        Facts(),
        Facts(cine=True),
        Facts(cine=True, ed=0, es=9),
        Facts(cine=True, ed=0, es=9, contours=True),
        dataclasses.replace(WHOLE, result=False, made_from=""),
        WHOLE,
    ]
    assert [len(usable(facts)) for facts in stages] == [1, 2, 2, 3, 4, 5]
    for facts in stages:
        assert all(step.usable or step.reason for step in steps_of(facts).values())
        assert usable(facts) == list(workflow.STEPS[: len(usable(facts))])


@pytest.mark.parametrize("change", [{"es": 0}, {"cavity": False}, {"unreadable": "two points."}])
def test_what_cannot_condition_the_model_stops_the_synthesis(change):
    steps = steps_of(dataclasses.replace(WHOLE, **change))
    assert not steps["synthesis"].usable and steps["synthesis"].reason
    assert steps["results"].usable, "what was made before stays readable"


def test_missing_torch_stops_the_synthesis_only():
    steps = steps_of(dataclasses.replace(WHOLE, unusable="torch is missing."))
    assert steps["synthesis"].reason == "torch is missing."
    assert steps["review"].usable and steps["results"].usable


def test_only_results_stay_usable_while_something_runs():
    steps = steps_of(dataclasses.replace(WHOLE, running="Synthesising"))
    assert [name for name, step in steps.items() if step.usable] == ["results"]


def test_stale_until_made_again():
    steps = steps_of(dataclasses.replace(WHOLE, stands="b"))
    assert steps["results"].stale and not steps["results"].done and not steps["synthesis"].done
    assert not steps_of(WHOLE)["results"].stale
    assert not steps_of(dataclasses.replace(WHOLE, result=False, stands="b"))["results"].stale


def test_fingerprint_follows_every_input_and_forgives_rounding():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, (3, 8, 9))
    points = rng.uniform(0, 8, (3, 2, 2)).round(1)
    points[2] = np.nan
    inputs = dict(
        ed=0, es=5, labels_ed=labels, labels_es=labels.copy(), insertions=points, settings={"seed": 1}
    )
    first = fingerprint(**inputs)
    assert (
        fingerprint(**inputs | {"insertions": points + 1e-4, "labels_ed": labels.astype(np.uint8)}) == first
    )
    other = labels.copy()
    other[1, 2, 3] = (other[1, 2, 3] + 1) % 4
    moved = points.copy()
    moved[0, 1, 0] += 0.3
    gone = points.copy()
    gone[0, 0] = np.nan
    changes = [
        {"ed": 1}, {"es": 4}, {"labels_ed": other}, {"labels_es": other}, {"insertions": moved},
        {"insertions": gone}, {"settings": {"seed": 2}},
    ]  # fmt: skip
    names = [fingerprint(**inputs | change) for change in changes]
    assert len({first, *names}) == len(changes) + 1


@pytest.mark.parametrize("stages", [workflow.SEGMENT_STAGES, workflow.SYNTHESIS_STAGES])
def test_progress_only_grows(stages):
    assert sum(stages.values()) == pytest.approx(1)
    done = [overall(stages, name, fraction) for name in stages for fraction in (0, 0.5, 1)]
    assert done == sorted(done) and done[0] == 0 and done[-1] == pytest.approx(1)


def test_remaining_time_is_told_once_it_can_be():
    assert remaining_text(0.01, 100) == "" and remaining_text(0.5, 1) == ""
    assert remaining_text(0.5, 30) == "about 30 s left"
    assert remaining_text(0.1, 60) == "about 9 min left"


def test_command_line_options_do_not_reach_the_clinician():
    from T1DiffLogic.anatomy.phases import REMEDY

    words = workflow.in_panel_words(
        f"no left ventricle was found, or {REMEDY}; fewer --samples, --device cpu."
    )
    assert "--" not in words and "Set ED" in words
