"""A loss as an ``nn.Module``, with the reductions and options of ``nn.CrossEntropyLoss``.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from losstune.losses.inputs import as_class_weight, require_per_class
from losstune.losses.targets import as_rows, no_distribution, one_hot_classes, require_in_range

Reduction = Literal["mean", "sum", "none"]


class LossModule(nn.Module):
    """A criterion: ``module(logits, target)`` gives a scalar, or one value per sample with reduction "none".

    It takes logits (N, C) with a target (N,) of class indices, logits (N, C, d1, ...) with a target (N, d1, ...), or
    logits (C,) with a target (), of any integer type. A target of the shape of the logits has one probability per
    class; a loss for class indices takes it if all rows are one-hot.

    As in ``nn.CrossEntropyLoss``, the mean over class indices divides by the sum of the weights of the samples that
    are not ignored; if all are ignored, it is NaN. That over probabilities divides by the number of samples. Class
    weights and counts are buffers: they move with the module. The module can be pickled.

    Args:
        function: ``function(logits_NC, target, **hyperparameters) -> losses_N``.
        hyperparameters: Keyword arguments of `function`.
        name: Name for ``repr`` and for messages.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        weight: Weight of each class, (C,); None for 1.
        ignore_index: Samples of this class index have loss and gradient 0 and do not count in the mean.
        counts_C: Class counts, for a `function` that takes them.
        soft_targets: Whether `function` takes a distribution as target.
        linear_in_target: Whether the loss of a distribution is the expected loss of its classes. With class weights,
            it is then sum_k w_k t_k L(z, k).
        weighs_classes: Whether `function` takes the class weights as `weight_C`.

    Raises:
        ValueError: If an argument is not as described.
    """

    weight: Tensor | None
    counts: Tensor | None

    def __init__(
        self,
        function: Callable[..., Tensor],
        hyperparameters: Mapping[str, Any],
        name: str,
        *,
        reduction: Reduction = "mean",
        weight: Tensor | None = None,
        ignore_index: int = -100,
        counts_C: Tensor | None = None,
        soft_targets: bool = False,
        linear_in_target: bool = False,
        weighs_classes: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(reduction, str) or reduction not in get_args(Reduction):
            found = "a tensor" if isinstance(reduction, Tensor) else repr(reduction)
            hint = "; class weights: weight=..." * isinstance(reduction, Tensor)
            raise ValueError(f"reduction: found {found}, expected one of {', '.join(get_args(Reduction))}{hint}")
        self.function, self.hyperparameters, self.name = function, dict(hyperparameters), name
        self.reduction, self.ignore_index = reduction, ignore_index
        self.soft_targets, self.linear_in_target, self.weighs_classes = soft_targets, linear_in_target, weighs_classes
        self.register_buffer("weight", as_class_weight(weight))
        self.register_buffer("counts", counts_C)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the reduced loss, or with reduction "none" a tensor of the target's shape without classes.

        Raises:
            ValueError: If types or shapes of logits, target, class weights and class counts do not match, or the loss
                is not defined for the target.
        """
        logits_NC, target, shape = as_rows(logits, target)
        if self.weight is not None:
            require_per_class("weight", self.weight, logits_NC)
        if self.counts is not None:
            require_per_class("class_counts", self.counts, logits_NC)
        if target.ndim == 2:
            losses_N = self._of_distributions(logits_NC, target)
            if self.reduction == "none":
                return losses_N.view(shape)
            return losses_N.mean() if self.reduction == "mean" else losses_N.sum()
        counted_N = target != self.ignore_index
        # The class and the logits of an ignored sample may be arbitrary, including NaN.
        safe_N = torch.where(counted_N, target, 0)
        losses_N = self._losses(torch.where(counted_N.unsqueeze(1), logits_NC, 0.0), safe_N)
        weight_N = counted_N.to(losses_N.dtype)
        if self.weight is not None:
            weight_N = weight_N * self.weight.to(losses_N.dtype)[safe_N]
        # A product alone is not enough: the loss of an ignored sample must not be part of the graph.
        weighted_N = torch.where(counted_N, losses_N if self.weighs_classes else weight_N * losses_N, 0.0)
        if self.reduction == "none":
            return weighted_N.view(shape)
        return weighted_N.sum() / weight_N.sum() if self.reduction == "mean" else weighted_N.sum()

    def _of_distributions(self, logits_NC: Tensor, target_NC: Tensor) -> Tensor:
        if self.ignore_index >= 0:
            raise ValueError(
                f"ignore_index: found {self.ignore_index} with probabilities as target, expected class indices; "
                "to leave samples out, use reduction 'none'"
            )
        if self.soft_targets and (self.weight is None or self.weighs_classes):
            return self._losses(logits_NC, target_NC)
        if self.linear_in_target and self.weight is not None:
            return self._expected(logits_NC, target_NC, self.weight)
        target_N = one_hot_classes(target_NC)
        if target_N is None and self.soft_targets:
            raise ValueError(
                f"weight: found class weights with probabilities as target; {self._loss} is not linear in the target, "
                "so their effect is not defined; expected class indices, or reduction 'none' and a weight per sample"
            )
        if target_N is None:
            raise ValueError(no_distribution(self._loss))
        losses_N = self._losses(logits_NC, target_N)
        if self.weight is None or self.weighs_classes:
            return losses_N
        return self.weight.to(losses_N.dtype)[target_N] * losses_N

    @property
    def _loss(self) -> str:
        return self.name.partition("(")[0]

    def _expected(self, logits_NC: Tensor, target_NC: Tensor, weight_C: Tensor) -> Tensor:
        """Return sum_k w_k t_k L(z, k): the sum of w_k t_k times the loss of the distribution proportional to it."""
        dtype = torch.promote_types(logits_NC.dtype, torch.float32)
        weighted_NC = target_NC.to(dtype) * weight_C.to(dtype)
        sum_N1 = weighted_NC.sum(1, keepdim=True)
        shares_NC = weighted_NC / torch.where(sum_N1 == 0, 1.0, sum_N1)
        return sum_N1.squeeze(1) * self._losses(logits_NC, shares_NC)

    def _losses(self, logits_NC: Tensor, target: Tensor) -> Tensor:
        tensors: dict[str, Tensor | None] = {} if self.counts is None else {"counts_C": self.counts}
        if self.weighs_classes:
            tensors["weight_C"] = self.weight
        try:
            return self.function(logits_NC, target, **self.hyperparameters, **tensors)
        except (IndexError, RuntimeError):
            require_in_range(target, logits_NC.shape[1])
            raise

    def extra_repr(self) -> str:
        """Return a text such as ``focal(gamma=2.0), reduction='mean'``."""
        options = [self.name, f"reduction={self.reduction!r}"]
        if self.weight is not None:
            options.append(f"weight={len(self.weight)} classes")
        if self.ignore_index != -100:
            options.append(f"ignore_index={self.ignore_index}")
        return ", ".join(options)
