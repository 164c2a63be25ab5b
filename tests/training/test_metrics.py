"""Every metric against scikit-learn or numpy, on probabilities of every kind."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from sklearn import metrics as reference

from losstune.core.metric import METRICS, STANDARD, worst_scores
from losstune.training.metrics import (
    ECE_NUM_BINS,
    NLL_EPSILON,
    confusion_matrix,
    evaluate,
    fit_temperature,
    reliability,
)


def draw(num, classes, seed=0, scale=2.0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(num, classes, generator=generator, dtype=torch.float64)
    target = torch.randint(classes, (num,), generator=generator)
    logits[torch.arange(num), target] += 1.0
    return logits.softmax(1).to(dtype), target


def ece_by_hand(probabilities, target):
    confidence = probabilities.max(1).astype(np.float64)
    correct = probabilities.argmax(1) == target
    edges = np.arange(ECE_NUM_BINS + 1) / ECE_NUM_BINS
    total = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.sum() * abs(correct[inside].mean() - confidence[inside].mean())
    return total / len(target)


def expected(probabilities, target):
    p, y = probabilities.numpy(), target.numpy()
    classes = p.shape[1]
    labels = np.arange(classes)
    predicted = p.argmax(1)
    clipped = np.clip(p[np.arange(len(y)), y].astype(np.float64), NLL_EPSILON, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sklearn's remarks on absent classes, whose treatment is the point
        return {
            "accuracy": reference.accuracy_score(y, predicted),
            "balanced_accuracy": reference.balanced_accuracy_score(y, predicted),
            "macro_f1": reference.f1_score(y, predicted, average="macro", zero_division=0),
            "nll": -np.log(clipped).mean(),
            "brier": reference.brier_score_loss(
                np.eye(classes)[y].argmax(1), p.astype(np.float64), labels=labels, scale_by_half=False
            )
            if classes > 2
            else ((p.astype(np.float64) - np.eye(2)[y]) ** 2).sum(1).mean(),
            "ece": ece_by_hand(p, y),
        }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("num", "classes"), [(1, 3), (7, 10), (300, 2), (300, 10), (2000, 100)])
def test_agrees_with_scikit_learn(num, classes, dtype):
    probabilities, target = draw(num, classes, seed=num + classes, dtype=dtype)
    if num == 300:
        target[target == 1] = 0  # a class that is predicted but absent
    found = evaluate(probabilities, target)
    assert list(found) == list(STANDARD)
    assert found == pytest.approx(expected(probabilities, target), abs=2e-6, rel=2e-6)


def test_nll_agrees_with_log_loss_on_float32():
    probabilities, target = draw(500, 5, scale=8.0)
    probabilities[:20] = torch.eye(5)[(target[:20] + 1) % 5]  # the true class gets exactly zero
    oracle = reference.log_loss(target.numpy(), probabilities.numpy(), labels=range(5))
    # scikit-learn clips both ends in float32.
    assert evaluate(probabilities, target)["nll"] == pytest.approx(oracle, rel=1e-6)


def test_exact_zeros_cost_a_finite_nll():
    found = evaluate(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([1, 0]))
    assert found["nll"] == pytest.approx(-math.log(NLL_EPSILON) / 2)
    assert found["brier"] == 1.0
    assert found["ece"] == 0.5
    assert found["accuracy"] == 0.5


def test_perfect_and_hopeless_predictions_reach_the_bounds():
    target = torch.arange(4)
    perfect = evaluate(torch.eye(4), target)
    assert perfect == {
        "accuracy": 1.0, "balanced_accuracy": 1.0, "macro_f1": 1.0, "nll": 0.0, "brier": 0.0, "ece": 0.0,
    }  # fmt: skip
    hopeless = evaluate(torch.eye(4)[(target + 1) % 4], target)
    for name in STANDARD:
        if name != "nll":
            assert hopeless[name] == METRICS[name].worst


def test_bins_are_closed_above():
    # 0.2 lies on an edge: (2/15, 3/15] holds it. In float64, 0.2 * 15 is exactly 3.
    probabilities = torch.full((2, 5), 0.2, dtype=torch.float64)
    probabilities[1] = torch.tensor([0.21, 0.19, 0.2, 0.2, 0.2])
    # Two samples in two bins: gaps don't cancel. In one bin they would: |(1 - .2) + (0 - .21)| / 2 = .295.
    assert evaluate(probabilities, torch.tensor([0, 1]))["ece"] == pytest.approx((0.8 + 0.21) / 2)


def test_low_confidences_have_bins_of_their_own():
    # 0.05 lies in the first bin, 0.1 in the second: a hit in one and a miss in the other don't cancel.
    probabilities = torch.full((2, 20), 0.05, dtype=torch.float64)
    probabilities[1] = torch.tensor([0.1] + [0.9 / 19] * 19, dtype=torch.float64)
    target = torch.tensor([0, 1])
    assert evaluate(probabilities, target)["ece"] == pytest.approx((0.95 + 0.1) / 2)
    assert reliability(probabilities, target)[:3] == ((1, 1, 0.05), (1, 0, 0.1), (0, 0, 0.0))


def test_a_confidence_that_rounding_takes_above_one_counts_in_the_last_bin():
    probabilities, target = torch.tensor([[1.0 + 2.0**-23, 0.0]]), torch.tensor([1])
    assert evaluate(probabilities, target)["ece"] == pytest.approx(1.0)
    assert reliability(probabilities, target)[-1] == (1, 0, 1.0 + 2.0**-23)


def test_squares_of_float32_are_added_in_float64():
    probabilities, target = draw(5000, 10)
    residual = probabilities.numpy() - np.eye(10, dtype=np.float32)[target.numpy()]
    expected = np.square(residual).sum(dtype=np.float64) / 5000
    assert evaluate(probabilities, target)["brier"] == pytest.approx(expected, rel=1e-12)


def test_ties_go_to_the_first_class():
    assert evaluate(torch.full((3, 4), 0.25), torch.tensor([0, 0, 1]))["accuracy"] == pytest.approx(2 / 3)


def test_is_deterministic_and_leaves_its_input_alone():
    probabilities, target = draw(1000, 10)
    before = probabilities.clone()
    first = evaluate(probabilities, target)
    assert evaluate(probabilities, target) == first
    assert torch.equal(probabilities, before)


def test_takes_no_gradient():
    probabilities, target = draw(10, 3)
    evaluate(probabilities.requires_grad_(), target)


@pytest.mark.parametrize(("probabilities", "target"), [((5,), (5,)), ((5, 3), (4,)), ((5, 3), (5, 1)), ((0, 3), (0,))])
def test_rejects_shapes_that_do_not_fit(probabilities, target):
    with pytest.raises(ValueError, match=r"^expected probabilities \(N, C\) and target \(N,\) with N >= 1, found \("):
        evaluate(torch.ones(probabilities), torch.zeros(target, dtype=torch.int64))


def test_confusion_matrix_agrees_with_scikit_learn():
    probabilities, target = draw(400, 6)
    target[target == 5] = 0
    found = confusion_matrix(probabilities.argmax(1), target, 6)
    oracle = reference.confusion_matrix(target.numpy(), probabilities.argmax(1).numpy(), labels=range(6))
    assert found.dtype == torch.int64
    assert np.array_equal(found.numpy(), oracle)
    with pytest.raises(ValueError, match="two tensors"):
        confusion_matrix(target[1:], target, 6)


def test_worst_scores_are_as_bad_as_can_be():
    worst = worst_scores()
    assert list(worst) == list(STANDARD)
    for name in STANDARD:
        metric = METRICS[name]
        low, high = metric.bounds
        assert worst[name] == (high if metric.minimize else low)
    assert worst["nll"] == math.inf


def test_balanced_accuracy_can_rest_on_decisions_of_its_own():
    probabilities_NC = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]], dtype=torch.float64)
    target_N = torch.tensor([0, 0, 0, 1])
    plain = evaluate(probabilities_NC, target_N)
    balanced_N = torch.tensor([0, 0, 1, 1])
    scores = evaluate(probabilities_NC, target_N, balanced_N)
    assert plain["balanced_accuracy"] == 0.5
    assert scores["balanced_accuracy"] == reference.balanced_accuracy_score(target_N, balanced_N)
    del scores["balanced_accuracy"], plain["balanced_accuracy"]
    assert scores == plain


def test_reliability_adds_up_to_the_ece():
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.randn(500, 5, generator=generator).mul(3).softmax(1)
    target = torch.randint(0, 5, (500,), generator=generator)
    bins = reliability(probabilities, target)
    assert sum(count for count, _, _ in bins) == 500
    gap = sum(abs(hits - confidences) for _, hits, confidences in bins) / 500
    assert gap == pytest.approx(evaluate(probabilities, target)["ece"], abs=1e-6)


def test_reliability_agrees_with_a_histogram():
    probabilities, target = draw(500, 4, dtype=torch.float64)
    confidence, predicted = probabilities.numpy().max(1), probabilities.numpy().argmax(1)
    edges = np.arange(ECE_NUM_BINS + 1) / ECE_NUM_BINS
    columns = [
        np.histogram(confidence, edges, weights=weights)[0]
        for weights in (np.ones(500), (predicted == target.numpy()).astype(float), confidence)
    ]
    found = np.array(reliability(probabilities, target))
    np.testing.assert_allclose(found, np.transpose(columns), rtol=1e-12)


def test_temperature_has_the_least_nll():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(400, 4, generator=generator) * 6
    target = (logits / 4 + torch.randn(400, 4, generator=generator)).argmax(1)
    found = fit_temperature(logits, target).item()
    grid = np.geomspace(0.02, 50, 4001)
    nll = [torch.nn.functional.cross_entropy(logits / t, target).item() for t in grid]
    assert found == pytest.approx(grid[int(np.argmin(nll))], rel=0.01)


def test_temperature_of_a_perfect_model_is_a_bound():
    logits = torch.eye(4) * 3
    assert fit_temperature(logits, torch.arange(4)).item() == pytest.approx(1 / 50)
    assert fit_temperature(-logits, torch.arange(4)).item() == pytest.approx(50)
