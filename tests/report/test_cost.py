from __future__ import annotations

import pytest

from losstune.report.cost import costs_of
from tests.factories import make_execution
from tests.report.studies import make_block, make_study, place
from tests.verdict.test_pipeline import CROSS_ENTROPY, GATED, shifted


def costs(study, durations, default=1.0):
    """Costs where trainings took as long as said, by loss, role and index."""
    executions = [
        make_execution(
            record, duration_sec=durations.get((record.configuration.loss, record.role, place(record)), default)
        )
        for record in (*study.tune, *study.confirm)
    ]
    found = costs_of(study.results(), study.tune, study.confirm, executions[::-1])
    return {cost.loss: cost for cost in found}


def test_two_blocks_by_hand():
    study = make_study({"cross_entropy": CROSS_ENTROPY[:2], "focal": shifted(0.02)[:2]})
    durations = {
        ("focal", "block", 0): 3.0,
        ("focal", "block", 1): 5.0,
        ("focal", "trial", 0): 60.0,
        ("cross_entropy", "block", 0): 2.0,
        ("cross_entropy", "block", 1): 2.0,
        ("cross_entropy", "degraded", 0): 1e6,
    }
    found = costs(study, durations)
    focal, baseline = found["focal"], found["cross_entropy"]
    assert (focal.mean_sec, focal.relative) == (4.0, 2.0)
    assert focal.sd_sec == pytest.approx(2**0.5)
    assert focal.search_min == pytest.approx(65 / 60)
    assert focal.confirm_min == pytest.approx(8 / 60)
    assert (focal.num_trainings, focal.share_failed) == (8, pytest.approx(2 / 8))
    assert (baseline.mean_sec, baseline.relative, baseline.confirm_min) == (2.0, 1.0, pytest.approx(4 / 60))


def test_a_block_that_was_cut_short_tells_nothing_of_how_long_a_training_takes():
    study = make_study(GATED)
    lost = make_block("focal", 0, 0.0, status="diverged")
    study.confirm = [
        lost if (r.configuration.loss, r.role, place(r)) == ("focal", "block", 0) else r for r in study.confirm
    ]
    found = costs(study, {("focal", "block", 0): 600.0}, default=3.0)["focal"]
    assert (found.mean_sec, found.sd_sec) == (3.0, 0.0)
    assert found.confirm_min == pytest.approx((600 + 9 * 3) / 60)
    assert found.share_failed == pytest.approx(3 / 16)


def test_one_slow_first_training_does_not_make_the_others_look_fast():
    found = costs(make_study(GATED), {("cross_entropy", "block", 0): 100.0}, default=2.0)
    assert found["cross_entropy"].mean_sec == pytest.approx((100 + 9 * 2) / 10)
    assert found["focal"].relative == 1.0


def test_without_executions_nothing_is_known():
    study = make_study(GATED)
    found = costs_of(study.results(), study.tune, study.confirm, [])
    assert [cost.loss for cost in found] == list(GATED)
    assert {(cost.mean_sec, cost.sd_sec, cost.relative, cost.search_min) for cost in found} == {(None, None, None, 0.0)}
