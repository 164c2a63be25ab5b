"""A metric of the user's own: what a training records of it, and each mistake in one line before anything trains."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as reference

from losstune.config.metrics import MetricSettings
from losstune.core.errors import LosstuneError
from losstune.losses.registry import get
from losstune.training.loop import train
from losstune.training.own_metric import check_metric, load_metric
from losstune.training.task import failed
from tests.paths import REPOSITORY
from tests.small import digits_arrays, small_task

EXAMPLE = REPOSITORY / "examples/own/my_metrics.py"
METRICS = """
import random
import numpy as np
import torch

calls = []

def top(probabilities, labels, k=3):
    best = np.argsort(-probabilities, axis=1)[:, :k]
    return (best == labels[:, None]).any(1).mean()

def kinds(probabilities, labels):
    assert (type(probabilities), probabilities.dtype, labels.dtype) == (np.ndarray, np.float64, np.int64)
    assert len(probabilities) == len(labels) and probabilities.shape[1] == 10
    return np.float32(probabilities.sum() / len(labels))

def tensor(probabilities, labels): return torch.tensor(probabilities).max()
def whole(probabilities, labels): return 3
def alone(probabilities): return 1.0
def needs(probabilities, labels, costs): return 1.0
def raises(probabilities, labels): return probabilities[labels.max() + 99, 0]
def nothing(probabilities, labels): np.mean(probabilities)
def array(probabilities, labels): return probabilities.max(1)
def text(probabilities, labels): return "0.5"
def truth(probabilities, labels): return True
def nan(probabilities, labels): return float("nan")
def infinite(probabilities, labels): return -np.log(0.0 * probabilities).mean()
def sorts(probabilities, labels):
    probabilities.sort(axis=1)
    return probabilities[0, 0]
def relabels(probabilities, labels):
    labels -= 1
    return float(labels.mean())
def draws(probabilities, labels): return np.random.random()
def counts(probabilities, labels):
    calls.append(1)
    return len(calls)
def late(probabilities, labels):
    if len(labels) > 20:
        raise RuntimeError("too many samples")
    return 1.0
