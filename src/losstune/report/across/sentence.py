"""The comparison in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from losstune.report.across.results import CellFacts, LossAcross
from losstune.verdict import wording
from losstune.verdict.wording import Units


def sentence_of(
    losses: Sequence[LossAcross], cells: Sequence[CellFacts], baseline: str, units: Units, p_friedman: float
) -> str:
    """Return which losses differ significantly from the baseline over all cells, and which do not.

    The test is Wilcoxon's over cells, corrected by Holm's method. The sentence adds the interquartile mean, and "too
    small to matter" if its interval lies within every study's ROPE.
    """
    counted = [cell for cell in cells if cell.is_counted]
    where = f"Over {len(counted)} studies"
    rope = min(cell.rope for cell in counted)
    significant = [loss for loss in losses if loss.standing in ("better", "worse")]
    num_rest = sum(loss.standing == "undecided" for loss in losses)
    friedman = f"Friedman p {wording.p_value(p_friedman)}"
    if not significant:
        return (
            f"{where}, none of {wording.count(num_rest, 'loss', 'losses')} differs significantly from {baseline} "
            f"in {units.label} ({friedman})."
        )
    parts = [_described(loss, rope, units) for loss in sorted(significant, key=lambda loss: loss.standing != "better")]
    better = f" ({units.direction})" if units.minimize else ""
    rest = ""
    if num_rest:
        rest = (
            "; the other does not differ significantly"
            if num_rest == 1
            else f"; none of the {num_rest} others differs significantly"
        )
    return f"{where}, against {baseline} in {units.label}{better}: {'; '.join(parts)}{rest} ({friedman})."


def _described(loss: LossAcross, rope: float, units: Units) -> str:
    assert loss.iqm is not None
    assert loss.p_holm is not None
    small = ", too small to matter" if max(abs(loss.iqm.low), abs(loss.iqm.high)) <= rope else ""
    return (
        f"{loss.loss} is {loss.standing}, {units.difference(loss.iqm.value)}{units.points} "
        f"{units.interval(loss.iqm.low, loss.iqm.high)}{small}, Holm p {wording.p_value(loss.p_holm)}"
    )
