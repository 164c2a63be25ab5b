"""A comparison in a few terminal lines, ending in its sentence."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from losstune.report.across.results import Across, Interval, LossAcross
from losstune.report.terminal import narrow
from losstune.verdict import wording

MAX_ROWS = 9
"""The whole comparison is to fit on a terminal of 25 lines; the page has all losses."""
_STYLES = {"better": "green", "worse": "red"}


def print_across(across: Across, console: Console | None = None) -> None:
    """Print one line per loss, the verdicts, the notes and the sentence.

    Args:
        across: The numbers.
        console: Where to print; standard output by default, plain where that is not a terminal.
    """
    console = narrow(console)
    confidence = f"{100 * (1 - across.alpha):g}%"
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("loss", overflow="fold")
    for title in ("rank", f"IQM, {confidence}", "blocks ahead", "Holm p"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("over all", "in the studies"):
        table.add_column(title, no_wrap=title == "over all")
    shown = [
        loss
        for place, loss in enumerate(across.losses)
        if place < MAX_ROWS - 2 or len(across.losses) <= MAX_ROWS or loss.part in ("baseline", "control")
    ]
    for loss in shown:
        table.add_row(*_cells(loss))
    console.print(table)
    if len(shown) < len(across.losses):
        console.print(f"... and {len(across.losses) - len(shown)} losses further down, see the page")
    console.print()
    console.print(Text(f"Verdicts: {verdicts(across)}."))
    for note in across.notes:
        console.print(Text(note))
    console.print()
    console.print(f"[bold]{escape(across.sentence)}[/bold]")


def verdicts(across: Across) -> str:
    """Return the cells' verdicts in a row, alike ones together: ``keep focal in a and b; none in c``."""
    by_verdict: dict[str, list[str]] = {}
    for cell in across.cells:
        verdict = "none" if cell.action == "none" else f"{cell.action} {cell.loss}"
        by_verdict.setdefault(verdict, []).append(cell.name)
    return "; ".join(f"{verdict} in {wording.enumeration(cells)}" for verdict, cells in by_verdict.items())


def tally(loss: LossAcross) -> str:
    """Return how often a loss had which decision: ``1 better, 3 equivalent``."""
    decisions = [cell.decision for cell in loss.cells if cell.decision]
    return ", ".join(
        f"{decisions.count(decision)} {decision}"
        for decision in ("better", "equivalent", "undecided", "worse")
        if decision in decisions
    )


def share(estimate: Interval) -> str:
    """Return a probability of improvement with its interval: ``63% [51, 74]``."""
    return f"{100 * estimate.value:.0f}% [{100 * estimate.low:.0f}, {100 * estimate.high:.0f}]"


def points(estimate: Interval) -> str:
    """Return a difference with its interval, in points: ``+0.31 [+0.08, +0.56]``."""
    return f"{wording.points(estimate.value)} {wording.interval(estimate.low, estimate.high)}"


def _cells(loss: LossAcross) -> list[Text]:
    return [
        Text(loss.loss, style="bold" if loss.standing == "better" else ""),
        Text("" if loss.mean_rank is None else f"{loss.mean_rank:.2f}"),
        Text(points(loss.iqm) if loss.iqm else ""),
        Text(share(loss.improvement) if loss.improvement else ""),
        Text("" if loss.p_holm is None or loss.part == "baseline" else wording.p_value(loss.p_holm)),
        Text(loss.shown, style=_STYLES.get(loss.standing or "", "dim")),
        Text(tally(loss).replace(",", "")),
    ]
