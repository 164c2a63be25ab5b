"""A comparison as rows and lines of text, which the formats share."""

from __future__ import annotations

from losstune.report.compare.comparison import Comparison
from losstune.report.compare.scores import LossComparison
from losstune.verdict import wording
from losstune.verdict.numbers import Score

MOST_CHANGES = 12
MOST_MODULES = 4
_NONE = "–"


def headings(comparison: Comparison) -> tuple[str, ...]:
    """Return the table's headings."""
    level, unit = 100 * (1 - comparison.scores.alpha), ", points" if comparison.scores.percent else ""
    return ("loss", comparison.a.name, comparison.b.name, f"difference{unit}, {level:g}%", "Holm p", "decision")


def rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return a row of texts for every loss, ordered by the score at B, best first."""
    return [_row(loss, comparison.scores.units) for loss in comparison.scores.losses]


def decision_text(loss: LossComparison) -> str:
    """Return the decision in one or two words, or why there is none."""
    if loss.is_identical:
        return "identical"
    if loss.decision is not None:
        return loss.decision
    if loss.difference is None:
        return "not compared"
    return "control"


def change_lines(comparison: Comparison) -> list[str]:
    """Return one line per kind of change. What is the same is listed, too, because the reader needs to know it."""
    changes, code = comparison.changes, comparison.changes.code
    params = [str(change) for change in changes.params]
    lines = ["settings: " + ("; ".join(params[:MOST_CHANGES]) or "the same")]
    if len(params) > MOST_CHANGES:
        lines[0] += f"; and {len(params) - MOST_CHANGES} more"
    lines.append("data: " + ("; ".join(map(str, changes.data)) or "the same"))
    if not code.is_known:
        lines.append("code: not known, losstune's source is not in the repository at both revisions")
    elif code.is_identical:
        lines.append("code of a training: the same")
    else:
        parts = [", ".join(code.trial)] if code.trial else []
        parts += [f"{', '.join(modules)} (for {loss} alone)" for loss, modules in code.losses.items()]
        parts += [f"your own code of {', '.join(code.own)}"] if code.own else []
        lines.append("code of a training: differs in " + "; ".join(parts))
    if code.others:
        shown = ", ".join(code.others[:MOST_MODULES])
        more = f" and {len(code.others) - MOST_MODULES} more" if len(code.others) > MOST_MODULES else ""
        lines.append(f"other code, which no training uses: differs in {shown}{more}")
    versions = list(map(str, changes.versions))
    lines.append("versions: " + ("; ".join(versions[:MOST_CHANGES]) or "the same, as far as they are pinned"))
    if changes.hardware is None:
        lines.append("hardware: not known, the executions are not in DVC's cache at both revisions")
    else:
        lines.append("hardware: " + ("; ".join(map(str, changes.hardware)) or "the same"))
    return lines


def design_line(comparison: Comparison) -> str:
    """Return the line on how the scores are compared."""
    scores, units = comparison.scores, comparison.scores.units
    floor = f"; noise floor {units.amount(scores.noise_floor)}" if scores.noise_floor is not None else ""
    better = f" ({units.direction})" if units.minimize else ""
    return (
        f"{units.label}{better} on the test split, {scores.design}: {scores.why}; "
        f"ROPE ±{units.factor * scores.rope:g}{units.points}{floor}"
    )


def warning_lines(comparison: Comparison) -> list[str]:
    """Return the warnings of a forced comparison."""
    return [f"WARNING: forced although the protocols differ in {line}" for line in comparison.comparability]


def _row(loss: LossComparison, units: wording.Units) -> tuple[str, ...]:
    difference = loss.difference
    return (
        loss.loss,
        _score(loss.a, units),
        _score(loss.b, units),
        units.with_interval(difference.mean, difference.low, difference.high) if difference else "",
        wording.p_value(difference.p_holm) if difference and difference.p_holm is not None else "",
        decision_text(loss),
    )


def _score(score: Score | None, units: wording.Units) -> str:
    return _NONE if score is None else units.score(score.mean)
