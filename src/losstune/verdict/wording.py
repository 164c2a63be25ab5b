"""Number formats that the page, the terminal and the verdict share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from losstune.core.metric import EXPECTED_COST, METRICS

MOST_BLOCKS = 1000
"""A larger number is not shown, because it is no usable plan."""

MOST_TRAININGS = 20_000
"""The same for trainings."""


@dataclass(frozen=True, slots=True)
class Units:
    """How the values of a study's metric are shown.

    Fractions are shown in per cent, and their differences in percentage points with two decimals. Other metrics are
    shown in their own units, with one decimal more than the ROPE needs.

    Attributes:
        metric: Name of the metric.
        minimize: Whether lower is better.
        percent: Whether it is a fraction.
        rope: Smallest difference that matters in practice; 0 if unknown.
    """

    metric: str
    minimize: bool = False
    percent: bool = True
    rope: float = 0.0

    @property
    def label(self) -> str:
        """The metric's name for display."""
        return metric_name(self.metric)

    @property
    def sign(self) -> int:
        """Factor that makes larger values better."""
        return -1 if self.minimize else 1

    @property
    def factor(self) -> int:
        """Factor from a value to the number that is shown."""
        return 100 if self.percent else 1

    @property
    def direction(self) -> str:
        """The direction in which values are better, for example in a heading."""
        return "lower is better" if self.minimize else "higher is better"

    @property
    def axis(self) -> str:
        """The metric with its unit, for the axis of a figure."""
        text = f"{self.label}, %" if self.percent else self.label
        return f"{text} ({self.direction})" if self.minimize else text

    @property
    def points(self) -> str:
        """The unit of differences after a number: `` points``, or nothing."""
        return " points" if self.percent else ""

    @property
    def of_metric(self) -> str:
        """The unit of differences with the metric: `` points of accuracy``, or `` in expected_cost``."""
        return f" points of {self.label}" if self.percent else f" in {self.label}"

    def score(self, value: float) -> str:
        """Return a score with its unit: ``97.22%`` for a fraction, ``0.1040`` for a value without a unit."""
        return _infinite(value) if math.isinf(value) else self._number(value) + ("%" if self.percent else "")

    def size(self, value: float) -> str:
        """Return the size of a difference without sign and unit: ``0.28``."""
        return self._number(abs(value))

    def amount(self, value: float) -> str:
        """Return the size of a difference with its unit: ``0.28 points``."""
        return f"{self.size(value)}{self.points}"

    def difference(self, value: float) -> str:
        """Return a difference with its sign: ``+0.28``."""
        text = self._number(value, "+")
        return text.replace("-", "+") if self.is_zero(value) else text

    def is_zero(self, value: float) -> bool:
        """Return whether a difference is shown as zero."""
        return float(self._number(value)) == 0.0

    def interval(self, low: float, high: float) -> str:
        """Return ``[-0.10, +0.50]``, or a text if a bound is infinite.

        A bound that rounds to zero keeps its sign: ``[-0.00, +0.50]`` includes zero, ``[+0.00, +0.50]`` does not.
        """
        if math.isinf(low) or math.isinf(high):
            return "[unbounded]"
        return f"[{self._number(low + 0.0, '+')}, {self._number(high + 0.0, '+')}]"

    def with_interval(self, mean: float, low: float, high: float) -> str:
        """Return ``+0.31 [+0.08, +0.56]``."""
        return f"{self.difference(mean)} {self.interval(low, high)}"

    def _number(self, value: float, sign: str = "-") -> str:
        if self.percent:
            return f"{100 * value:{sign}.2f}"
        if not self.rope:
            return f"{value:{sign}.4g}"
        return f"{value:{sign}.{min(max(1 - math.floor(math.log10(self.rope)), 0), 12)}f}"


def _infinite(value: float) -> str:
    return "∞" if value > 0 else "−∞"


def metric_name(metric: str) -> str:
    """Return a metric's name for display; that of a user's own metric is the function's name."""
    return METRICS[metric].label if metric in METRICS else metric


def score(metric: str, value: float, percent: bool | None = None) -> str:
    """Return a score with its unit: ``97.22%`` for a fraction, ``0.104`` otherwise.

    Args:
        metric: Its name.
        value: The score.
        percent: Whether it is a fraction; by default that of the built-in metric.
    """
    if math.isinf(value):
        return _infinite(value)
    if METRICS[metric].percent if percent is None else percent:
        return f"{100 * value:.2f}%"
    # The others are at most about 1, or have units of the user's own.
    has_usual_size = metric in METRICS and metric != EXPECTED_COST
    return f"{value:.3f}" if has_usual_size else f"{value:.4g}"


def p_value(value: float) -> str:
    """Return ``0.012`` or ``<0.001``."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def seconds(value: float) -> str:
    """Return a duration with at most three digits: ``0.82 s``, ``12 s``, ``3.4 min``."""
    if value < 10:
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.1f} min" if value < 7200 else f"{value / 3600:.1f} h"


def number(value: float) -> str:
    """Return a hyperparameter with three significant digits: ``0.00316``, ``2``, ``1e-05``."""
    return f"{value:.3g}"


def count(amount: int, singular: str, plural: str | None = None) -> str:
    """Return ``1 block`` or ``1,200 blocks``."""
    return f"{amount:,} {singular if amount == 1 else plural or singular + 's'}"


def further_blocks(amount: int) -> str:
    """Return ``about 15 more blocks``; for a large number ``over 1,000 more blocks``."""
    return f"over {MOST_BLOCKS:,} more blocks" if amount > MOST_BLOCKS else f"about {count(amount, 'more block')}"


def further_trainings(amount: int) -> str:
    """Return ``about 510 more trainings``, with two digits; for a large number ``over 20,000 more trainings``."""
    if amount > MOST_TRAININGS:
        return f"over {MOST_TRAININGS:,} more trainings"
    return f"about {count(rounded(amount), 'more training')}"


def further_short(amount: int, most: int) -> str:
    """Return ``+15``, or above `most` ``>1,000``, for a table."""
    return f">{most:,}" if amount > most else f"+{rounded(amount) if most == MOST_TRAININGS else amount:,}"


def rounded(amount: int) -> int:
    """Return a whole number rounded to two digits: an estimate shows no more."""
    return round(amount, min(2 - len(str(amount)), 0))


def enumeration(names: Sequence[str]) -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""
