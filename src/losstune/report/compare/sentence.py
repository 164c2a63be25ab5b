"""The result of a comparison in one sentence."""

from __future__ import annotations

from losstune.report.compare.scores import LossComparison, ScoreComparison
from losstune.verdict import wording

_MOST_NAMES = 4


def sentence_of(a: str, b: str, scores: ScoreComparison) -> str:
    """Return how B's scores compare with A's, using only the words of the decisions.

    ``B is 0.40 ± 0.20 points better for cross_entropy and undecided for the rest``. The number after ± is the larger
    half of the interval.

    Args:
        a: Name of the first revision.
        b: Name of the second revision.
        scores: The scores of every loss.
    """
    compared = [loss for loss in scores.losses if loss.decision is not None or loss.is_identical]
    groups: list[tuple[str, list[LossComparison]]] = []
    for decision in ("better", "worse"):
        for loss in scores.with_decision(decision):
            groups.append((f"{_size(loss, scores)} {decision}", [loss]))
    groups.append(("equivalent", scores.with_decision("equivalent")))
    groups.append(("identical to the bit", [loss for loss in scores.losses if loss.is_identical]))
    groups.append(("undecided", scores.with_decision("undecided")))
    groups = [(word, losses) for word, losses in groups if losses]
    if not groups:
        return f"{b} and {a} have no loss in common that could be compared."
    if len(groups) == 1:
        word, losses = groups[0]
        return f"Against {a}, {b} is {word} for {_all(losses) if len(losses) == len(compared) else _names(losses)}."
    parts = [f"{word} for {_names(losses)}" for word, losses in groups[:-1]]
    return f"Against {a}, {b} is {', '.join(parts)}, {groups[-1][0]} for {_rest(groups[-1][1])}."


def _size(loss: LossComparison, scores: ScoreComparison) -> str:
    difference, units = loss.difference, scores.units
    assert difference is not None
    reach = max(difference.high - difference.mean, difference.mean - difference.low)
    return f"{units.size(difference.mean)} ± {units.amount(reach)}"


def _names(losses: list[LossComparison]) -> str:
    if len(losses) > _MOST_NAMES:
        return wording.count(len(losses), "loss", "losses")
    return wording.enumeration([loss.loss for loss in losses])


def _all(losses: list[LossComparison]) -> str:
    return losses[0].loss if len(losses) == 1 else f"all {len(losses)} losses"


def _rest(losses: list[LossComparison]) -> str:
    return losses[0].loss if len(losses) == 1 else f"the rest ({_names(losses)})"