VALUE = 3
"""


@pytest.fixture(autouse=True)
def _study(tmp_path, monkeypatch):
    (tmp_path / "metrics.py").write_text(METRICS)
    monkeypatch.chdir(tmp_path)


def own(name, **options):
    return MetricSettings(name=f"metrics.py:{name}", options=options)


def results_of(metric, **settings):
    task = small_task(metrics=() if metric is None else (metric,), test=True, seeds=(1, 2), **settings)
    return list(train(task, digits_arrays(), get("cross_entropy").bind({})))[-1]


@pytest.mark.parametrize("metric", [own("top"), own("top", k=1), own("kinds"), own("tensor"), own("whole")])
def test_a_usable_metric_passes(metric):
    check_metric(metric, 10)


def test_a_training_records_it_beside_the_others_after_every_epoch_and_on_the_test_split():
    first, second = results_of(own("top", k=1))
    plain, _ = results_of(None)
    for epoch, other in zip(first.curve, plain.curve, strict=True):
        assert epoch.validation == other.validation | {"top": epoch.validation["top"]}
        assert epoch.validation["top"] == pytest.approx(epoch.validation["accuracy"])
    assert first.test["top"] == pytest.approx(first.test["accuracy"])
    assert first.validation["top"] == first.curve[-1].validation["top"]
    assert first.test["top"] != second.test["top"] or first.test["nll"] != second.test["nll"]
    # It neither reads nor moves a stream of the training.
    assert (first.test["nll"], first.predictions) == (plain.test["nll"], plain.predictions)
    (wide, _) = results_of(own("top", k=2))
    assert wide.test["top"] > first.test["top"]


def test_it_gets_probabilities_and_labels_of_the_split():
    (result, _) = results_of(own("kinds"))
    assert result.test["kinds"] == pytest.approx(1.0)


def test_it_is_scikit_learns_on_the_same_samples():
    generator = torch.Generator().manual_seed(3)
    logits, labels = torch.randn(50, 10, generator=generator), torch.arange(50) % 10
    found = load_metric(own("top", k=3))(logits.softmax(1), labels)
    assert found == pytest.approx(reference.top_k_accuracy_score(labels.numpy(), logits.numpy(), k=3))


@pytest.mark.parametrize(("minimize", "worst"), [(True, math.inf), (False, -math.inf)])
def test_a_failed_or_diverged_training_has_its_worst_score(minimize, worst):
    metric = MetricSettings(name="metrics.py:top", minimize=minimize)
    (result,) = failed(small_task(metrics=(metric,), test=True), "a cause")
    assert result.validation["top"] == result.test["top"] == worst
    diverged = results_of(metric, learning_rate=1e30, optimizer="sgd")[0]
    assert diverged.status == "diverged"
    assert diverged.test["top"] == worst


def test_a_metric_that_fails_in_the_middle_fails_its_training():
    check_metric(own("late"), 10)
    with pytest.raises(RuntimeError, match="too many samples"):
        results_of(own("late"))


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (own("tpo"), "but metrics.py has no 'tpo'; did you mean 'top'?"),
        (own("VALUE"), "which is a int, expected a function or a class"),
        (MetricSettings(name="metric.py:top"), "metric.py does not exist; did you mean 'metrics.py'?"),
        (own("alone"), "which takes (probabilities) and can't be called (too many positional arguments)"),
        (own("needs"), "can't be called (missing a required argument: 'costs')"),
        (own("top", kk=1), "can't be called with options kk (got an unexpected keyword argument 'kk')"),
        (own("raises"), "which raises on 6 samples of 3 classes: IndexError: index 101 is out of bounds"),
        (own("nothing"), "which returned for 6 samples of 3 classes nothing (None), expected a number"),
        (own("array"), "a ndarray of shape (6,), expected a number"),
        (own("text"), "a str, expected a number"),
        (own("truth"), "a bool, expected a number"),
        (own("nan"), "nan, expected a finite number"),
        (own("infinite"), "inf, expected a finite number"),
        (own("sorts"), "which changes its input; work on a copy"),
        (own("relabels"), "which changes its input; work on a copy"),
        (own("draws"), "for the same samples; it must depend on its arguments alone"),
        (own("counts"), "which returned 1 and then 2 for the same samples"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_mistake_is_one_line(metric, message):
    with pytest.raises(LosstuneError) as caught:
        check_metric(metric, 3)
    text = str(caught.value)
    assert text.startswith(f"tune.metric: found {metric.name!r}, ")
    assert message in text
    assert "\n" not in text


def test_a_secondary_metric_is_named_by_its_own_key():
    with pytest.raises(LosstuneError, match=r"^tune.secondary_metrics.raises: found 'metrics.py:raises', which raises"):
        check_metric(own("raises"), 3, "tune.secondary_metrics.raises")


def test_the_example_is_the_cost_of_the_cheapest_decision():
    metric = MetricSettings(name=str(EXAMPLE) + ":reviewed_cost", options={"costs": [[0, 1], [10, 0]]}, minimize=True)
    check_metric(metric, 2)
    # At 0.2 for the second class, deciding the first one costs 10 * 0.2, more than 1 * 0.8.
    probabilities = torch.tensor([[0.8, 0.2], [0.95, 0.05]])
    assert load_metric(metric)(probabilities, torch.tensor([0, 1])) == pytest.approx((1 + 10) / 2)
    plain = MetricSettings(name=str(EXAMPLE) + ":reviewed_cost", options={"costs": (1 - np.eye(3)).tolist()})
    p = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)).softmax(1)
    labels = torch.arange(40) % 3
    assert load_metric(plain)(p, labels) == pytest.approx(reference.zero_one_loss(labels, p.argmax(1)))
    # A decision costs (0.2, 0.8) or (0.5, 0.5) at equal costs: the review at 0.3 takes the second sample alone.
    reviewed = MetricSettings(name=str(EXAMPLE) + ":reviewed_cost", options={"costs": [[0, 1], [1, 0]], "review": 0.3})
    probabilities = torch.tensor([[0.8, 0.2], [0.5, 0.5]])
    assert load_metric(reviewed)(probabilities, torch.tensor([1, 1])) == pytest.approx((1 + 0.3) / 2)
