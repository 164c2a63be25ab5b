"""The specification of a loss: a function from logits to one value per sample, and the facts that a study needs.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from losstune.losses.inputs import as_class_counts, as_class_target, as_hyperparameter, require_per_class
from losstune.losses.module import LossModule, Reduction
from losstune.losses.ranges import Choice, Domain, Range, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameter:
    """A numeric argument of a loss besides logits and target.

    Attributes:
        name: Keyword argument of the loss's function.
        default: The published value; one trial per loss uses it.
        range: The range that a search draws it from.
        source: Source of default and range, such as ``"Lin 2017, section 5.1"`` or ``"proposal"``.
        domain: The values for which the loss is defined and computed accurately; `range` is the part worth searching.

    Raises:
        ValueError: If the default or the range is outside the domain.
    """

    name: str
    default: Value
    range: Range
    source: str
    domain: Domain = field(default_factory=Domain)

    def __post_init__(self) -> None:
        span = self.range
        ends = span.values if isinstance(span, Choice) else (span.low, span.high)
        for value in (self.default, *ends):
            if not self.domain.contains(value):
                raise ValueError(f"{self.name}: default and range must be in its domain, {self.domain}; found {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """Where a loss was published.

    Attributes:
        authors: Authors as cited in running text, ``"Lin et al."``.
        year: Year of publication.
        title: Title of the work.
        reference: An arXiv or OpenReview identifier, DOI or ISBN.
        equation: The equation or section that defines the loss, such as ``"eq. (4)"``.
    """

    authors: str
    year: int
    title: str
    reference: str
    equation: str


Properness = Literal["strictly", "recoverable", "no"]
"""Whether the link maps the minimiser of the risk to the posterior: by design, by inversion, or not at all."""

Masked = Literal["limit", "flat", "infinite"]
"""See :attr:`Properties.masked`."""

Bound = float | Callable[[int], float]
"""A supremum; a function of the number of classes if it depends on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Properties:
    """Properties of a loss with its published hyperparameters and one class per sample. Tests measure all of them.

    Attributes:
        convex: Whether the loss is convex in the logits.
        proper: Whether the minimiser of the risk gives the posterior through the loss's link.
        bound: The smallest upper bound of the loss; None if it is unbounded.
        symmetric: Whether its sum over all classes as targets is constant, which makes the minimiser of the risk
            robust to symmetric label noise (Ghosh et al. 2017).
        shift_invariant: Whether the loss stays the same if a constant is added to all logits of a sample.
        smooth: Whether the gradient is differentiable everywhere, and the implementation supports it.
        minimum: ``minimum(num_classes, **hyperparameters)``, the infimum; None if it is 0.
        masked: The effect of a logit of minus infinity for a class that is not the true one. ``"limit"``: the loss is
            its finite limit, and its gradient trains the other classes and not the masked one. ``"flat"``: a limit
            with a gradient of 0, so that nothing is learnt. ``"infinite"``: the loss is infinite.
    """

    convex: bool
    proper: Properness
    bound: Bound | None = None
    symmetric: bool = False
    shift_invariant: bool = True
    smooth: bool = True
    minimum: Callable[..., float] | None = None
    masked: Masked = "limit"

    def bound_at(self, num_classes: int) -> float | None:
        """Return the bound for that number of classes."""
        return self.bound(num_classes) if callable(self.bound) else self.bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """Another name in the literature for a loss of the catalogue.

    Attributes:
        name: The other name, in the form that users write.
        relation: Its value in terms of this loss, such as ``"CE(2z) / 2"``.
        condition: The condition for that, such as ``"hard labels"``.
        hyperparameters: The values at which this loss is the other one; empty if it is for all values.
    """

    name: str
    relation: str
    condition: str = "hard labels"
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Hyperparameters at which a loss equals another loss, or approximates it.

    Attributes:
        hyperparameters: The values; the others are the published ones.
        of: Name of the other loss, with its published hyperparameters and one class per sample.
        within: The largest difference, relative to 1 + |value|, for logits up to about 10.
    """

    hyperparameters: Mapping[str, Value]
    of: str = "cross_entropy"
    within: float = 1e-9


Family = Literal[
    "log-loss", "angular", "true-class", "proper score", "Fenchel-Young", "margin", "regression", "class prior", "other"
]
"""What a loss is based on: the log-loss, with or without regularisation; cosines of angles; the probability of the
true class; a proper score; a regularised prediction; margins between outputs; regression; class frequencies."""

Head = Literal["linear", "normalised", "dropout", "decayed"]
"""A network's last layer: a plain linear layer; cosines of the angles between features and weights; dropout on the
features, with the loss's hyperparameter ``rate``; an L2 penalty on the weights, with ``lam``."""


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
            known = ", ".join(self.defaults) or "none"
            raise ValueError(f"{self.name} has no hyperparameter {sorted(unknown)[0]!r}; it has {known}")
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

    def __call__(self, logits_NC: Tensor, target: Tensor) -> Tensor:
        """Return the loss of every sample, shape (N,).

        Raises:
            ValueError: If the target is Boolean, or the class counts have another number of classes.
        """
        target = as_class_target(target)
        return self.spec.function(logits_NC, target, **self.hyperparameters, **self._counts(logits_NC))

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
    ) -> LossModule:
        """Return this loss as an ``nn.Module``, a drop-in replacement for ``nn.CrossEntropyLoss``.

        Args:
            reduction: ``"mean"`` (weighted by the samples' weights), ``"sum"`` or ``"none"``.
            weight: Weight of each class, (C,).
            ignore_index: Samples of this class index are ignored.
            class_counts: Training samples of each class, for a loss whose ``needs_counts`` is true; or class
                frequencies, unless its ``absolute_counts`` is true.

        Raises:
            ValueError: If the loss needs class counts and there are none, or an argument is not as described.
        """
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
        )

    def _counts(self, logits_NC: Tensor) -> dict[str, Tensor]:
        if not self.spec.needs_counts:
            return {}
        if self.counts is None:
            return {"counts_C": torch.ones_like(logits_NC[0], dtype=torch.get_default_dtype())}
        require_per_class("class_counts", self.counts, logits_NC)
        return {"counts_C": self.counts}

    def __repr__(self) -> str:
        """Return a text such as ``focal(gamma=2.0)``."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.hyperparameters.items())
        return f"{self.spec.name}({arguments})"
