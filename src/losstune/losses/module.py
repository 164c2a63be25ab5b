"""A loss as an ``nn.Module``, with the reductions and options of ``nn.CrossEntropyLoss``.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from losstune.losses.inputs import as_class_target, as_class_weight, require_per_class

Reduction = Literal["mean", "sum", "none"]


class LossModule(nn.Module):
    """A criterion: ``module(logits, target)`` gives a scalar, or one value per sample with reduction "none".

    It takes logits (N, C) with a target (N,) of class indices, or logits (N, C, d1, ...) with a target (N, d1, ...), of
    any integer type.

    A loss that supports soft targets also takes a distribution per sample, (N, C), without `weight`. As in
    ``nn.CrossEntropyLoss``, the mean divides by the sum of the weights of the samples that are not ignored; if all are
    ignored, it is NaN. Class weights and counts are buffers: they move with the module. The module can be pickled.

    Args:
        function: ``function(logits_NC, target, **hyperparameters) -> losses_N``.
        hyperparameters: Keyword arguments of `function`.
        name: Name for ``repr``.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        weight: Weight of each class, (C,); None for 1.
        ignore_index: Samples of this class index have loss and gradient 0 and do not count in the mean.
        counts_C: Class counts, for a `function` that takes them.

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
    ) -> None:
        super().__init__()
        if reduction not in get_args(Reduction):
            raise ValueError(f"reduction: found {reduction!r}, expected one of {', '.join(get_args(Reduction))}")
        self.function, self.hyperparameters, self.name = function, dict(hyperparameters), name
        self.reduction, self.ignore_index = reduction, ignore_index
        self.register_buffer("weight", as_class_weight(weight))
        self.register_buffer("counts", counts_C)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the reduced loss, or with reduction "none" a tensor of the target's shape.

        Raises:
            ValueError: If the shapes of logits, target, class weights and class counts do not match, the target is
                Boolean, or a distribution is combined with class weights.
        """
        if logits.ndim < 2:
            raise ValueError(f"expected logits of shape (N, C) or (N, C, d1, ...), found {tuple(logits.shape)}")
        target = as_class_target(target)
        if self.weight is not None:
            require_per_class("weight", self.weight, logits)
        if self.counts is not None:
            require_per_class("class_counts", self.counts, logits)
        if target.is_floating_point():
            return self._reduce_soft(logits, target)
        if target.shape != (logits.shape[0], *logits.shape[2:]):
            raise ValueError(
                f"logits of shape {tuple(logits.shape)} need a target of shape "
                f"{(logits.shape[0], *logits.shape[2:])}, found {tuple(target.shape)}"
            )
        logits_NC, target_N = logits.movedim(1, -1).flatten(0, -2), target.flatten()
        counted_N = target_N != self.ignore_index
        # The class and the logits of an ignored sample may be arbitrary, including NaN.
        safe_N = torch.where(counted_N, target_N, 0)
        losses_N = self._losses(torch.where(counted_N.unsqueeze(1), logits_NC, 0.0), safe_N)
        weight_N = counted_N.to(losses_N.dtype)
        if self.weight is not None:
            weight_N = weight_N * self.weight.to(losses_N.dtype)[safe_N]
        # A product alone is not enough: the loss of an ignored sample must not be part of the graph.
        weighted_N = torch.where(counted_N, weight_N * losses_N, 0.0)
        if self.reduction == "none":
            return weighted_N.view(target.shape)
        return weighted_N.sum() / weight_N.sum() if self.reduction == "mean" else weighted_N.sum()

    def _reduce_soft(self, logits: Tensor, target: Tensor) -> Tensor:
        if target.shape != logits.shape or logits.ndim != 2:
            raise ValueError(
                f"a target of probabilities must have the shape of the logits, (N, C): found {tuple(target.shape)} "
                f"and {tuple(logits.shape)}" + ("; class indices must be integers: target.long()" * (target.ndim == 1))
            )
        if self.weight is not None:
            raise ValueError("class weights are not defined for a target of probabilities; remove weight")
        losses_N = self._losses(logits, target)
        if self.reduction == "none":
            return losses_N
        return losses_N.mean() if self.reduction == "mean" else losses_N.sum()

    def _losses(self, logits_NC: Tensor, target: Tensor) -> Tensor:
        counts = {} if self.counts is None else {"counts_C": self.counts}
        return self.function(logits_NC, target, **self.hyperparameters, **counts)

    def extra_repr(self) -> str:
        """Return a text such as ``focal(gamma=2.0), reduction='mean'``."""
        options = [self.name, f"reduction={self.reduction!r}"]
        if self.weight is not None:
            options.append(f"weight={len(self.weight)} classes")
        if self.ignore_index != -100:
            options.append(f"ignore_index={self.ignore_index}")
        return ", ".join(options)
