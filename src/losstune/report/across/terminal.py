"""A comparison as a few terminal lines, ending with its sentence."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from losstune.report.across.results import Across, Interval, LossAcross
from losstune.report.parts.terminal import STYLES, Column, narrowed, print_lines, print_table
from losstune.verdict import wording

MAX_ROWS = 9
"""Limit that makes the comparison fit on a terminal of 25 lines. The page has all losses."""


def print_across(across: Across, console: Console | None = None) -> None:
    """Print one line per loss, the verdicts, the notes and the sentence.

    Args:
        across: The comparison.
        console: Where to print; by default standard output, without colours if that is no terminal.
    """
    console = narrowed(console)
    shown = [
        loss
        for place, loss in enumerate(across.losses)
        if place < MAX_ROWS - 2 or len(across.losses) <= MAX_ROWS or loss.part in ("baseline", "control")
    ]
    columns = [
        Column("loss"),
        *(
            Column(title, right=True)
            for title in ("rank", f"IQM, {100 * (1 - across.alpha):g}%", "blocks ahead", "Holm p")
        ),
        Column("over all"),
        Column("in the studies", wraps=True),
    ]
    print_table(console, columns, (_cells(loss, across.units) for loss in shown))
    if len(shown) < len(across.losses):
        console.print(f"... and {len(across.losses) - len(shown)} more losses, see the page")
    direction = [f"{across.units.label}: lower is better, so a loss with a negative IQM is ahead."]
    print_lines(
        console, ["", *(direction if across.minimize else []), f"Verdicts: {verdicts(across)}.", *across.notes, ""]
    )
    console.print(Text(across.sentence, style="bold"))


def verdicts(across: Across) -> str:
    """Return the cells' verdicts in one line, equal ones grouped: ``keep focal in a and b; none in c``."""
    by_verdict: dict[str, list[str]] = {}
    for cell in across.cells:
        verdict = "none" if cell.action == "none" else f"{cell.action} {cell.loss}"
        by_verdict.setdefault(verdict, []).append(cell.name)
    return "; ".join(f"{verdict} in {wording.enumeration(cells)}" for verdict, cells in by_verdict.items())


def tally(loss: LossAcross) -> str:
    """Return how often a loss got each decision: ``1 better, 3 equivalent``."""
    decisions = [cell.decision for cell in loss.cells if cell.decision]
    return ", ".join(
        f"{decisions.count(decision)} {decision}"
        for decision in ("better", "equivalent", "undecided", "worse")
        if decision in decisions
    )


def share(estimate: Interval) -> str:
    """Return a probability of improvement with its interval: ``63% [51, 74]``."""
    return f"{100 * estimate.value:.0f}% [{100 * estimate.low:.0f}, {100 * estimate.high:.0f}]"


def difference(estimate: Interval, units: wording.Units) -> str:
    """Return a difference with its interval: ``+0.31 [+0.08, +0.56]``."""
    return units.with_interval(estimate.value, estimate.low, estimate.high)


def _cells(loss: LossAcross, units: wording.Units) -> list[Text]:
    return [
        Text(loss.loss, style="bold" if loss.standing == "better" else ""),
        Text("" if loss.mean_rank is None else f"{loss.mean_rank:.2f}"),
        Text(difference(loss.iqm, units) if loss.iqm else ""),
        Text(share(loss.improvement) if loss.improvement else ""),
        Text("" if loss.p_holm is None or loss.part == "baseline" else wording.p_value(loss.p_holm)),
        Text(loss.shown, style=STYLES.get(loss.standing or "", "dim")),
        Text(tally(loss).replace(",", "")),
    ]
