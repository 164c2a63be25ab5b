"""Metrics of a trained classifier: accuracy, balanced accuracy, macro-F1, NLL, Brier score, ECE.

Shape suffixes: N samples, C classes, B bins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

NLL_EPSILON = 2.0**-23
"""Lower bound of probabilities in the NLL: the machine epsilon of float32, as in scikit-learn's ``log_loss``. Exact
zeros, which sparsemax and entmax give, then cost at most 15.9 nats per sample."""

ECE_NUM_BINS = 15
"""Equal-width bins of the expected calibration error, as in Guo et al. 2017."""

MAX_LOG_TEMPERATURE = math.log(50.0)


STANDARD_VALUES = ("accuracy", "balanced_accuracy", "macro_f1", "nll", "brier", "ece")

Metric = Callable[[Tensor, Tensor], Tensor]
"""Class probabilities (N, C) and true classes (N,) to a score, float64, on their device."""


@torch.no_grad()
def evaluate(
    probabilities_NC: Tensor,
    target_N: Tensor,
    balanced_N: Tensor | None = None,
    further: Mapping[str, Metric] = MappingProxyType({}),
) -> dict[str, float]:
    """Return :func:`values` by name, with one transfer from the device."""
    found = values(probabilities_NC, target_N, balanced_N, further).tolist()
    return dict(zip(names(further), found, strict=True))


def names(further: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the names of :func:`values` in their order."""
    return *STANDARD_VALUES, *further


@torch.no_grad()
def values(
    probabilities_NC: Tensor,
    target_N: Tensor,
    balanced_N: Tensor | None = None,
    further: Mapping[str, Metric] = MappingProxyType({}),
) -> Tensor:
    """Compute the metrics of :data:`STANDARD_VALUES`, and others, float64, without waiting for the device.

    With predicted class k_n = argmax_k p_nk (the first on ties) and confidence c_n = max_k p_nk:

    - accuracy: mean_n [k_n = y_n].
    - balanced_accuracy: mean recall over the classes present in the target, of `balanced_N` where it is given.
    - macro_f1: mean of 2 TP / (2 TP + FP + FN) over the classes present in target or prediction.
    - nll: mean_n -log max(p_{n,y_n}, :data:`NLL_EPSILON`), in nats.
    - brier: mean_n sum_k (p_nk - [k = y_n])^2.
    - ece: sum_b (N_b / N) |accuracy_b - confidence_b| over 15 bins (i/15, (i+1)/15] of the confidence
      (Guo et al. 2017, arXiv 1706.04599, eq. (3)).

    Classes without samples are treated as by scikit-learn's ``balanced_accuracy_score`` and by its
    ``f1_score(average="macro", zero_division=0)``. Sums run in float64 and in a fixed order, so equal input
    gives equal output on one device.

    Args:
        probabilities_NC: Class probabilities (N, C), finite, floating point, with rows that sum to 1; exact zeros
            are allowed. The caller checks that they are finite.
        target_N: True classes (N,), int64 in [0, C).
        balanced_N: Predicted classes (N,) for balanced accuracy, if they differ from k_n. The class with the largest
            posterior minimises the error; the class with the largest ratio of posterior to prior minimises the
            balanced error.
        further: Further metrics by name.

    Raises:
        ValueError: If the shapes do not match or there is no sample.
    """
    if probabilities_NC.ndim != 2 or target_N.shape != probabilities_NC.shape[:1] or not len(target_N):
        raise ValueError(
            "expected probabilities (N, C) and target (N,) with N >= 1, "
            f"found {tuple(probabilities_NC.shape)} and {tuple(target_N.shape)}"
        )
    num_samples, num_classes = probabilities_NC.shape
    confidence_N, predicted_N = probabilities_NC.max(dim=1)
    column_N1 = target_N.unsqueeze(1)
    is_hit_N = (predicted_N == target_N).double()

    # Sums of integers below 2**53 are exact in float64 in any order, so scattering them is deterministic.
    ones_N = torch.ones_like(is_hit_N)
    zeros_C = is_hit_N.new_zeros(num_classes)
    hits_C = zeros_C.scatter_add(0, target_N, is_hit_N)
    support_C = zeros_C.scatter_add(0, target_N, ones_N)
    claims_C = support_C.scatter_add(0, predicted_N, ones_N)
    # Clamping the divisor to 1 does not change other classes and gives an absent class 0.
    recalled_C = hits_C
    if balanced_N is not None:
        recalled_C = zeros_C.scatter_add(0, target_N, (balanced_N == target_N).double())
    recall = (recalled_C / support_C.clamp(min=1)).sum() / (support_C > 0).sum()
    f1 = (2 * hits_C / claims_C.clamp(min=1)).sum() / (claims_C > 0).sum()

    true_N1 = probabilities_NC.gather(1, column_N1)
    nll = -true_N1.double().clamp(min=NLL_EPSILON).log().mean()
    residual_NC = probabilities_NC.scatter(1, column_N1, true_N1 - 1)
    brier = residual_NC.square_().sum(dtype=torch.float64) / num_samples

    bin_N = (confidence_N.double() * ECE_NUM_BINS).ceil() - 1
    bins_B1 = torch.arange(ECE_NUM_BINS, device=bin_N.device).unsqueeze(1)
    # A matrix product with the bins' indicators instead of a scatter, so that floats are added in a fixed order.
    gap_B = (bin_N.clamp(0, ECE_NUM_BINS - 1) == bins_B1).double() @ (is_hit_N - confidence_N)
    ece = gap_B.abs().sum() / num_samples

    others = [metric(probabilities_NC, target_N) for metric in further.values()]
    return torch.stack([is_hit_N.mean(), recall, f1, nll, brier, ece, *others])


