"""Ranges and domains of hyperparameters: what a search draws from, and what a formula allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Value = int | float
"""A hyperparameter's value. Only numbers are searched, not names or flags."""


@dataclass(frozen=True, slots=True)
class Domain:
    """The finite numbers for which a formula is defined; the search range may be smaller.

    Attributes:
        low: Lower bound; None for none.
        high: Upper bound; None for none.
        excludes_low: Whether `low` itself is excluded.
        excludes_high: Whether `high` itself is excluded.
        whole: Whether only integers are allowed.
    """

    low: float | None = None
    high: float | None = None
    excludes_low: bool = False
    excludes_high: bool = False
    whole: bool = False

    def contains(self, value: Value) -> bool:
        """Whether the formula is defined at `value`."""
        above = self.low is None or value > self.low or (value == self.low and not self.excludes_low)
        below = self.high is None or value < self.high or (value == self.high and not self.excludes_high)
        return math.isfinite(value) and above and below and not (self.whole and value != int(value))

    def __str__(self) -> str:
        """Return a text such as ``a number in (0, 1]``, ``a whole number >= 1`` or ``a finite number``."""
        number = "a whole number" if self.whole else "a number"
        if self.low is not None and self.high is not None:
            left, right = "(" if self.excludes_low else "[", ")" if self.excludes_high else "]"
            return f"{number} in {left}{self.low:g}, {self.high:g}{right}"
        if self.low is not None:
            return f"{number} {'>' if self.excludes_low else '>='} {self.low:g}"
        if self.high is not None:
            return f"{number} {'<' if self.excludes_high else '<='} {self.high:g}"
        return number if self.whole else "a finite number"


@dataclass(frozen=True, slots=True)
class FloatRange:
    """A closed interval of real numbers, searched uniformly on a linear or logarithmic scale.

    Attributes:
        low: Lower bound, included.
        high: Upper bound, included; above `low`.
        scale: ``"linear"``, or ``"log"`` for a positive quantity of unknown magnitude.

    Raises:
        ValueError: If a bound is not finite, the interval is empty, or a log scale starts at or below 0.
    """

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError(f"a range needs finite bounds, found [{self.low}, {self.high}]")
        if self.low >= self.high:
            raise ValueError(f"a range needs low < high, found [{self.low}, {self.high}]")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"a log range needs low > 0, found {self.low}")

    def from_unit(self, unit: float) -> float:
        """Map a coordinate in [0, 1] to the range, monotonically."""
        if self.scale == "log":
            value = math.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + unit * (self.high - self.low)
        return min(max(value, self.low), self.high)

    def contains(self, value: Value) -> bool:
        """Whether `value` is in the range, including the bounds."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        """Return ``0 to 5``, or ``0.01 to 1, log``."""
        return f"{self.low:g} to {self.high:g}{', log' if self.scale == 'log' else ''}"


@dataclass(frozen=True, slots=True)
class IntRange:
    """The integers from `low` to `high`, both included, with equal probability.

    Raises:
        ValueError: If the interval is empty.
    """

    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError(f"a range needs low < high, found [{self.low}, {self.high}]")

    def from_unit(self, unit: float) -> int:
        """Map a coordinate in [0, 1] to the range, monotonically."""
        return min(self.low + int(unit * (self.high - self.low + 1)), self.high)

    def contains(self, value: Value) -> bool:
        """Whether `value` is an integer in the range."""
        return self.low <= value <= self.high and value == int(value)

    def __str__(self) -> str:
        """Return ``1 to 10, whole``."""
        return f"{self.low} to {self.high}, whole"


@dataclass(frozen=True, slots=True)
class Choice:
    """A short list of values with equal probability; for grids such as {0.1, 1, 10}.

    Raises:
        ValueError: If there are fewer than two values, or a value is repeated.
    """

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if len(self.values) < 2 or len(set(self.values)) != len(self.values):
            raise ValueError(f"a choice needs at least two different values, found {list(self.values)}")

    def from_unit(self, unit: float) -> Value:
        """Map a coordinate in [0, 1] to one of the values, in their order."""
        return self.values[min(int(unit * len(self.values)), len(self.values) - 1)]

    def contains(self, value: Value) -> bool:
        """Whether `value` is one of the values."""
        return value in self.values

    def __str__(self) -> str:
        """Return ``0.1, 1 or 10``."""
        *others, last = (f"{value:g}" for value in self.values)
        return f"{', '.join(others)} or {last}"


Range = FloatRange | IntRange | Choice
"""The range of a hyperparameter."""
