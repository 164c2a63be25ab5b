"""What more trainings would buy, against a study that is extended training by training."""

from __future__ import annotations

import numpy as np
import pytest

from losstune.verdict.outlook import Need, bought_by, needs_of, settled_by
from tests.report.pooled import NUM_TRIALS, make_example


def extended(needs, num_trainings, yardsticks, yardstick_has):
    """Each loss that is within reach alone gets one training after the other, whichever has the fewest.

    Of equal ones, the loss that needs the most goes first. A yardstick gets as many as the furthest loss.
    """
    has = {need.loss: need.has for need in needs}

    def alone(need):
        return need.needs - need.has + yardsticks * max(0, need.needs - yardstick_has)

    going = [need for need in needs if alone(need) <= num_trainings]
    settled, spent, at = [], 0, yardstick_has
    while going:
        behind = min(going, key=lambda need: (has[need.loss], -need.needs))
        has[behind.loss] += 1
        spent += 1
        if has[behind.loss] > at:
            at += 1
            spent += yardsticks
        if spent > num_trainings:
            break
        done = [need for need in going if has[need.loss] == need.needs]
        settled += [need.loss for need in done]
        going = [need for need in going if need not in done]
    return settled


@pytest.mark.parametrize("seed", range(40))
def test_what_is_bought_is_what_a_study_buys_training_by_training(seed):
    rng = np.random.default_rng(seed)
    yardsticks, at = int(rng.integers(1, 4)), int(rng.integers(10, 30))
    # No two losses end at the same time: one of them would be paid first.
    ends = at + rng.choice(np.arange(1, 60), 6, replace=False)
    needs = [Need(f"loss{number}", int(rng.integers(5, at + 1)), int(end)) for number, end in enumerate(ends)]
    for budget in (0, 20, 100, 200, 400, 2000):
        found = settled_by(needs, budget, yardsticks=yardsticks, yardstick_has=at)
        assert found == extended(needs, budget, yardsticks, at), budget


def test_the_yardsticks_are_paid_once():
    needs = [Need("a", 10, 20), Need("b", 10, 20)]
    # Two losses and two yardsticks, each by ten.
    assert settled_by(needs, 39, yardsticks=2, yardstick_has=10) == []
    assert settled_by(needs, 40, yardsticks=2, yardstick_has=10) == ["a", "b"]
    # The yardsticks are there already.
    assert settled_by(needs, 20, yardsticks=2, yardstick_has=20) == ["a", "b"]


def test_what_no_trainings_would_settle_costs_nothing():
    hopeless = Need("hopeless", 10, 10_000)
    assert settled_by([Need("a", 10, 20), hopeless], 20, yardsticks=1, yardstick_has=10) == ["a"]


def test_the_needs_of_a_study_come_from_its_results():
    results = make_example().results()
    needs = {need.loss: need for need in needs_of(results)}
    assert set(needs) == {"gce", "js"}
    gce = results.of("gce")
    assert needs["gce"].has == 2 * NUM_TRIALS + 10
    # Two yardsticks and the loss itself pay for each step.
    assert 3 * (needs["gce"].needs - needs["gce"].has) == gce.trainings_needed
    assert bought_by(results, gce.trainings_needed - 1) == []
    assert bought_by(results, gce.trainings_needed) == ["gce"]


def test_a_loss_that_nothing_would_settle_has_no_need():
    results = make_example().results()
    losses = tuple(loss.model_copy(update={"trainings_needed": None}) for loss in results.losses)
    assert needs_of(results.model_copy(update={"losses": losses})) == []
