"""Tables for the terminal and as plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import StringIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

MAX_COLUMNS = 110
STYLES = {"better": "green", "worse": "red", "undecided": "yellow", "equivalent": "cyan"}
"""The colour of each decision."""
_MIN_WIDTH = 10  # minimum width of a column that wraps


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its heading, of one or more lines.
        right: Whether it is right-aligned, as for numbers.
        wraps: Whether a cell may take several lines.
        optional: Whether it is left out if the terminal is too narrow for all columns.
        max_width: Maximum width in characters; None for no limit.
    """

    title: str
    right: bool = False
    wraps: bool = False
    optional: bool = False
    max_width: int | None = None


def narrowed(console: Console | None) -> Console:
    """Return a console like the given one, or like standard output, at most :data:`MAX_COLUMNS` wide."""
    console = console or Console(highlight=False)
    return Console(
        file=console.file,
        width=min(console.width, MAX_COLUMNS) if console.is_terminal else MAX_COLUMNS,
        force_terminal=console.is_terminal,
        highlight=False,
        no_color=console.no_color,
    )


def text_of(draw: Callable[[Console], None], *, colour: bool) -> str:
    """Return the text that `draw` prints, without trailing spaces."""
    text = StringIO()
    draw(Console(file=text, width=MAX_COLUMNS, force_terminal=colour, highlight=False))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def print_table(console: Console, columns: Sequence[Column], rows: Iterable[Sequence[Text]]) -> None:
    """Print a table. In a narrow console, optional columns are left out from the last on, before a name wraps."""
    rows = list(rows)
    shown = list(range(len(columns)))
    widths = [
        _MIN_WIDTH
        if column.wraps
        else max([cell_len(line) for line in column.title.split("\n")] + [row[place].cell_len for row in rows])
        for place, column in enumerate(columns)
    ]
    for place in reversed([place for place, column in enumerate(columns) if column.optional]):
        if _width([widths[place] for place in shown]) > console.width:
            shown.remove(place)
    table = _table([columns[place] for place in shown], [[row[place] for place in shown] for row in rows])
    if _width([widths[place] for place in shown]) > console.width:
        table.columns[0].no_wrap, table.columns[0].overflow = False, "fold"
    console.print(table)


def _width(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def _table(columns: Sequence[Column], rows: Iterable[Sequence[Text]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(
            Text(column.title),
            justify="right" if column.right else "left",
            no_wrap=not column.wraps,
            max_width=column.max_width,
        )
    for row in rows:
        table.add_row(*row)
    return table


def print_lines(console: Console, lines: Iterable[Text | str]) -> None:
    """Print lines without interpreting markup."""
    for line in lines:
        console.print(line if isinstance(line, Text) else Text(line))
