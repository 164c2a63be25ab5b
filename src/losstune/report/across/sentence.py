"""The comparison in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from losstune.report.across.results import CellFacts, LossAcross
from losstune.verdict import wording


def sentence_of(
    losses: Sequence[LossAcross], cells: Sequence[CellFacts], baseline: str, metric: str, p_friedman: float
) -> str:
    """Say which losses are told from the baseline over all cells, and which are not.

    A loss is told from it by Wilcoxon's test over cells, corrected by Holm's method. Its interquartile mean is given
    beside it, and if that lies within every study's ROPE, it is said to be too small to matter.
    """
    counted = [cell for cell in cells if cell.is_counted]
    where = f"Over {len(counted)} studies"
    metric_name = wording.METRIC_NAMES[metric]
    rope = min(cell.rope for cell in counted)
    told = [loss for loss in losses if loss.standing in ("better", "worse")]
    num_rest = sum(loss.standing == "undecided" for loss in losses)
    friedman = f"Friedman p {wording.p_value(p_friedman)}"
    if not told:
        return (
            f"{where}, none of {wording.count(num_rest, 'loss', 'losses')} is told from {baseline} in {metric_name} "
            f"({friedman})."
        )
    parts = [_told(loss, rope) for loss in sorted(told, key=lambda loss: loss.standing != "better")]
    rest = ""
    if num_rest:
        rest = (
            "; the other is not told from it"
            if num_rest == 1
            else f"; none of the {num_rest} others is told from it"
        )
    return f"{where}, against {baseline} in {metric_name}: {'; '.join(parts)}{rest} ({friedman})."


def _told(loss: LossAcross, rope: float) -> str:
    assert loss.iqm is not None
    assert loss.p_holm is not None
    small = ", too little to matter" if max(abs(loss.iqm.low), abs(loss.iqm.high)) <= rope else ""
    return (
        f"{loss.loss} is {loss.standing}, {wording.points(loss.iqm.value)} points "
        f"{wording.interval(loss.iqm.low, loss.iqm.high)}{small}, Holm p {wording.p_value(loss.p_holm)}"
    )
