from __future__ import annotations

from dataclasses import replace

import pytest

from losstune.core.errors import LosstuneError
from losstune.core.metric import METRICS, Metric
from losstune.study.selection import best_of_searches, order_of, rule, select_winners
from tests.factories import make_record


def winner_index(*records):
    (winner,) = select_winners(records, METRICS["accuracy"], 1)["cross_entropy"]
    return winner.index


def test_highest_final_score_wins_whatever_the_best_epoch_was():
    peaked = make_record(index=0, curve=[0.5, 0.99, 0.90])
    steady = make_record(index=1, curve=[0.5, 0.60, 0.91])
    assert winner_index(peaked, steady) == 1


def test_each_loss_has_its_own_winner():
    records = [
        make_record(loss="focal", index=0, accuracy=0.8),
        make_record(loss="focal", index=1, accuracy=0.9),
        make_record(loss="cross_entropy", index=0, accuracy=0.99),
    ]
    winners = select_winners(records, METRICS["accuracy"], 1)
    assert {loss: record.index for loss, (record,) in winners.items()} == {"cross_entropy": 0, "focal": 1}
    assert list(winners) == ["cross_entropy", "focal"]


def test_the_metric_asked_for_decides():
    first = make_record(index=0, accuracy=0.9).model_copy(update={"validation": {"accuracy": 0.9, "macro_f1": 0.7}})
    second = make_record(index=1, accuracy=0.9).model_copy(update={"validation": {"accuracy": 0.8, "macro_f1": 0.8}})
    assert select_winners([first, second], METRICS["accuracy"], 1)["cross_entropy"][0].index == 0
    assert select_winners([first, second], METRICS["macro_f1"], 1)["cross_entropy"][0].index == 1


def test_tie_goes_to_the_higher_mean_over_the_curve_then_to_the_lower_index():
    late = make_record(index=0, curve=[0.1, 0.2, 0.9])
    early = make_record(index=1, curve=[0.5, 0.8, 0.9])
    same = make_record(index=2, curve=[0.5, 0.8, 0.9])
    assert winner_index(late, early, same) == 1
    assert winner_index(same, early, late) == 1


@pytest.mark.parametrize("status", ["stopped", "diverged", "failed"])
def test_only_finished_trials_win_over_finished_ones(status):
    good = make_record(index=0, accuracy=0.6)
    lost = make_record(index=1, accuracy=0.99, status=status)
    # Even a score that should not be there does not help it.
    lost = lost.model_copy(update={"validation": make_record(accuracy=0.99).validation})
    assert winner_index(good, lost) == 0


def test_stopped_trial_wins_where_none_finished():
    stopped = make_record(index=3, accuracy=0.4, status="stopped")
    assert winner_index(stopped, make_record(index=0, status="diverged")) == 3


def test_loss_without_a_usable_trial_has_no_winner():
    records = [make_record(status="diverged"), make_record(index=1, status="failed")]
    assert select_winners(records, METRICS["accuracy"], 1) == {}


def test_training_loss_takes_no_part():
    low_loss = make_record(index=1, curve=[0.5, 0.6])
    low_loss = low_loss.model_copy(
        update={"curve": tuple(epoch.model_copy(update={"train_loss": 1e-9}) for epoch in low_loss.curve)}
    )
    assert winner_index(make_record(index=0, curve=[0.5, 0.7]), low_loss) == 0


def test_confirmation_rows_are_passed_over():
    assert select_winners([make_record(stage="confirm")], METRICS["accuracy"], 1) == {}


def test_missing_metric_is_named():
    with pytest.raises(LosstuneError, match=r"trial 0\.4 of focal has no validation metric 'auc' \(it has accuracy"):
        select_winners([make_record(loss="focal", index=4)], Metric.own("auc", minimize=False, percent=True), 1)


def test_each_search_has_its_own_winner_and_validation_says_which_to_use():
    records = [
        make_record(search=0, index=0, accuracy=0.8),
        make_record(search=0, index=1, accuracy=0.9),
        make_record(search=1, index=0, accuracy=0.95),
        make_record(search=1, index=1, accuracy=0.7),
    ]
    winners = select_winners(records, METRICS["accuracy"], 2)["cross_entropy"]
    assert [record.number for record in winners] == ["0.1", "1.0"]
    assert best_of_searches(winners, METRICS["accuracy"]).number == "1.0"
    tied = [make_record(search=search, index=2) for search in (1, 0)]
    assert best_of_searches(tied, METRICS["accuracy"]).search == 0


def test_a_loss_with_a_search_that_came_to_nothing_has_no_winner():
    records = [make_record(search=0), make_record(search=1, status="diverged")]
    assert select_winners(records, METRICS["accuracy"], 2) == {}
    assert list(select_winners(records, METRICS["accuracy"], 1)) == ["cross_entropy"]


def test_the_lowest_score_wins_where_lower_is_better():
    def scored(index, *costs):
        record = make_record(index=index, curve=[0.5 for _ in costs])
        curve = tuple(
            epoch.model_copy(update={"validation": {"cost": cost}})
            for epoch, cost in zip(record.curve, costs, strict=True)
        )
        return record.model_copy(update={"curve": curve, "validation": {"cost": costs[-1]}})

    cost = Metric.own("cost", minimize=True, percent=False)
    records = [scored(0, 9.0, 3.0), scored(1, 5.0, 2.0), scored(2, 4.0, 2.0), scored(3, 4.0, 2.0)]
    (winner,) = select_winners(records, cost, 1)["cross_entropy"]
    assert winner.index == 2
    assert best_of_searches([record.model_copy(update={"search": record.index}) for record in records], cost).index == 2
    assert "lowest final" in rule(cost)
    assert "the lower mean" in rule(cost)
    assert "highest final" in rule(METRICS["accuracy"])


def test_a_pool_is_ordered_as_winners_are_selected():
    """The first of the order is the winner of the pool as one search, whatever is left out."""
    records = [
        make_record(index=0, search=0, curve=[0.5, 0.6, 0.9]),
        make_record(index=1, search=0, curve=[0.5, 0.7, 0.9]),  # a tie in the end, a better curve
        make_record(index=2, search=0, curve=[0.9, 0.9, 0.95]),
        make_record(index=0, search=1, curve=[0.5, 0.6, 0.9]),  # as the first, of a later search
        make_record(index=1, search=1, curve=[0.1, 0.1, 0.2]),
        make_record(index=2, search=1, status="diverged"),
    ]
    assert order_of(records, METRICS["accuracy"]) == [2, 1, 0, 3, 4, 5]
    left = [record.model_copy(update={"search": 0, "index": n}) for n, record in enumerate(records)]
    for best in (2, 1, 0, 3, 4):
        assert winner_index(*left) == best
        left = [record for record in left if record.index != best]


def test_a_pool_of_a_cost_is_ordered_from_the_lowest():
    cost = replace(METRICS["accuracy"], name="cost", minimize=True, worst=float("inf"))
    records = [
        make_record(index=n).model_copy(update={"validation": {"cost": value}, "curve": ()})
        for n, value in enumerate((3.0, 1.0, 2.0))
    ]
    assert order_of(records, cost) == [2, 0, 1]
