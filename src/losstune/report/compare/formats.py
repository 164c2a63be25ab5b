"""Format a comparison as terminal table, Markdown, JSON or HTML."""

from __future__ import annotations

from functools import partial

from rich.console import Console
from rich.text import Text

from losstune.core.drawing import COLOURS
from losstune.report.compare.comparison import Comparison
from losstune.report.compare.lines import change_lines, design_line, headings, rows, warning_lines
from losstune.report.parts.page import render
from losstune.report.parts.terminal import STYLES, Column, print_lines, print_table, text_of
from losstune.report.parts.text import json_text

FORMATS = ("table", "markdown", "json", "html")
_MARKUP = "\\`*[]<>|"
_HTML_COLOURS = ("better", "worse", "equivalent", "undecided")


def formatted(comparison: Comparison, form: str, *, colour: bool = False) -> str:
    """Return the comparison as text in one of :data:`FORMATS`, with a final line break."""
    if form == "json":
        return json_text(comparison.model_dump(mode="json"))
    if form == "table":
        return text_of(partial(_print, comparison), colour=colour)
    return _markdown(comparison) if form == "markdown" else _html(comparison)


def _print(comparison: Comparison, console: Console) -> None:
    print_lines(console, (Text(line, style="bold red") for line in warning_lines(comparison)))
    print_lines(console, [f"{comparison.a.title} against {comparison.b.title}"])
    print_lines(console, [*(f"  {line}" for line in change_lines(comparison)), ""])
    titles = headings(comparison)
    columns = [Column(title, right=0 < place < len(titles) - 1) for place, title in enumerate(titles)]
    styles = STYLES | {"identical": "dim"}
    print_table(
        console, columns, ([Text(cell, style=styles.get(cell, "")) for cell in row] for row in rows(comparison))
    )
    print_lines(console, ["", design_line(comparison)])
    print_lines(console, (Text(f"Note: {note}", style="dim") for note in comparison.notes))
    print_lines(console, (f"MLflow, {link.revision}: {link.run} {link.url}" for link in comparison.links))
    console.print(Text(comparison.sentence, style="bold"))


def _markdown(comparison: Comparison) -> str:
    lines = [f"**{_plain(comparison.sentence)}**", ""]
    lines += [f"> {_plain(line)}" for line in warning_lines(comparison)] + ([""] if comparison.comparability else [])
    head = headings(comparison)
    lines += ["| " + " | ".join(map(_plain, head)) + " |", "|-|" + "-:|" * (len(head) - 2) + "-|"]
    lines += ["| " + " | ".join(map(_plain, row)) + " |" for row in rows(comparison)]
    lines += [
        "",
        f"{_plain(comparison.a.title)} against {_plain(comparison.b.title)}; {_plain(design_line(comparison))}.",
        "",
    ]
    lines += [f"- {_plain(line)}" for line in change_lines(comparison)]
    lines += [f"- {_plain(note)}" for note in comparison.notes]
    lines += [f"- MLflow, {_plain(link.revision)}: [{_plain(link.run)}]({link.url})" for link in comparison.links]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    # Escaped, because names of branches and settings may come from the author of a pull request.
    text = "".join(f"\\{character}" if character in _MARKUP else character for character in text)
    return " ".join(text.split())


def _html(comparison: Comparison) -> str:
    return render(
        "compare.html.j2",
        "losstune.report.compare",
        comparison=comparison,
        title=f"{comparison.a.title} against {comparison.b.title}",
        warnings=warning_lines(comparison),
        headings=headings(comparison),
        rows=rows(comparison),
        design=design_line(comparison),
        items=[*change_lines(comparison), *comparison.notes],
        colours=COLOURS,
        decisions=_HTML_COLOURS,
    )
