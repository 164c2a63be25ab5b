"""What a loss is: a function from logits to one value per sample, and the facts a study needs about it.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from losstune.ranges import Choice, Domain, Range, Value


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
    """

    convex: bool
    proper: Properness
    bound: Bound | None = None
    symmetric: bool = False
    shift_invariant: bool = True
    smooth: bool = True
    minimum: Callable[..., float] | None = None

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


Head = Literal["linear", "normalised"]
"""A network's last layer: weights, features and bias as they come, or cosines of the angles between the two."""


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
        summary: One sentence on what the loss does.
        formula: The definition in plain text, with p = softmax(z) and y the true class.
        citation: Its source.
        hyperparameters: In the order in which they are searched and printed.
        soft_targets: Whether the formula is defined for a distribution as target.
        equals: Name of a loss that this one is identical to with hard labels, or None. Such a pair is a control
            and not two candidates.
        properties: Convexity, properness, bounds: what the contract tests measure.
        aliases: Other names for this loss.
        needs_prior: Whether `function` and `link` take the classes' shares of the training data as the keyword
            argument ``prior_C``, shape (C,), positive, summing to 1.
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
    properties: Properties
    hyperparameters: tuple[Hyperparameter, ...] = ()
    soft_targets: bool = False
    equals: str | None = None
    aliases: tuple[Alias, ...] = ()
    needs_prior: bool = False
    head: Head = "linear"
    initial_bias: Callable[[int], float] | None = None

    @property
    def defaults(self) -> dict[str, Value]:
        """The published value of each hyperparameter."""
        return {hyperparameter.name: hyperparameter.default for hyperparameter in self.hyperparameters}

    def bind(self, hyperparameters: Mapping[str, Value] | None = None) -> BoundLoss:
        """Fix the hyperparameters, the published defaults for those not given.

        Raises:
            ValueError: If a name is not one of this loss's hyperparameters, or a value is outside its domain.
        """
        given = dict(hyperparameters or {})
        unknown = given.keys() - self.defaults.keys()
        if unknown:
            known = ", ".join(self.defaults) or "none"
            raise ValueError(f"{self.name} has no hyperparameter {sorted(unknown)[0]!r}; it has {known}")
        for hyperparameter in self.hyperparameters:
            value = given.get(hyperparameter.name, hyperparameter.default)
            if not hyperparameter.domain.contains(value):
                raise ValueError(
                    f"{self.name}: found {hyperparameter.name} {value}, expected {hyperparameter.domain}"
                )
        return BoundLoss(self, self.defaults | given)


@dataclass(frozen=True, slots=True)
class BoundLoss:
    """A loss with its hyperparameters fixed: call it with logits (N, C) and target, get losses (N,)."""

    spec: LossSpec
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, logits_NC: Tensor, target: Tensor) -> Tensor:
        """Return the loss of every sample, shape (N,)."""
        return self.spec.function(logits_NC, target, **self.hyperparameters)

    def probabilities(self, logits_NC: Tensor) -> Tensor:
        """Return the class probabilities (N, C) through the loss's own link."""
        return self.spec.link(logits_NC, **self.hyperparameters)

    def __repr__(self) -> str:
        """Return, say, ``focal(gamma=2.0)``."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.hyperparameters.items())
        return f"{self.spec.name}({arguments})"