@torch.no_grad()
def reliability(probabilities_NC: Tensor, target_N: Tensor) -> tuple[tuple[int, int, float], ...]:
    """Return the data of the reliability diagram: count, correct predictions and sum of confidences per bin.

    The bins are those of the ECE in :func:`evaluate`, which is sum_b |hits_b - confidences_b| / N.

    Args:
        probabilities_NC: Class probabilities (N, C), finite.
        target_N: True classes (N,), int64 in [0, C).
    """
    confidence_N, predicted_N = probabilities_NC.double().max(dim=1)
    bin_N = ((confidence_N * ECE_NUM_BINS).ceil() - 1).clamp(0, ECE_NUM_BINS - 1)
    member_BN = (bin_N == torch.arange(ECE_NUM_BINS, device=bin_N.device).unsqueeze(1)).double()
    columns = torch.stack([torch.ones_like(confidence_N), (predicted_N == target_N).double(), confidence_N], 1)
    return tuple((int(count), int(hits), total) for count, hits, total in (member_BN @ columns).tolist())


@torch.no_grad()
def fit_temperature(logits_NC: Tensor, target_N: Tensor) -> Tensor:
    """Return the temperature T in [1/50, 50] that minimises the NLL of softmax(z / T), a scalar on the logits' device.

    The NLL is convex in 1/T. If its slope, mean_n (sum_k p_nk z_nk - z_ny), does not change sign, T is one of the
    bounds; for example, the lower bound if every prediction is correct. Bisection in log T finds the minimum without
    synchronising with the device.

    Args:
        logits_NC: Outputs (N, C), finite.
        target_N: True classes (N,), int64 in [0, C).

    Source:
        Guo et al. 2017, *On calibration of modern neural networks*, section 4.2.
    """
    z_NC = logits_NC.double()
    true_N = z_NC.gather(1, target_N.unsqueeze(1)).squeeze(1)
    low, high = -MAX_LOG_TEMPERATURE, MAX_LOG_TEMPERATURE
    low_T, high_T = z_NC.new_tensor(low), z_NC.new_tensor(high)
    for _ in range(40):
        middle_T = (low_T + high_T) / 2
        p_NC = (z_NC / middle_T.exp()).softmax(1)
        is_too_sharp = ((p_NC * z_NC).sum(1) - true_N).mean() > 0
        low_T, high_T = (torch.where(is_too_sharp, middle_T, low_T), torch.where(is_too_sharp, high_T, middle_T))
    return ((low_T + high_T) / 2).exp()


def hits_by_class(predicted_N: Tensor, target_N: Tensor, num_classes: int) -> tuple[int, ...]:
    """Return how many samples of each class (C,) are predicted right."""
    return tuple(torch.bincount(target_N[predicted_N == target_N], minlength=num_classes).tolist())


def confusion_matrix(predicted_N: Tensor, target_N: Tensor, num_classes: int) -> Tensor:
    """Count the predictions of each class for each true class.

    Args:
        predicted_N: Predicted classes (N,), int64 in [0, `num_classes`).
        target_N: True classes (N,), int64 in [0, `num_classes`).
        num_classes: C.

    Returns:
        Counts (C, C), int64, ``matrix[true, predicted]``, on the input's device.

    Raises:
        ValueError: If the shapes differ.
    """
    if predicted_N.ndim != 1 or predicted_N.shape != target_N.shape:
        raise ValueError(f"expected two tensors (N,), found {tuple(predicted_N.shape)} and {tuple(target_N.shape)}")
    cell_N = target_N * num_classes + predicted_N
    counts = target_N.new_zeros(num_classes * num_classes).scatter_add(0, cell_N, torch.ones_like(cell_N))
    return counts.view(num_classes, num_classes)
