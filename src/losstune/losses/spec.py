"""The specification of a loss: a function from logits to one value per sample, and the facts that a study needs.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Never

import torch
from torch import Tensor

from losstune.losses.facts import Alias, Citation, Family, Head, Hyperparameter, Limit, Masked, Properness, Properties
from losstune.losses.inputs import (
    as_class_counts,
    as_hyperparameter,
    require_per_class,
    unknown_hyperparameter,
    unknown_option,
)
from losstune.losses.module import LossModule, Reduction
from losstune.losses.ranges import Value
from losstune.losses.targets import as_rows, no_distribution, one_hot_classes, require_in_range

__all__ = [
    "Alias",
    "BoundLoss",
    "Citation",
    "Family",
    "Head",
    "Hyperparameter",
    "Limit",
    "LossSpec",
    "Masked",
    "Properness",
    "Properties",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSpec:
    """A loss with the facts needed to search, train, evaluate and cite it.

    Attributes:
        name: The name in ``params.yaml`` and in every table.
        function: ``function(logits_NC, target, **hyperparameters) -> losses_N``. `target` contains class indices
            (N,) of dtype int64 or, if `soft_targets` is true, a distribution per sample (N, C). The function never
            reduces; the trainer takes the mean.
        link: ``link(logits_NC, **hyperparameters) -> probabilities_NC``, the class probabilities for the loss's
            outputs: rows are non-negative and sum to 1. It takes the same hyperparameters as `function`.
        family: What the loss is based on.
        summary: One sentence on what the loss does.
        formula: The definition in plain text, with p = softmax(z) and y the true class.
        use: When to try it, and when not, in one or two sentences.
        citation: Its source.
        hyperparameters: Hyperparameters in the order in which they are searched and printed.
        soft_targets: Whether the formula is defined for a distribution as target.
        linear_in_target: Whether the loss of a distribution t is the expected loss, sum_k t_k L(z, k). Class weights
            then hold for distributions, too.
        weighs_classes: Whether `function` takes class weights (C,), or None, as the keyword argument ``weight_C``,
            because they do not only scale the loss of a sample.
        equals: Name of a loss that is identical to this one with hard labels, or None. Such a pair is a control, not
            two candidates.
        properties: Convexity, properness, bounds and others, which the contract tests measure.
        aliases: Other names for this loss.
        limits: Hyperparameters at which it equals another loss.
        oracle: An independent implementation with the signature of `function`, which tests compare in float64; it may
            be slow.
        needs_counts: Whether `function` and `link` take the number of training samples of each class as the
            keyword argument ``counts_C``, a floating tensor of shape (C,) on the device of the logits.
        absolute_counts: Whether the loss depends on the counts themselves and not only on their ratios; class
            frequencies are then rejected.
        balanced_outputs: Whether the loss removes the class prior from the outputs and the link restores it. Then the
            largest output gives the prediction for balanced accuracy, the largest probability that for accuracy.
        head: The last layer that the loss requires.
        initial_bias: Initial bias of the last layer, as a function of the number of classes; None keeps the
            network's own.
        origin: Where a loss of the user's own is, such as ``"my_losses.py:tilted"``; None for the catalogue's.
        assumes_softmax: Whether the link is softmax only because none was declared.
        has_properties: Whether `properties` were declared; a plain function declares none.
    """

    name: str
    function: Callable[..., Tensor]
    link: Callable[..., Tensor]
    summary: str
    formula: str
    citation: Citation
    use: str = ""
    family: Family = "other"
    properties: Properties
    hyperparameters: tuple[Hyperparameter, ...] = ()
    soft_targets: bool = False
    linear_in_target: bool = False
    weighs_classes: bool = False
    equals: str | None = None
    aliases: tuple[Alias, ...] = ()
    limits: tuple[Limit, ...] = ()
    oracle: Callable[..., Tensor] | None = None
    needs_counts: bool = False
    absolute_counts: bool = False
    balanced_outputs: bool = False
    head: Head = "linear"
    initial_bias: Callable[[int], float] | None = None
    origin: str | None = None
    assumes_softmax: bool = False
    has_properties: bool = True

    @property
    def defaults(self) -> dict[str, Value]:
        """The published value of each hyperparameter."""
        return {hyperparameter.name: hyperparameter.default for hyperparameter in self.hyperparameters}

    def bind(self, hyperparameters: Mapping[str, Value] | None = None) -> BoundLoss:
        """Fix the hyperparameters; those not given have their published values.

        Raises:
            ValueError: If a name is not one of this loss's hyperparameters, or a value is not a number in its domain.
        """
        given = dict(hyperparameters or {})
        unknown = given.keys() - self.defaults.keys()
        if unknown:
            raise ValueError(unknown_hyperparameter(self.name, sorted(unknown)[0], self.defaults))
        return BoundLoss(
            self,
            {
                item.name: as_hyperparameter(self.name, item.name, given.get(item.name, item.default), item.domain)
                for item in self.hyperparameters
            },
        )


@dataclass(frozen=True, slots=True, eq=False)
class BoundLoss:
    """A loss with fixed hyperparameters. Calling it with logits (N, C) and target returns losses (N,).

    Attributes:
        spec: The loss.
        hyperparameters: A value for each of its hyperparameters.
        counts: Training samples of each class (C,), for a loss that needs them; None means equal frequencies.
    """

    spec: LossSpec
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    counts: Tensor | None = None

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of every sample, shape (N,), or (N, d1, ...) for logits (N, C, d1, ...).

        Raises:
            ValueError: If the loss is not defined for the target, or types or shapes do not match.
        """
        logits_NC, target, shape = as_rows(logits, target)
        counts = self._counts(logits_NC)
        if target.ndim == 2 and not self.takes_distributions:
            if (classes_N := one_hot_classes(target)) is None:
                raise ValueError(no_distribution(self.spec.name))
            target = classes_N
        try:
            losses_N = self.spec.function(logits_NC, target, **self.hyperparameters, **counts)
        except (IndexError, RuntimeError):
            require_in_range(target, logits_NC.shape[1])
            raise
        return losses_N if logits.ndim == 2 else losses_N.view(shape)

    @property
    def takes_distributions(self) -> bool:
        """Whether a distribution may be the target: a plain function of your own does not say, so it may."""
        return self.spec.soft_targets or not self.spec.has_properties

    def probabilities(self, logits_NC: Tensor) -> Tensor:
        """Return the class probabilities (N, C) from the loss's link."""
        return self.spec.link(logits_NC, **self.hyperparameters, **self._counts(logits_NC))

    def with_counts(self, counts_C: Sequence[float] | Tensor) -> BoundLoss:
        """Return this loss for training data with these class counts.

        Args:
            counts_C: Shape (C,), on the device of the logits. A count of 0 becomes 1. Class frequencies are allowed,
                too, unless the spec's ``absolute_counts`` is true.

        Raises:
            ValueError: If they are not one finite number of at least 0 per class, or are class frequencies although
                the loss needs counts.
        """
        if not self.spec.needs_counts:
            return self
        return replace(self, counts=as_class_counts(counts_C, shares=not self.spec.absolute_counts))

    def head_options(self, num_classes: int) -> dict[str, Any]:
        """Return the loss's requirements of the last layer, as arguments of ``models.adapt_head``."""
        spec = self.spec
        return {
            "normalised": spec.head == "normalised",
            "initial_bias": spec.initial_bias(num_classes) if spec.initial_bias else None,
            "dropout": self.hyperparameters["rate"] if spec.head == "dropout" else 0.0,
            "decay": self.hyperparameters["lam"] if spec.head == "decayed" else 0.0,
        }

    def as_module(
        self,
        reduction: Reduction = "mean",
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        class_counts: Sequence[float] | Tensor | None = None,
        **others: Never,
    ) -> LossModule:
        """Return this loss as an ``nn.Module``, a drop-in replacement for ``nn.CrossEntropyLoss``.

        Args:
            reduction: ``"mean"`` (weighted by the samples' weights), ``"sum"`` or ``"none"``.
            weight: Weight of each class, (C,).
            ignore_index: Samples of this class index are ignored.
            class_counts: Training samples of each class, for a loss whose ``needs_counts`` is true; or class
                frequencies, unless its ``absolute_counts`` is true.
            **others: None; another option is an error that says what takes its place.

        Raises:
            TypeError: If there is another option.
            ValueError: If the loss needs class counts and there are none, or an argument is not as described.
        """
        for name in others:
            raise TypeError(unknown_option(self.spec.name, name, self.hyperparameters))
        counts_C = self.counts
        if class_counts is not None:
            counts_C = self.with_counts(class_counts).counts
        if self.spec.needs_counts and counts_C is None:
            raise ValueError(
                f"{self.spec.name} needs the class frequencies; "
                "pass class_counts, the number of training samples of each class"
            )
        return LossModule(
            self.spec.function,
            self.hyperparameters,
            repr(self),
            reduction=reduction,
            weight=weight,
            ignore_index=ignore_index,
            counts_C=counts_C,
            soft_targets=self.takes_distributions,
            linear_in_target=self.spec.linear_in_target,
            weighs_classes=self.spec.weighs_classes,
        )

    def _counts(self, logits_NC: Tensor) -> dict[str, Tensor]:
        if not self.spec.needs_counts:
            return {}
        if self.counts is None:
            return {"counts_C": logits_NC.new_ones(logits_NC.shape[1], dtype=torch.get_default_dtype())}
        require_per_class("class_counts", self.counts, logits_NC)
        return {"counts_C": self.counts}

    def __repr__(self) -> str:
        """Return a text such as ``focal(gamma=2.0)``."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.hyperparameters.items())
        return f"{self.spec.name}({arguments})"
