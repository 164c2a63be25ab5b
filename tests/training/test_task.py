import pytest

from losstune.core.metric import METRICS
from losstune.training.task import failed
from tests.small import small_task


@pytest.mark.parametrize("test", [True, False])
def test_a_task_that_raised_has_the_worst_scores_for_every_seed(test):
    results = failed(small_task(seeds=(1, 2, 3), test=test), "ValueError: no")
    worst = {name: metric.worst for name, metric in METRICS.items()}
    assert len(results) == 3
    for result in results:
        assert (result.status, result.cause, result.num_parameters) == ("failed", "ValueError: no", 0)
        assert (result.curve, result.validation, result.weights) == ((), worst, None)
        assert result.test == (worst if test else None)
