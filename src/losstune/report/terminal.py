"""The report as a few lines in the terminal, ending in the verdict."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

from losstune.report import scaled
from losstune.report.parts.terminal import STYLES, Column, narrowed, print_lines, print_table
from losstune.report.spending import Spending, next_line, spent_line
from losstune.verdict import wording
from losstune.verdict.numbers import Score
from losstune.verdict.results import LossResult, Results

MAX_LINES = 23
"""Limit that makes the report, the line with the page's path, and the prompt fit on a terminal of 25 lines."""
MAX_NOTES = 2
_RULE_LINES = 1  # the line below the table's heading


def print_report(
    results: Results,
    durations_sec: Mapping[str, float],
    console: Console | None = None,
    *,
    spending: Spending | None = None,
) -> None:
    """Print one line per loss, the control, the notes and the verdict.

    Args:
        results: Results of the study.
        durations_sec: Mean seconds of a training by loss, see
            :meth:`losstune.report.diagnostics.Diagnostics.durations_sec`.
        console: Where to print; by default standard output, without colours if that is no terminal.
        spending: The time of all trainings; None if it is not known.
    """
    console = narrowed(console)
    below = _below(results, spending)
    with console.capture() as capture:
        print_lines(console, below)
    num_below = capture.get().count("\n")
    others = _other_metrics(results)
    num_heading = max(title.count("\n") + 1 for title in ("loss", *others.values()))
    shown = _rows_that_fit(results, MAX_LINES - num_below - num_heading - _RULE_LINES)
    columns = [
        Column("loss"),
        Column(results.units.label, right=True),
        Column(f"difference, {100 * (1 - results.alpha):g}%", right=True),
        Column("Holm p", right=True),
        Column("decision"),
        *(Column(f"recall, {group}", right=True, optional=True) for group in results.recall_groups),
        *(Column(title, right=True, optional=True) for title in others.values()),
        *(Column(title, right=True, optional=True) for title in ("training", "failed")),
    ]
    print_table(console, columns, [_cells(result, results, durations_sec) for result in shown])
    if len(shown) < len(results.losses):
        below.insert(0, f"... and {len(results.losses) - len(shown)} more losses, see the page")
    print_lines(console, below)


def _rows_that_fit(results: Results, num_lines: int) -> list[LossResult]:
    """Return the best losses and those that the verdict names. The page has all."""
    ranked = results.ranked()
    if len(ranked) <= num_lines:
        return ranked
    needed = [result for result in ranked if result.part == "baseline" or result.loss == results.verdict.loss]
    needed += [result for result in ranked if result.part == "control"][:1]
    best = [result for result in ranked if result not in needed]
    chosen = [*needed, *best[: max(num_lines - 1 - len(needed), 0)]]  # one line tells how many are left out
    return [result for result in ranked if result in chosen]


def _below(results: Results, spending: Spending | None) -> list[Text | str]:
    """Return the lines below the table, ending with the verdict."""
    lines: list[Text | str] = ["", control_line(results)]
    if results.minimize:
        lines.append(f"{results.units.label}: lower is better, so a loss with a negative difference is ahead.")
    if results.num_saved is not None:
        lines.append(f"Anytime stopping saved {wording.count(results.num_saved, 'training')}.")
    if results.is_pooled:
        lines.append(f"{spent_line(results, spending)} {next_line(results, spending)}".rstrip())
    lines += results.notes[:MAX_NOTES]
    if len(results.notes) > MAX_NOTES:
        lines.append(f"... and {wording.count(len(results.notes) - MAX_NOTES, 'more note')}, see the page")
    lines += [Text(f"Warning: {warning}", style="yellow") for warning in results.warnings]
    return [*lines, "", Text(results.verdict.sentence, style="bold")]


def control_line(results: Results) -> str:
    """Return one line with the results of the controls."""
    identity = results.control.identity
    parts = []
    if identity is None:
        parts.append("Control: no loss of this study equals the baseline.")
    else:
        state = "passed" if identity.passed else "FAILED"
        parts.append(f"Control {state}: {identity.loss} as {results.baseline}, {identity.detail}.")
    positive = results.control.positive
    if positive is not None and positive.detected is not None:
        mean, units = positive.difference.mean, results.units
        found = (
            f"found worse by {units.amount(mean)}"
            if positive.detected
            else f"NOT found worse ({units.difference(mean)}{units.points})"
        )
        parts.append(f"The degraded {results.baseline} was {found}.")
    return " ".join(parts)


def _other_metrics(results: Results) -> dict[str, str]:
    """Return the metrics that the study names, then NLL and ECE, with their headings; the page has all."""
    shown = {metric.name for metric in results.secondary_metrics} | {"nll", "ece", "scaled_nll", "scaled_ece"}
    columns = scaled.columns(results)
    return {
        name: title.replace(", ", "\n") if name.startswith(scaled.PREFIX) else title
        for name, title in columns.items()
        if name in shown
    }


def _cells(result: LossResult, results: Results, durations_sec: Mapping[str, float]) -> list[Text]:
    style = STYLES.get(result.decision or "", "dim" if result.part != "candidate" else "")
    difference, scores, units = result.difference, result.scores, results.units
    others = scaled.values(result, results)
    num_failed = sum(result.num_trials.get(status, 0) for status in ("diverged", "failed"))
    needed = f", {result.further_short}" if result.further_short else ""
    return [
        Text(result.loss, style="bold" if result.loss == results.verdict.loss else ""),
        Text(units.score(scores[results.metric].mean) if scores else "-"),
        Text(units.with_interval(difference.mean, difference.low, difference.high) if difference else ""),
        Text(wording.p_value(difference.p_holm) if difference and difference.p_holm is not None else ""),
        Text(f"{result.standing.removesuffix(' loss')}{needed}", style=style),
        *(_recall(result.group_recalls.get(group)) for group in results.recall_groups),
        *(Text(others[name][0] if name in others else "") for name in _other_metrics(results)),
        Text(wording.seconds(durations_sec[result.loss]) if result.loss in durations_sec else ""),
        Text(str(num_failed) if num_failed else ""),
    ]


def _recall(recall: Score | None) -> Text:
    return Text(f"{100 * recall.mean:.1f}%" if recall is not None else "")
