"""Successive halving: Ray's own implementation is the oracle for one bracket; brackets of losses never meet."""

import random
from types import SimpleNamespace

import pytest

from losstune.core.metric import METRICS, Metric
from losstune.study.asha import Brackets, rungs
from tests.factories import make_record


def test_rungs_rise_by_the_factor_and_stop_before_the_last_epoch():
    assert rungs(1, 2, 8) == (1, 2, 4)
    assert rungs(3, 3, 27) == (3, 9)
    assert rungs(5, 4, 5) == ()


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("mode", ["max", "min"])
def test_one_ladder_decides_as_ray_does(factor, mode):
    from ray.tune.schedulers import ASHAScheduler

    oracle = ASHAScheduler(metric="score", mode=mode, max_t=81, grace_period=3, reduction_factor=factor)
    metric = Metric.own("score", minimize=mode == "min", percent=False)
    brackets = Brackets(rungs(3, factor, 81), factor, metric)
    generator = random.Random(5)
    decisions = []
    for number in range(60):
        trial = SimpleNamespace(trial_id=str(number))
        oracle.on_trial_add(None, trial)
        quality = generator.random()
        for epoch in brackets.rungs:
            score = quality + 0.1 * generator.random()
            stops = oracle.on_trial_result(None, trial, {"training_iteration": epoch, "score": score}) == "STOP"
            goes_on = brackets.goes_on("focal", 0, epoch, score)
            decisions.append((stops, goes_on))
            if stops:
                break
    assert all(stops != goes_on for stops, goes_on in decisions)
    assert {stops for stops, _ in decisions} == {True, False}


def test_a_loss_that_learns_later_is_not_judged_by_one_that_learns_early():
    brackets = Brackets((1,), 2, METRICS["accuracy"])
    assert all(brackets.goes_on("quick", 0, 1, score) for score in (0.7, 0.8, 0.9))
    assert brackets.goes_on("slow", 0, 1, 0.1)
    assert not brackets.goes_on("quick", 0, 1, 0.1)
    # Nor is a search by another search of the same loss: they are to tell nothing of each other.
    assert brackets.goes_on("quick", 1, 1, 0.1)


@pytest.mark.parametrize(
    ("factor", "seen", "score", "goes_on"),
    [
        (2, [], -1.0, True),
        (2, [0.5], 0.5, True),
        (2, [0.5], 0.4999, False),
        (2, [0.25, 0.75], 0.5, True),
        (2, [0.25, 0.75], 0.4999, False),
        (4, [0.125, 0.25, 0.375, 0.5, 0.625], 0.5, True),
        (4, [0.125, 0.25, 0.375, 0.5, 0.625], 0.4999, False),
    ],
)
def test_who_reaches_the_quantile_goes_on(factor, seen, score, goes_on):
    """The cutoff is the (1 - 1/factor) quantile of the scores before."""
    brackets = Brackets((3,), factor, METRICS["accuracy"])
    for earlier in seen:
        brackets.goes_on("focal", 0, 3, earlier)
    assert brackets.goes_on("focal", 0, 3, score) is goes_on


def test_a_resumed_ladder_judges_as_if_it_had_gone_on():
    finished = [
        make_record(loss="focal", stage="tune", index=index, accuracy=0.5 + index / 100, num_epochs=4)
        for index in range(8)
    ]
    resumed, straight = Brackets((1, 2), 2, METRICS["accuracy"]), Brackets((1, 2), 2, METRICS["accuracy"])
    for record in finished:
        resumed.remember(record)
        for epoch in record.curve[:2]:
            straight.goes_on("focal", 0, epoch.epoch, epoch.validation["accuracy"])
    for score in (0.0, 0.3, 0.52, 0.56, 0.9):
        assert resumed.goes_on("focal", 0, 2, score) == straight.goes_on("focal", 0, 2, score)
