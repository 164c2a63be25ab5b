"""Number formats that the page, the terminal and the verdict share."""

from __future__ import annotations

import math
from collections.abc import Sequence

METRIC_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "nll": "NLL",
    "brier": "Brier",
    "ece": "ECE",
}
PERCENTAGES = {"accuracy", "balanced_accuracy", "macro_f1", "ece"}

MOST_BLOCKS = 1000
"""A larger number is not shown, because it is no usable plan."""


def score(metric: str, value: float) -> str:
    """Return a score with its unit: ``97.22%`` for a fraction, ``0.104`` for a value without a unit."""
    if math.isinf(value):
        return "∞"
    return f"{100 * value:.2f}%" if metric in PERCENTAGES else f"{value:.3f}"


def points(value: float) -> str:
    """Return a difference of fractions in percentage points, with its sign: ``+0.28``."""
    rounded = round(100 * value, 2)
    return f"{rounded + 0.0:+.2f}"  # adding 0.0 turns -0.0 into 0.0


def is_zero(value: float) -> bool:
    """Return whether a difference of fractions is shown as 0.00 points."""
    return round(100 * value, 2) == 0.0


def interval(low: float, high: float) -> str:
    """Return ``[-0.10, +0.50]`` in percentage points, or a text if a bound is infinite."""
    if math.isinf(low) or math.isinf(high):
        return "[unbounded]"
    return f"[{points(low)}, {points(high)}]"


def points_with_interval(mean: float, low: float, high: float) -> str:
    """Return ``+0.31 [+0.08, +0.56]`` in percentage points."""
    return f"{points(mean)} {interval(low, high)}"


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


def further_blocks_short(amount: int) -> str:
    """Return ``+15``, or ``>1,000``, for a table."""
    return f">{MOST_BLOCKS:,}" if amount > MOST_BLOCKS else f"+{amount:,}"


def enumeration(names: Sequence[str]) -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""
