"""What a batch minimises: the mean loss, with class weights and mixed targets.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from losstune.config.settings import TrainingSettings
from losstune.losses.spec import BoundLoss, LossSpec
from losstune.training.mixing import Target
from losstune.training.soft_labels import class_counts


class Objective:
    """The objective of a training.

    With class weights w, it is sum_n w_{y_n} L_n / sum_n w_{y_n}, as ``nn.CrossEntropyLoss(weight)`` computes it. Of
    soft labels t, the weight of a sample is sum_k w_k t_nk, so that one-hot rows give the same as classes. Of a mixed
    batch with targets y and y' and share lambda, it is that of lambda L(z, y) + (1 - lambda) L(z, y'), so that every
    loss takes part; losses for which :func:`takes_mixture` holds get the mixed distribution.

    Args:
        loss: The loss, with its class counts.
        weight_C: Class weights; None for 1.
    """

    def __init__(self, loss: BoundLoss, weight_C: Tensor | None = None) -> None:
        self.loss = loss
        self.weight_C = weight_C
        self.takes_mixture = takes_mixture(loss.spec, has_weights=weight_C is not None)
        self.weighted = None if weight_C is None else loss.as_module("none", weight=weight_C).to(weight_C.device)

    def __call__(self, logits_NC: Tensor, target: Target) -> tuple[Tensor, Tensor]:
        """Return the objective, and its sum over the samples without gradient, for the curve."""
        if target.other is None or target.share is None:
            losses_N, weight = self._losses(logits_NC, target.own)
        elif self.takes_mixture:
            losses_N, weight = self.loss(logits_NC, _distribution(target, logits_NC)), None
        else:
            ours_N, our_weight = self._losses(logits_NC, target.own)
            theirs_N, their_weight = self._losses(logits_NC, target.other)
            losses_N = target.share * ours_N + (1 - target.share) * theirs_N
            weight = None
            if our_weight is not None and their_weight is not None:
                weight = (target.share * our_weight + (1 - target.share) * their_weight).to(our_weight.dtype)
        total = losses_N.sum()
        if weight is None:
            return total / len(losses_N), total.detach()
        mean = total / weight
        return mean, mean.detach() * len(losses_N)

    def _losses(self, logits_NC: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the losses, weighted if there are class weights, and the sum of the samples' weights."""
        if self.weighted is None or self.weight_C is None:
            return self.loss(logits_NC, target), None
        weight_N = self.weight_C[target] if target.ndim == 1 else target @ self.weight_C
        return self.weighted(logits_NC, target), weight_N.sum()


def takes_mixture(spec: LossSpec, *, has_weights: bool = False) -> bool:
    """Return whether a loss gets the mixed distribution as target, and not one class after the other.

    For a loss that is linear in the target, both are the same, and the second form is exact for class weights, too. A
    loss that is identical to another one for hard labels is used like that one: KL divergence minus cross-entropy is
    then 0 and not the entropy of the target, which has no gradient, and the control of identical losses stays exact.
    """
    return spec.soft_targets and not spec.linear_in_target and spec.equals is None and not has_weights


def class_weights(settings: TrainingSettings, target: Tensor, num_classes: int) -> Tensor | None:
    """Return the weight of each class, on the target's device; None for 1.

    ``balanced`` is N / (C n_c) with the class counts n_c of the training split, as in scikit-learn. A class without
    samples counts as one with a single sample.

    Args:
        settings: ``class_weights`` is read.
        target: Of all training samples, (N,) or (N, C).
        num_classes: C.
    """
    if settings.class_weights == "none":
        return None
    if settings.class_weights == "balanced":
        counts_C = class_counts(target, num_classes).clamp(min=1)
        return len(target) / (num_classes * counts_C.float())
    return torch.tensor(settings.class_weights, dtype=torch.float32, device=target.device)


def _distribution(target: Target, logits_NC: Tensor) -> Tensor:
    assert target.other is not None
    assert target.share is not None
    num_classes = logits_NC.shape[1]
    ours_NC, theirs_NC = (
        F.one_hot(rows, num_classes) if rows.ndim == 1 else rows for rows in (target.own, target.other)
    )
    return torch.lerp(theirs_NC.to(logits_NC.dtype), ours_NC.to(logits_NC.dtype), target.share.to(logits_NC.dtype))
