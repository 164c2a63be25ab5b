"""A comparison as a table for the terminal, as Markdown, JSON or HTML."""

from __future__ import annotations

import json
from io import StringIO

from markupsafe import Markup, escape
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from losstune.core.drawing import COLOURS
from losstune.report.compare.comparison import Comparison
from losstune.report.compare.lines import change_lines, design_line, headings, rows, warning_lines

FORMATS = ("table", "markdown", "json", "html")
MAX_COLUMNS = 110
_STYLES = {"better": "green", "worse": "red", "undecided": "yellow", "equivalent": "cyan", "identical": "dim"}
_MARKUP = "\\`*[]<>|"
_HTML_COLOURS = ("better", "worse", "equivalent", "undecided")


def formatted(comparison: Comparison, form: str, *, colour: bool = False) -> str:
    """Return the comparison as text in one of :data:`FORMATS`, with a line break at its end."""
    if form == "json":
        return (
            json.dumps(comparison.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False)
            + "\n"
        )
    return {"table": lambda: _table(comparison, colour), "markdown": lambda: _markdown(comparison)}.get(
        form, lambda: _html(comparison)
    )()


def _table(comparison: Comparison, colour: bool) -> str:
    text = StringIO()
    console = Console(file=text, width=MAX_COLUMNS, force_terminal=colour, highlight=False)

    def say(line: str, style: str = "") -> None:
        console.print(Text(line, style=style))

    for line in warning_lines(comparison):
        say(line, "bold red")
    say(f"{comparison.a.title} against {comparison.b.title}")
    for line in change_lines(comparison):
        say(f"  {line}")
    say("")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    for number, heading in enumerate(headings(comparison)):
        table.add_column(Text(heading), justify="left" if number in (0, 5) else "right", no_wrap=number != 0)
    for row in rows(comparison):
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    console.print(table)
    say("")
    say(design_line(comparison))
    for note in comparison.notes:
        say(f"Note: {note}", "dim")
    for link in comparison.links:
        say(f"MLflow, {link.revision}: {link.run} {link.url}")
    say(comparison.sentence, "bold")
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _markdown(comparison: Comparison) -> str:
    lines = [f"**{_plain(comparison.sentence)}**", ""]
    lines += [f"> {_plain(line)}" for line in warning_lines(comparison)] + (
        [""] if comparison.comparability else []
    )
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
    lines += [
        f"- MLflow, {_plain(link.revision)}: [{_plain(link.run)}]({link.url})" for link in comparison.links
    ]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    # Names of branches and settings come from whoever opened the pull request.
    text = "".join(f"\\{character}" if character in _MARKUP else character for character in text)
    return " ".join(text.split())


def _html(comparison: Comparison) -> str:
    def tag(name: str, text: str, kind: str = "") -> Markup:
        return Markup("<{0}{1}>{2}</{0}>").format(
            Markup(name), Markup(' class="{}"').format(kind) if kind else Markup(""), text
        )

    colours = "".join(f".{name} {{ color: {COLOURS[name]} }} " for name in _HTML_COLOURS)
    style = (
        f"body {{ font: 15px/1.5 system-ui, sans-serif; color: {COLOURS['ink']}; max-width: 60em; margin: 2em auto; "
        f"padding: 0 1em }} table {{ border-collapse: collapse }} th, td {{ padding: .2em .8em; text-align: right; "
        f"border-bottom: 1px solid {COLOURS['line']} }} th:first-child, td:first-child, th:last-child, td:last-child "
        f"{{ text-align: left }} .warning {{ color: {COLOURS['worse']}; font-weight: bold }} {colours}"
    )
    title = f"{comparison.a.title} against {comparison.b.title}"
    body = [tag("h1", title), *(tag("p", line, "warning") for line in warning_lines(comparison))]
    body += [tag("p", tag("strong", comparison.sentence))]
    head = Markup("").join(tag("th", cell) for cell in headings(comparison))
    body += [Markup("<table><thead><tr>{}</tr></thead><tbody>").format(head)]
    for row in rows(comparison):
        cells = [tag("td", cell, cell if cell in _HTML_COLOURS else "") for cell in row]
        body += [tag("tr", Markup("").join(cells))]
    body += [Markup("</tbody></table>"), tag("p", design_line(comparison))]
    items = [tag("li", line) for line in (*change_lines(comparison), *comparison.notes)]
    for link in comparison.links:
        items += [
            Markup('<li>MLflow, {}: <a href="{}">{}</a></li>').format(link.revision, link.url, link.run)
        ]
    body += [tag("ul", Markup("\n").join(items))]
    return str(
        Markup(
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{}</title><style>{}</style></head>\n'
            "<body>\n{}\n</body></html>\n"
        ).format(escape(title), Markup(style), Markup("\n").join(body))
    )
