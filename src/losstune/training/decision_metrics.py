"""Metrics of the decisions that follow from probabilities: top-5 accuracy, kappa, Matthews' correlation, costs.

Sums of integers are exact in int64, so they do not depend on their order. Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

TOP = 5


def top_5_accuracy(probabilities_NC: Tensor, target_N: Tensor) -> Tensor:
    """Return the fraction of samples whose true class is among the five most probable ones.

    Ties go to the first class, as in accuracy, which it is never below. scikit-learn's ``top_k_accuracy_score`` prefers
    the last class.
    """
    true_N1 = probabilities_NC.gather(1, target_N.unsqueeze(1))
    is_before_C = torch.arange(probabilities_NC.shape[1], device=target_N.device) < target_N.unsqueeze(1)
    is_ahead_NC = (probabilities_NC > true_N1) | ((probabilities_NC == true_N1) & is_before_C)
    return (is_ahead_NC.sum(1) < TOP).double().mean()


def kappa(probabilities_NC: Tensor, target_N: Tensor) -> Tensor:
    """Return Cohen's kappa of predicted and true classes, 1 - observed / expected disagreement.

    0 if chance alone agrees on every sample: all true and all predicted classes are the same one.
    """
    predicted_N, support_C, claims_C = _counts(probabilities_NC, target_N)
    num = len(target_N)
    observed, expected = num - (predicted_N == target_N).sum(), num**2 - (support_C * claims_C).sum()
    return _beyond_chance(num * observed, expected)


def quadratic_kappa(probabilities_NC: Tensor, target_N: Tensor) -> Tensor:
    """Return Cohen's kappa with disagreements weighted by the squared distance of the class indices (Cohen 1968).

    Its classes are ordered, and the distance counts classes without samples, too. 0 as for :func:`kappa`.
    """
    predicted_N, support_C, claims_C = _counts(probabilities_NC, target_N)
    num, index_C = len(target_N), torch.arange(probabilities_NC.shape[1], device=target_N.device)
    observed = (predicted_N - target_N).square().sum()
    squares = (index_C.square() * (support_C + claims_C)).sum()
    expected = num * squares - 2 * (index_C * support_C).sum() * (index_C * claims_C).sum()
    return _beyond_chance(num * observed, expected)


def mcc(probabilities_NC: Tensor, target_N: Tensor) -> Tensor:
    """Return Matthews' correlation coefficient for any number of classes (Gorodkin 2004, R_K).

    0 if only one class is predicted, or if the target has only one.
    """
    predicted_N, support_C, claims_C = _counts(probabilities_NC, target_N)
    num, hits = len(target_N), (predicted_N == target_N).sum()
    covariance = num * hits - (support_C * claims_C).sum()
    variances = [(num**2 - counts_C.square().sum()).double() for counts_C in (support_C, claims_C)]
    scale = (variances[0] * variances[1]).sqrt()
    return torch.where(scale > 0, covariance / scale.clamp(min=1), 0.0)


def expected_cost(probabilities_NC: Tensor, target_N: Tensor, costs_CC: Tensor) -> Tensor:
    """Return the mean cost of a sample, each decided as the class of the least expected cost (Elkan 2001).

    Ties go to the first class.

    Args:
        probabilities_NC: Class probabilities (N, C).
        target_N: True classes (N,).
        costs_CC: Cost of each decision, ``costs[true][decided]``, float64.
    """
    decided_N = (probabilities_NC.double() @ costs_CC).argmin(1)
    return costs_CC[target_N, decided_N].mean()


def _counts(probabilities_NC: Tensor, target_N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the predicted class of each sample, and the numbers of true and of predicted samples of each class."""
    predicted_N = probabilities_NC.argmax(1)
    zeros_C, ones_N = target_N.new_zeros(probabilities_NC.shape[1]), torch.ones_like(target_N)
    return predicted_N, zeros_C.scatter_add(0, target_N, ones_N), zeros_C.scatter_add(0, predicted_N, ones_N)


def _beyond_chance(observed: Tensor, expected: Tensor) -> Tensor:
    return torch.where(expected > 0, 1 - observed.double() / expected.clamp(min=1), 0.0)
