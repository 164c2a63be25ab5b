"""The facts about a loss that its specification is made of.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

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
