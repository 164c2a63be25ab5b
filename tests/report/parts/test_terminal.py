import io

import pytest
from rich.console import Console
from rich.text import Text

from losstune.report.parts.terminal import Column, print_table, text_of

COLUMNS = [Column("loss"), Column("score", right=True), Column("NLL", optional=True), Column("time", optional=True)]
ROW = [Text("keras_kl_divergence"), Text("97.22%"), Text("0.104"), Text("0.82 s")]


def lines(width):
    console = Console(file=io.StringIO(), width=width)
    print_table(console, COLUMNS, [ROW])
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (80, ["keras_kl_divergence", "97.22%", "0.104", "0.82 s"]),
        (34, ["keras_kl_divergence", "97.22%", "0.104"]),
        (27, ["keras_kl_divergence", "97.22%"]),
    ],
)
def test_columns_are_left_out_before_a_name_is_folded(width, expected):
    head, _, row = lines(width)
    assert row.split(None, 3) == expected
    assert len(head.split()) == len(expected)
    assert len(row) <= width


def test_a_name_is_folded_where_nothing_else_helps():
    _, _, first, second = lines(20)
    assert first.split()[0] + second.strip() == "keras_kl_divergence"


def test_text_has_no_blanks_at_the_ends_of_lines():
    assert text_of(lambda console: console.print("a  "), colour=False) == "a\n"


def test_a_table_without_rows_is_its_headings():
    console = Console(file=io.StringIO(), width=80)
    print_table(console, COLUMNS, [])
    assert console.file.getvalue().split()[:4] == ["loss", "score", "NLL", "time"]
