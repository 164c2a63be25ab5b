"""Top-5 accuracy, kappa, Matthews' correlation and expected cost against scikit-learn and plain Python."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from sklearn import metrics as reference

from losstune.training.decision_metrics import expected_cost, kappa, mcc, quadratic_kappa, top_5_accuracy
from tests.training.test_metrics import draw

AGREEMENT = {
    kappa: lambda y, k, labels: reference.cohen_kappa_score(y, k, labels=labels),
    quadratic_kappa: lambda y, k, labels: reference.cohen_kappa_score(y, k, labels=labels, weights="quadratic"),
    mcc: lambda y, k, labels: reference.matthews_corrcoef(y, k),
}
CASES = [(50, 2), (7, 10), (300, 10), (2000, 100)]


@pytest.mark.parametrize("metric", AGREEMENT)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("num", "classes"), CASES)
@pytest.mark.parametrize("absent", [False, True])
def test_agreement_is_scikit_learns(metric, num, classes, dtype, absent):
    probabilities, target = draw(num, classes, seed=num, dtype=dtype)
    if absent and classes > 2:
        target[target == 1] = 3  # a class that is predicted, without samples
    expected = AGREEMENT[metric](target.numpy(), probabilities.argmax(1).numpy(), range(classes))
    assert metric(probabilities, target).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", AGREEMENT)
def test_a_model_that_predicts_one_class_is_as_good_as_chance(metric):
    probabilities, target = torch.tensor([[0.6, 0.3, 0.1]]).repeat(9, 1), torch.arange(9) % 3
    assert metric(probabilities, target).item() == pytest.approx(0.0, abs=1e-12)
    assert metric(probabilities, torch.zeros_like(target)).item() == 0.0


@pytest.mark.parametrize("metric", AGREEMENT)
def test_agreement_has_its_bounds(metric):
    target = torch.arange(10) % 2
    assert metric(torch.eye(2)[target], target).item() == 1.0
    assert metric(torch.eye(2)[1 - target], target).item() == -1.0


def test_counts_of_a_large_split_are_exact():
    target = torch.arange(200_000) % 1000
    predicted = (target * 7) % 1000
    probabilities = torch.zeros(200_000, 1000, dtype=torch.bfloat16).scatter_(1, predicted.unsqueeze(1), 1.0)
    found = quadratic_kappa(probabilities, target).item()
    y, k = target.numpy().astype(object), predicted.numpy().astype(object)
    observed = sum((a - b) ** 2 for a, b in zip(y, k, strict=True))
    square = sum(a * a for a in y) + sum(b * b for b in k)
    expected = len(y) * square - 2 * sum(y) * sum(k)
    assert found == pytest.approx(1 - len(y) * observed / expected, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("num", "classes"), [(1, 6), (300, 10), (2000, 100)])
def test_top_5_accuracy_is_scikit_learns(num, classes, dtype):
    probabilities, target = draw(num, classes, seed=num, dtype=dtype)
    expected = reference.top_k_accuracy_score(target, probabilities, k=5, labels=range(classes))
    assert top_5_accuracy(probabilities, target).item() == pytest.approx(expected)


@pytest.mark.parametrize("decimals", [0, 1, 2])
def test_ties_of_top_5_accuracy_go_to_the_first_class(decimals):
    """As in accuracy. scikit-learn prefers the last class, so it is asked with the classes in reverse order."""
    probabilities, target = draw(500, 12, seed=decimals)
    tied = probabilities.round(decimals=decimals)
    expected = reference.top_k_accuracy_score(11 - target, tied.flip(1), k=5, labels=range(12))
    assert top_5_accuracy(tied, target).item() == pytest.approx(expected)
    uniform = torch.full((12, 12), 1 / 12)
    assert top_5_accuracy(uniform, torch.arange(12)).item() == pytest.approx(5 / 12)
    assert top_5_accuracy(tied, target).item() >= reference.accuracy_score(target, tied.argmax(1))


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_expected_cost_is_that_of_the_cheapest_decisions(classes):
    probabilities, target = draw(200, classes, seed=classes)
    costs = np.random.default_rng(classes).uniform(0.5, 20, (classes, classes))
    np.fill_diagonal(costs, 0.1)
    total = 0.0
    for row, label in zip(probabilities.tolist(), target.tolist(), strict=True):
        expected = [math.fsum(p * costs[true, k] for true, p in enumerate(row)) for k in range(classes)]
        total += costs[label, expected.index(min(expected))]
    found = expected_cost(probabilities, target, torch.tensor(costs))
    assert found.dtype == torch.float64
    assert found.item() == pytest.approx(total / 200, rel=1e-12)


def test_equal_costs_are_the_error():
    probabilities, target = draw(300, 4, dtype=torch.float64)
    found = expected_cost(probabilities, target, 1 - torch.eye(4, dtype=torch.float64))
    assert found.item() == pytest.approx(reference.zero_one_loss(target, probabilities.argmax(1)))


def test_a_binary_decision_has_elkans_threshold():
    """With costs 1 of a false alarm and 4 of a miss, class 1 is decided from a probability of 1 / (1 + 4) on."""
    costs = torch.tensor([[0.0, 1.0], [4.0, 0.0]], dtype=torch.float64)
    p_N = torch.tensor([0.19, 0.21])
    probabilities = torch.stack([1 - p_N, p_N], 1)
    assert expected_cost(probabilities, torch.tensor([1, 1]), costs).item() == pytest.approx(4 / 2)
    assert expected_cost(probabilities, torch.tensor([0, 0]), costs).item() == pytest.approx(1 / 2)


@pytest.mark.parametrize("metric", [top_5_accuracy, *AGREEMENT])
def test_the_input_is_left_alone_and_the_result_is_a_double(metric):
    probabilities, target = draw(20, 8)
    before = probabilities.clone(), target.clone()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = metric(probabilities, target)
    assert (value.shape, value.dtype) == ((), torch.float64)
    assert torch.equal(probabilities, before[0])
    assert torch.equal(target, before[1])
