"""Pools of records: numbers of trials, order, scores of blocks, and what is missing."""

import math
from dataclasses import replace

import pytest

from losstune.config.load import parse_params
from losstune.core.metric import METRICS
from losstune.verdict.pools import Pools, rules_of
from tests.factories import make_record

SIZE = 3


def trial(loss, search, index, accuracy, status="finished"):
    record = make_record(loss=loss, search=search, index=index, accuracy=accuracy, status=status)
    configuration = record.configuration.model_copy(
        update={"learning_rate": 1e-3 if index == 0 else 1e-4 * (1 + index + SIZE * search)}
    )
    return record.model_copy(update={"configuration": configuration})


def block(of, number, accuracy):
    record = make_record(stage="confirm", role="block", loss=of.configuration.loss, index=number, accuracy=accuracy)
    return record.model_copy(update={"configuration": of.configuration, "test": {"accuracy": accuracy}})


def searches(loss, *accuracies):
    return [trial(loss, n // SIZE, n % SIZE, accuracy) for n, accuracy in enumerate(accuracies)]


def test_trials_are_numbered_over_the_searches_and_the_defaults_are_one_configuration():
    pools = Pools(searches("focal", 0.9, 0.8, 0.95, 0.91, 0.7, 0.85), METRICS["accuracy"], SIZE)
    found = pools.trials("focal", 2)
    assert found is not None
    assert found.validation_T.tolist() == [0.9, 0.8, 0.95, 0.91, 0.7, 0.85]
    assert found.order.rank_T.tolist() == [2, 4, 0, 1, 5, 3]
    assert found.order.is_default_T.tolist() == [True, False, False, True, False, False]
    assert found.configuration_T.tolist() == [0, 1, 2, 0, 4, 5]
    assert pools.trial("focal", 4).number == "1.1"


def test_a_search_with_a_missing_trial_is_missing():
    pools = Pools(searches("focal", 0.9, 0.8, 0.95, 0.91, 0.7), METRICS["accuracy"], SIZE)
    assert pools.trials("focal", 1) is not None
    assert pools.trials("focal", 2) is None
    assert pools.trials("focal", 3) is None
    assert pools.trials("square", 1) is None


def test_a_block_counts_for_the_configuration_that_it_trained():
    trials = searches("focal", 0.9, 0.8, 0.95)
    pools = Pools([*trials, block(trials[2], 0, 0.93), block(trials[1], 1, 0.81)], METRICS["accuracy"], SIZE)
    assert pools.score("focal", 2, 0) == 0.93
    assert pools.score("focal", 1, 0) is None  # another configuration was trained
    assert pools.score("focal", 1, 1) == 0.81
    assert pools.score("focal", 2, 2) is None


def test_the_worst_score_of_a_cost_comes_from_the_first_searches():
    """Later searches depend on test scores, and must not change what a diverged training counts with."""
    cost = replace(METRICS["accuracy"], minimize=True, worst=math.inf)
    first = searches("focal", 0.9, 0.8, 0.7)
    later = trial("focal", 1, 0, 5.0)
    assert Pools([*first, later], cost, SIZE).worst == Pools(first, cost, SIZE).worst == pytest.approx(0.9)


def test_a_loss_without_a_result_in_its_first_search_takes_no_part():
    records = [*searches("cross_entropy", 0.9, 0.8, 0.7), *searches("kl_divergence", 0.9, 0.8, 0.7)]
    records += [*searches("focal", 0.9, 0.8, 0.7), *(trial("gce", 0, n, 0.0, "diverged") for n in range(SIZE))]
    params = parse_params(
        {
            "losses": ["cross_entropy", "kl_divergence", "gce", "focal"],
            "budget": {"trainings": 100},
            "tune": {"trials_per_loss": SIZE},
        }
    )
    pools = Pools(records, METRICS["accuracy"], SIZE)
    rules = rules_of(params, pools, num_controls=9, budget=100)
    assert rules.candidates == ("focal",)
    assert rules.pairs == (("kl_divergence", "cross_entropy"),)
    assert set(rules.yardsticks) == {"cross_entropy", "kl_divergence"}
    assert (rules.size, rules.budget, rules.num_controls) == (SIZE, 100, 9)


def test_numbers_or_a_budget_are_the_limit():
    records = searches("cross_entropy", *[0.9] * 12)
    for budget, most in ((None, (4, 20)), (500, None)):
        params = parse_params(
            {
                "losses": ["cross_entropy"],
                "budget": None if budget is None else {"trainings": budget},
                "tune": {"trials_per_loss": 12, "num_searches": 4},
                "confirm": {"num_blocks": 20},
            }
        )
        rules = rules_of(params, Pools(records, METRICS["accuracy"], 12), 0, budget)
        assert rules.budget == budget
        if most:
            assert (rules.most_searches, rules.most_blocks) == most
        else:
            assert rules.most_searches > 1000
