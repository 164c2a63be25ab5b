"""The metrics that a study may name, and each mistake in one line."""

import math

import pytest
from pydantic import ValidationError

from losstune.config.messages import explain_validation_error
from losstune.config.metrics import NAMES, CostSettings, measure_of
from losstune.config.schema import Params
from losstune.core.metric import METRICS

EXPECTED = (
    "expected one of accuracy, balanced_accuracy, macro_f1, top_5_accuracy, nll, brier, auroc, average_precision, "
    "kappa, quadratic_kappa, mcc, expected_accuracy, soft_nll, {name: expected_cost, costs: ...}, or your own as "
    "path/to/file.py:name or module:name"
)
COSTS = [[0, 1], [5, 0]]


def tune_of(tune, rope=0.01):
    return Params.model_validate({"tune": tune, "report": {"rope": rope}}).tune


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_metric(name):
    tune = tune_of({"metric": name})
    assert tune.measure == METRICS[name]
    assert tune_of({"secondary_metrics": [name]} if name != "accuracy" else {}).measure.name == "accuracy"


def test_ece_is_the_only_metric_that_can_not_be_named():
    assert METRICS.keys() - {*NAMES, "expected_cost"} == {"ece"}


@pytest.mark.parametrize("name", ["nll", "brier", "kappa", "quadratic_kappa", "mcc", "expected_cost"])
def test_a_metric_in_its_own_units_needs_a_rope(name):
    metric = {"name": name, "costs": COSTS} if name == "expected_cost" else name
    with pytest.raises(ValidationError) as caught:
        Params.model_validate({"tune": {"metric": metric}})
    assert explain_validation_error(caught.value, Params) == (
        f"report.rope: is missing, expected the smallest difference of {name} that matters in practice, in the units "
        "of this metric"
    )
    assert Params.model_validate({"tune": {"metric": metric}, "report": {"rope": 3}}).report.rope == 3.0


@pytest.mark.parametrize("name", ["top_5_accuracy", "auroc", "average_precision", "balanced_accuracy", "macro_f1"])
def test_a_fraction_has_the_rope_of_accuracy(name):
    params = Params.model_validate({"tune": {"metric": name}})
    assert (params.tune.measure.percent, params.report.rope) == (True, 0.005)


def test_the_costs_bound_their_metric():
    tune = tune_of({"metric": {"name": "expected_cost", "costs": [[-1, 1], [5, 0.5]]}})
    assert (tune.measure.worst, tune.measure.bounds, tune.measure.minimize) == (5.0, (-1.0, 5.0), True)
    assert tune.metric == CostSettings(name="expected_cost", costs=((-1.0, 1.0), (5.0, 0.5)))
    assert Params.model_validate(Params(tune=tune, report={"rope": 1.0}).model_dump(mode="json")).tune == tune
    assert METRICS["expected_cost"].worst == math.inf


def test_the_metrics_of_a_study_by_the_key_that_names_them():
    own = {"name": "m.py:cost", "minimize": True}
    costs = {"name": "expected_cost", "costs": COSTS}
    tune = tune_of({"metric": "auroc", "secondary_metrics": ["nll", costs, own, "m.py:gain"]})
    assert [measure_of(metric).name for metric in tune.metrics.values()] == [
        *("auroc", "nll", "expected_cost", "cost", "gain")
    ]
    assert list(tune.metrics)[:2] == ["tune.metric", "tune.secondary_metrics.nll"]
    assert list(tune.own_metrics) == ["tune.secondary_metrics.cost", "tune.secondary_metrics.gain"]
    assert [measure_of(metric).name for metric in tune.further_metrics] == ["auroc", "expected_cost", "cost", "gain"]
    assert [metric.minimize for metric in tune.secondary] == [True, True, True, False]
    assert Params().tune.further_metrics == ()


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ({"metric": "ece"}, f"tune.metric: found 'ece', {EXPECTED}"),
        ({"metric": "expected_cost"}, f"tune.metric: found 'expected_cost', {EXPECTED}; it needs its costs"),
        ({"metric": 3}, f"tune.metric: found 3, {EXPECTED}"),
        ({"metric": ["nll"]}, f"tune.metric: found a list, {EXPECTED}"),
        ({"metric": "roc_auc"}, f"tune.metric: found 'roc_auc', {EXPECTED}; did you mean 'auroc'?"),
        ({"metric": "f1"}, f"tune.metric: found 'f1', {EXPECTED}; did you mean 'macro_f1'?"),
        ({"metric": "top5"}, f"tune.metric: found 'top5', {EXPECTED}; did you mean 'top_5_accuracy'?"),
        ({"metric": "log_loss"}, f"tune.metric: found 'log_loss', {EXPECTED}; did you mean 'nll'?"),
        ({"metric": {"name": "auroc"}}, "tune.metric: found a section, expected the name alone: auroc"),
        (
            {"metric": {"name": "ece", "minimize": True}},
            "tune.metric: name: found 'ece', which cannot select: it measures calibration alone",
        ),
        (
            {"metric": {"name": "expected_cost"}},
            "key 'tune.metric.costs' is missing, expected a list of rows, one for each true class: [[0, 1], [5, 0]]",
        ),
        (
            {"metric": {"name": "expected_cost", "costs": COSTS, "minimize": True}},
            "unknown key 'tune.metric.minimize' (allowed here: name, costs)",
        ),
        (
            {"metric": {"name": "expected_cost", "costs": [[0, 1], [5]]}},
            "tune.metric: costs[1]: found a row of length 1, expected 2, the number of rows: rows are true classes, "
            "columns are decided classes",
        ),
        (
            {"metric": {"name": "expected_cost", "costs": [[0]]}},
            "tune.metric: costs: found 1 row, expected one for each class, at least 2",
        ),
        (
            {"metric": {"name": "expected_cost", "costs": [[1, 0], [0, 5]]}},
            "tune.metric: costs[0]: found 0 for class 1, less than 1 for the true class 0; expected the right decision "
            "to cost least (rows are true classes)",
        ),
        (
            {"metric": {"name": "expected_cost", "costs": [[0, "a"], [5, 0]]}},
            "tune.metric.costs[0][1]: found 'a', expected a finite number",
        ),
        (
            {"metric": {"name": "expected_cost", "costs": [[0, math.inf], [5, 0]]}},
            "tune.metric.costs[0][1]: found inf, expected a finite number",
        ),
        (
            {"secondary_metrics": "auroc"},
            "tune.secondary_metrics: found 'auroc', expected a list of metrics, as for tune.metric, or []",
        ),
        (
            {"secondary_metrics": ["nll", "auc"]},
            f"tune.secondary_metrics[1]: found 'auc', {EXPECTED}; did you mean 'auroc'?",
        ),
        ({"secondary_metrics": ["nll", "nll"]}, "tune: secondary_metrics[0]: nll is named twice; remove one"),
        (
            {"metric": "nll", "secondary_metrics": ["mcc", "nll"]},
            "tune: secondary_metrics[1]: nll is tune.metric already; remove one",
        ),
        (
            {"secondary_metrics": [{"name": "mean_iou"}]},
            "tune: secondary_metrics[0]: found 'mean_iou', expected your own as path/to/file.py:name or module:name",
        ),
        (
            {"secondary_metrics": ["m.py:kappa"]},
            "tune.secondary_metrics[0]: name: found 'm.py:kappa', but kappa is a metric of losstune; rename the "
            "function",
        ),
    ],
)
def test_a_mistake_is_one_line(tune, message):
    with pytest.raises(ValidationError) as caught:
        tune_of(tune)
    assert explain_validation_error(caught.value, Params) == message
