import math
from dataclasses import replace

import pytest

from losstune.config.metrics import CostSettings, MetricSettings
from losstune.core.metric import METRICS, STANDARD
from losstune.training.task import failed
from tests.small import small_task


@pytest.mark.parametrize("test", [True, False])
def test_a_task_that_raised_has_the_worst_scores_for_every_seed(test):
    results = failed(small_task(seeds=(1, 2, 3), test=test), "ValueError: no")
    worst = {name: METRICS[name].worst for name in STANDARD}
    assert len(results) == 3
    for result in results:
        assert (result.status, result.cause, result.num_parameters) == ("failed", "ValueError: no", 0)
        assert (result.curve, result.validation, result.weights) == ((), worst, None)
        assert result.test == (worst if test else None)


def test_searched_settings_replace_those_of_the_study():
    task = small_task(momentum=0.9, optimizer="sgd")
    configuration = task.configuration.model_copy(update={"settings": {"momentum": 0.7, "ema": 0.99}})
    tuned = replace(task, configuration=configuration)
    assert (tuned.training.momentum, tuned.training.ema, tuned.training.clip_norm) == (0.7, 0.99, None)
    assert tuned.training == task.training.model_copy(update={"momentum": 0.7, "ema": 0.99})
    assert tuned.model == task.model
    factor = task.configuration.model_copy(update={"settings": {"backbone_factor": 0.1}})
    assert replace(task, configuration=factor).model == task.model.model_copy(update={"backbone_factor": 0.1})
    assert replace(task, configuration=task.configuration) == task


def test_the_metric_that_selects():
    own = MetricSettings(name="mine.py:cost", minimize=True)
    assert small_task().selects.name == "accuracy"
    assert replace(small_task(), score="macro_f1").selects.name == "macro_f1"
    selects = small_task(metrics=("auroc", own), score="cost").selects
    assert (selects.name, selects.sign) == ("cost", -1)


def test_every_metric_has_a_worst_score():
    costs = CostSettings(name="expected_cost", costs=((0.0, 1.0), (5.0, 0.0)))
    own = MetricSettings(name="mine.py:gain")
    worst = small_task(metrics=("mcc", costs, own)).worst_scores()
    assert list(worst) == [*STANDARD, "mcc", "expected_cost", "gain"]
    assert (worst["mcc"], worst["expected_cost"], worst["gain"]) == (-1.0, 5.0, -math.inf)
