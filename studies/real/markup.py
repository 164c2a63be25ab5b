"""Markdown, and numbers in points, for the sections of docs/study.md."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from findings import ROPE, Pooled

from losstune.verdict.wording import Units

UNITS = Units("accuracy", rope=ROPE)


def difference(found: Any) -> str:
    """Return a difference with its interval in points, or a dash."""
    return UNITS.with_interval(found.mean, found.low, found.high) if found else "-"


def interval(one: Pooled) -> str:
    """Return a mean over studies with its interval in points."""
    return UNITS.with_interval(one.mean, one.low, one.high)


def points(value: float) -> str:
    """Return a share in points."""
    return f"{100 * value:.2f}"


def ratio(estimate: Any) -> str:
    """Return an estimate with its bounds, if it has any."""
    bounds = f" [{estimate.low:.2f}, {estimate.high:.2f}]" if np.isfinite([estimate.low, estimate.high]).all() else ""
    return f"{estimate.value:.2f}{bounds}"


def nll(value: float, low: float, high: float) -> str:
    """Return a difference of NLL in nats, with its bounds if there are any."""
    return f"{value:+.3f}" + (f" [{low:+.3f}, {high:+.3f}]" if np.isfinite([low, high]).all() else "")


def fill(text: str) -> str:
    """Return a paragraph, wrapped."""
    return textwrap.fill(text, 120, break_on_hyphens=False, break_long_words=False)


def quote(text: str) -> str:
    """Return a quotation, wrapped."""
    return textwrap.fill(text, 120, initial_indent="> ", subsequent_indent="> ", break_on_hyphens=False)


def caption(text: str) -> str:
    """Return a caption with its label in bold."""
    label, _, rest = text.partition(". ")
    return fill(f"**{label}.** {rest}")


def figure(name: str, label: str, text: str) -> str:
    """Return an image and its caption."""
    return f"![{label}]({name})\n\n{caption(text)}"


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [heading, ["-"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
