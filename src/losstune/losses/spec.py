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
    """A number that a loss takes besides logits and target.

    Attributes:
        name: The keyword under which the loss's function takes it.
        default: The value the literature publishes; one trial per loss is run there.
        range: Where a search draws it from.
        source: Where default and range come from, such as ``"Lin 2017, section 5.1"`` or ``"proposal"``.
        domain: Where the loss is defined and computed accurately; `range` is the part that is worth a search.

    Raises:
        ValueError: If default or range leave the domain.
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
                raise ValueError(
                    f"{self.name}: default and range must be in its domain, {self.domain}; found {value}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """Where a loss was published.

    Attributes:
        authors: As cited in running text, ``"Lin et al."``.
        year: Of publication.
        title: The work's title.
        reference: An arXiv or OpenReview identifier, DOI or ISBN.
        equation: The equation or section that defines the loss, such as ``"eq. (4)"``.
    """

    authors: str
    year: int
    title: str
    reference: str
    equation: str


Properness = Literal["strictly", "recoverable", "no"]
"""Whether the risk's minimiser gives the posterior through the link: by design, by inversion, or not at all."""

Masked = Literal["limit", "flat", "infinite"]
"""See :attr:`Properties.masked`."""

Bound = float | Callable[[int], float]
"""A supremum, where need be as a function of the number of classes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Properties:
    """What is claimed of a loss with its published hyperparameters and one class per sample; all of it is measured.

    Attributes:
        convex: Whether the loss is convex in the logits.
        proper: Whether minimising the risk teaches the posterior, read through the loss's link.
        bound: The smallest number that the loss never exceeds, None if there is none.
        symmetric: Whether its sum over all classes as targets is constant, which makes the risk's minimiser
            immune to symmetric label noise (Ghosh et al. 2017).
        shift_invariant: Whether adding a constant to all logits of a sample leaves the loss as it is.
        smooth: Whether the gradient is differentiable everywhere, and implemented to be differentiated again.
        minimum: ``minimum(num_classes, **hyperparameters)``, the infimum; None where that is 0.
        masked: What a logit of minus infinity makes of the loss, for a class that is not the true one: ``"limit"``,
            the finite limit, whose gradient teaches the other classes and leaves the masked one alone; ``"flat"``, a
            limit without a gradient, so that nothing is learnt; ``"infinite"``.
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
        """Return the bound for that many classes."""
        return self.bound(num_classes) if callable(self.bound) else self.bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """Another name in the literature for a loss of the catalogue.

    Attributes:
        name: The other name, as a user may write it.
        relation: How its value follows from this loss's, such as ``"CE(2z) / 2"``.
        condition: When that holds, such as ``"hard labels"``.
        hyperparameters: The values at which this loss is the other one; none for any.
    """

    name: str
    relation: str
    condition: str = "hard labels"
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Hyperparameters at which a loss becomes another, or comes near it.

    Attributes:
        hyperparameters: The values; those not named are the published ones.
        of: Name of the loss that it becomes, with its published hyperparameters and one class per sample.
        within: The largest difference, relative to one more than the value, at logits of up to about 10.
    """

    hyperparameters: Mapping[str, Value]
    of: str = "cross_entropy"
    within: float = 1e-9


Family = Literal[
    "log-loss",
    "angular",
    "true-class",
    "proper score",
    "Fenchel-Young",
    "margin",
    "regression",
    "class prior",
    "other",
]
"""What a loss is made from: the log-loss and its regularised relatives; cosines of angles; the probability of the true
class; a proper score; a regularised prediction; margins between outputs; regression; class frequencies."""

Head = Literal["linear", "normalised", "dropout", "decayed"]
"""A network's last layer: weights, features and bias as they come; cosines of the angles between the two; dropout on
the features, by the loss's hyperparameter ``rate``; an L2 penalty on the weights, by ``lam``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSpec:
    """A loss with all that is needed to search, train, judge and cite it.

    Attributes:
        name: The name in ``params.yaml`` and in every table.
        function: ``function(logits_NC, target, **hyperparameters) -> losses_N``. `target` holds class indices
            (N,) of dtype int64 or, where `soft_targets` is true, a distribution per sample (N, C). Never
            reduces: the trainer alone takes the mean.
        link: ``link(logits_NC, **hyperparameters) -> probabilities_NC``, the class probabilities that the loss
            means by its outputs: rows are non-negative and sum to 1. It takes the loss's own hyperparameters.
        family: What it is made from.
        summary: One sentence on what the loss does.
        formula: The definition in plain text, with p = softmax(z) and y the true class.
        use: When it is worth a try, and when not, in a sentence or two.
        citation: Its source.
        hyperparameters: In the order in which they are searched and printed.
        soft_targets: Whether the formula is defined for a distribution as target.
        equals: Name of a loss that this one is identical to with hard labels, or None. Such a pair is a control
            and not two candidates.
        properties: Convexity, properness, bounds: what the contract tests measure.
        aliases: Other names for this loss.
        limits: Where it becomes another loss.
        oracle: An independent implementation with the signature of `function`, to be agreed with in float64; it may
            be slow.
        needs_counts: Whether `function` and `link` take the number of training samples of each class as the
            keyword argument ``counts_C``, a floating tensor of shape (C,) on the device of the logits.
        absolute_counts: Whether the counts themselves matter, and not only their ratios: the classes' shares of the
            training data are then refused.
        balanced_outputs: Whether the loss takes the class prior out of the outputs, and the link puts it back: then
            the largest output decides where all classes count the same, the largest probability elsewhere.
        head: The network's last layer that the loss is made for.
        initial_bias: The bias that the last layer starts from, as a function of the number of classes; None for
            the network's own.
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

    @property
    def defaults(self) -> dict[str, Value]:
        """The published value of each hyperparameter."""
        return {hyperparameter.name: hyperparameter.default for hyperparameter in self.hyperparameters}

    def bind(self, hyperparameters: Mapping[str, Value] | None = None) -> BoundLoss:
        """Fix the hyperparameters, the published defaults for those not given.

        Raises:
            ValueError: If a name is not one of this loss's hyperparameters, or a value is no number of its domain.
        """
        given = dict(hyperparameters or {})
        unknown = given.keys() - self.defaults.keys()
        if unknown:
            known = ", ".join(self.defaults) or "none"
            raise ValueError(f"{self.name} has no hyperparameter {sorted(unknown)[0]!r}; it has {known}")
        return BoundLoss(
            self,
            {
                item.name: as_hyperparameter(
                    self.name, item.name, given.get(item.name, item.default), item.domain
                )
                for item in self.hyperparameters
            },
        )


@dataclass(frozen=True, slots=True, eq=False)
class BoundLoss:
    """A loss with its hyperparameters fixed: call it with logits (N, C) and target, get losses (N,).

    Attributes:
        spec: The loss.
        hyperparameters: A value for each of its hyperparameters.
        counts: Training samples of each class (C,), for a loss that needs them; None takes all classes as equally
            frequent.
    """

    spec: LossSpec
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    counts: Tensor | None = None

    def __call__(self, logits_NC: Tensor, target: Tensor) -> Tensor:
        """Return the loss of every sample, shape (N,).

        Raises:
            ValueError: If the target holds truth values, or the class counts are of another number of classes.
        """
        target = as_class_target(target)
        return self.spec.function(logits_NC, target, **self.hyperparameters, **self._counts(logits_NC))

    def probabilities(self, logits_NC: Tensor) -> Tensor:
        """Return the class probabilities (N, C) through the loss's own link."""
        return self.spec.link(logits_NC, **self.hyperparameters, **self._counts(logits_NC))

    def with_counts(self, counts_C: Sequence[float] | Tensor) -> BoundLoss:
        """Return this loss for training data with that many samples of each class.

        Args:
            counts_C: Shape (C,), on the device of the logits. A class without samples counts as one with 1. The
                classes' shares of the data do as well, unless the spec says ``absolute_counts``.

        Raises:
            ValueError: If they are not one finite number of at least 0 per class, or shares where counts are needed.
        """
        if not self.spec.needs_counts:
            return self
        return replace(self, counts=as_class_counts(counts_C, shares=not self.spec.absolute_counts))

    def head_options(self, num_classes: int) -> dict[str, Any]:
        """Return what the loss asks of the network's last layer, as the arguments of ``models.adapt_head``."""
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
        """Return this loss as an ``nn.Module``, to take the place of ``nn.CrossEntropyLoss`` in any loop.

        Args:
            reduction: ``"mean"`` (over the samples' weights), ``"sum"`` or ``"none"``.
            weight: Of each class, (C,).
            ignore_index: Samples of this class index count for nothing.
            class_counts: Training samples of each class, for a loss whose spec says ``needs_counts``; or their
                shares, unless it says ``absolute_counts``.

        Raises:
            ValueError: If the loss needs class counts and there are none, or an argument isn't as above.
        """
        counts_C = self.counts
        if class_counts is not None:
            counts_C = self.with_counts(class_counts).counts
        if self.spec.needs_counts and counts_C is None:
            raise ValueError(
                f"{self.spec.name} needs to know how frequent the classes are; "
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
        """Return, say, ``focal(gamma=2.0)``."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.hyperparameters.items())
        return f"{self.spec.name}({arguments})"
