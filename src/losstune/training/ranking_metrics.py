"""Metrics of rankings, one class against the others, averaged over the classes: AUROC and average precision.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

MAX_VALUES = 2**21
"""Maximum number of probabilities that are sorted at once, which limits the memory to about 0.1 GB, if a class has
fewer."""


class _Curves(NamedTuple):
    """Counts of each class at its thresholds, from the highest: the distinct probabilities of it; int64.

    The counts of a threshold stand where its samples end in descending order. Elsewhere, the steps are 0.

    Attributes:
        hits_CN: Samples of the class with at least this probability.
        samples_N: All samples with at least this probability.
        hit_steps_CN: Increase of `hits_CN` from the threshold before.
        sample_steps_CN: Increase of `samples_N`, likewise.
        positives_C: Number of samples of the class.
    """

    hits_CN: Tensor
    samples_N: Tensor
    hit_steps_CN: Tensor
    sample_steps_CN: Tensor
    positives_C: Tensor


def auroc(probabilities_NC: Tensor, target_N: Tensor) -> Tensor:
    """Return the mean area under the ROC curve of each class against the others, for the classes present in the target.

    The area is the probability that a sample of the class has a larger probability of it than a sample of another
    class; a tie counts half. 0 if the target has a single class.
    """
    num, areas, positives = len(target_N), [], []
    for curves in _curves(probabilities_NC, target_N):
        # Twice the area by the trapezoidal rule is a sum of integers, exact in any order.
        misses_CN = curves.sample_steps_CN - curves.hit_steps_CN
        doubled_C = (misses_CN * (2 * curves.hits_CN - curves.hit_steps_CN)).sum(1)
        rectangle_C = curves.positives_C * (num - curves.positives_C)
        areas.append(doubled_C.double() / (2 * rectangle_C).clamp(min=1))
        positives.append(rectangle_C)
    return _mean(areas, positives)


def average_precision(probabilities_NC: Tensor, target_N: Tensor) -> Tensor:
    """Return the mean average precision of each class against the others, for the classes present in the target.

    The average precision of a class is sum_k (R_k - R_{k-1}) P_k over its thresholds k from the highest, without
    interpolation, as in scikit-learn.
    """
    found, positives = [], []
    for curves in _curves(probabilities_NC, target_N):
        sums_C = (curves.hit_steps_CN * (curves.hits_CN.double() / curves.samples_N)).sum(1)
        found.append(sums_C / curves.positives_C.clamp(min=1))
        positives.append(curves.positives_C)
    return _mean(found, positives)


def _curves(probabilities_NC: Tensor, target_N: Tensor) -> Iterator[_Curves]:
    """Yield the curves of as many classes at once as :data:`MAX_VALUES` allows."""
    num, device = len(target_N), target_N.device
    samples_N = torch.arange(1, num + 1, device=device)
    size = max(1, MAX_VALUES // num)
    for start in range(0, probabilities_NC.shape[1], size):
        values_CN = probabilities_NC[:, start : start + size].T.contiguous()
        sorted_CN, order_CN = values_CN.sort(dim=1, descending=True)
        label_C1 = torch.arange(start, start + len(values_CN), device=device).unsqueeze(1)
        hits_CN = (target_N[order_CN] == label_C1).cumsum(1)
        is_end_CN = torch.ones_like(sorted_CN, dtype=torch.bool)
        is_end_CN[:, :-1] = sorted_CN[:, 1:] != sorted_CN[:, :-1]
        yield _Curves(hits_CN, samples_N, _steps(hits_CN, is_end_CN), _steps(samples_N, is_end_CN), hits_CN[:, -1])


def _steps(counts: Tensor, is_end_CN: Tensor) -> Tensor:
    """Return the increase of ascending counts from the end of a group to the end of the next one; 0 elsewhere."""
    reached_CN = torch.where(is_end_CN, counts, 0).cummax(1).values
    return torch.diff(reached_CN, dim=1, prepend=reached_CN.new_zeros(len(reached_CN), 1))


def _mean(values: list[Tensor], weights: list[Tensor]) -> Tensor:
    """Return the mean of the classes whose weight is not 0; the values of others are 0."""
    return torch.cat(values).sum() / (torch.cat(weights) > 0).sum().clamp(min=1)
