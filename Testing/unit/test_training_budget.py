"""Budget, stages and schedule of a training run, and its log."""

import pytest

from T1DiffLogic.errors import StudyError
from T1DiffLogic.training.budget import Budget, Progress, stage_of, warm_up_and_cosine
from T1DiffLogic.training.log import Log
from T1DiffLogic.training.t1diff import MEAN_SHARE, T1DiffFast, T1DiffPaper

STAGES = T1DiffFast.stages


def test_budget_is_of_minutes_or_of_updates():
    assert Budget(minutes=2).share(30.0, 999) == 0.25
    assert Budget(updates=200).share(1e9, 50) == 0.25
    assert Budget(minutes=1).share(90.0, 0) == 1.0
    for wrong in ({}, {"minutes": 1, "updates": 1}, {"minutes": 0}, {"updates": -3}):
        with pytest.raises(StudyError, match="budget"):
            Budget(**wrong)


def test_mean_is_learned_before_the_diffusion():
    assert stage_of(STAGES, 0.0) == ("mean", 0.0)
    assert stage_of(STAGES, MEAN_SHARE / 2) == ("mean", pytest.approx(0.5))
    assert stage_of(STAGES, MEAN_SHARE) == ("both", pytest.approx(0.0))
    assert stage_of(STAGES, 1.0) == ("both", pytest.approx(1.0))
    assert stage_of(T1DiffPaper.stages, 0.3) == ("diffusion", 0.3)
    # a run resumed with a longer budget does not learn its mean alone again under a trained diffusion
    assert stage_of(STAGES, 0.3, "both") == ("both", 0.0)


def test_learning_rate_warms_up_and_falls_to_two_percent():
    rates = [warm_up_and_cosine(s, n) for s, n in ((0, 0), (0, 100), (0, 5000), (0.5, 5000), (1, 5000))]
    assert rates == pytest.approx([0.0, 0.5, 1.0, 0.02 + 0.98 * 0.5, 0.02])


def test_a_stage_of_few_updates_warms_up_within_its_first_twentieth():
    """A three-minute training had 160 updates of diffusion, which never saw the full rate."""
    assert warm_up_and_cosine(0.025, 4) == pytest.approx(0.5, rel=0.01)
    assert warm_up_and_cosine(0.06, 10) > 0.98
    assert warm_up_and_cosine(0.001, 50) == pytest.approx(0.25, rel=0.01)  # of many: 200 of them


def test_each_stage_counts_its_updates():
    progress = Progress(updates=500, stage="mean", stage_updates=500, share=0.4)
    progress.enter(STAGES)
    assert (progress.stage, progress.stage_updates) == ("mean", 500)
    progress.share = 0.8
    progress.enter(STAGES)
    assert (progress.stage, progress.stage_updates) == ("both", 0)


def test_log_is_one_table_over_sittings_and_stages(tmp_path):
    Log(tmp_path, fresh=True).add({"step": 1, "loss": 0.25})
    Log(tmp_path, fresh=False).add({"step": 2, "loss": 0.2, "sampled_rmse_ms": 90.0})
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines == ["step,loss,sampled_rmse_ms", "1,0.25,", "2,0.2,90.0"]


def test_a_new_run_does_not_inherit_the_log_of_another(tmp_path):
    for _ in range(2):
        log = Log(tmp_path, fresh=True)
        log.add({"step": 1})
    assert len(log.rows()) == 1
