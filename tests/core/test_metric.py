import math

import pytest

from losstune.core.metric import METRICS, STANDARD, Metric, worst_scores


@pytest.mark.parametrize("name", METRICS)
def test_the_worst_score_is_the_bound_of_the_worse_side(name):
    metric = METRICS[name]
    assert metric.worst == metric.bounds[1 if metric.minimize else 0]
    assert metric.sign * metric.worst == min(metric.sign * bound for bound in metric.bounds)


@pytest.mark.parametrize(("minimize", "worst"), [(True, math.inf), (False, -math.inf)])
def test_nothing_bounds_a_metric_of_the_user_s_own(minimize, worst):
    own = Metric.own("cost", minimize=minimize, percent=False)
    assert (own.worst, own.label) == (worst, "cost")
    assert list(worst_scores([METRICS["mcc"], own])) == [*STANDARD, "mcc", "cost"]
    assert worst_scores([own])["cost"] == worst
    assert "cost" not in worst_scores()


def test_the_standard_metrics_are_what_every_training_has():
    assert list(worst_scores()) == list(STANDARD)
    assert set(STANDARD) < METRICS.keys()
