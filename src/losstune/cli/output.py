"""Helpers for the commands: rows of output, the order of commands, checks of options."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable

import click

from losstune.core.errors import LosstuneError, did_you_mean

MAX_COLUMNS = 100


class InOrder(click.Group):
    """Lists its commands in the order of use, not alphabetically."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order of their definition."""
        return list(self.commands)


def num_columns() -> int:
    """Return the width to use: that of the terminal, but at most that of the help."""
    return min(shutil.get_terminal_size((MAX_COLUMNS, 24)).columns, MAX_COLUMNS)


def echo_row(name: str, text: str, indent: int = 10) -> None:
    """Print a name and, next to it, a text that wraps within the width of the help."""
    margin = " " * indent
    lines = textwrap.wrap(text, max(num_columns() - indent, 20), break_on_hyphens=False, break_long_words=False)
    click.echo("\n".join((name.ljust(indent) if number == 0 else margin) + line for number, line in enumerate(lines)))


def require_choice(option: str, value: str, allowed: Iterable[str]) -> None:
    """Raise if the value of an option is not one of `allowed`."""
    names = list(allowed)
    if value not in names:
        raise LosstuneError(
            f"{option}: found {value!r}, expected one of {', '.join(names)}{did_you_mean(value, names)}"
        )
