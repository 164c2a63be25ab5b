import pytest
import torch
from torch import nn

from losstune.core.metric import METRICS, Metric
from losstune.training.best_epoch import BestEpoch


def ended(metric, patience, values):
    """Return the number of epochs until the end, the best score, and the weight of its epoch."""
    best, network = BestEpoch(metric, patience), nn.Linear(1, 1)
    for number, value in enumerate(values, start=1):
        nn.init.constant_(network.weight, number)
        best.add({metric.name: value, "other": -value}, network)
        if best.is_over:
            break
    best.restore(network)
    return number, best.scores[metric.name], network.weight.item()


LOSS = Metric.own("loss", minimize=True, percent=False)


@pytest.mark.parametrize(
    ("metric", "patience", "values", "expected"),
    [
        (METRICS["accuracy"], 2, [0.1, 0.3, 0.2, 0.3, 0.9], (4, 0.3, 2)),  # an equal score is no better one
        (METRICS["accuracy"], 3, [0.1, 0.3, 0.2, 0.3, 0.9], (5, 0.9, 5)),
        (METRICS["accuracy"], 1, [0.5, 0.4, 0.9], (2, 0.5, 1)),
        (LOSS, 2, [3.0, 1.0, 2.0, 2.0, 0.0], (4, 1.0, 2)),
        (LOSS, 9, [3.0, 1.0, 2.0], (3, 1.0, 2)),
    ],
)
def test_the_best_epoch_counts(metric, patience, values, expected):
    assert ended(metric, patience, values) == expected


def test_buffers_are_restored():
    network = nn.BatchNorm1d(2)
    best = BestEpoch(METRICS["accuracy"], 1)
    best.add({"accuracy": 0.5}, network)
    network(torch.randn(4, 2))
    best.restore(network)
    assert network.running_mean.tolist() == [0, 0]
