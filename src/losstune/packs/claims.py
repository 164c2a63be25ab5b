"""Judge published claims by the results of the cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from losstune.core.records import Row
from losstune.packs.schema import Claim, Direction, Published
from losstune.verdict.results import Decision, LossResult, Results

Outcome = Literal["agrees", "disagrees", "undecided"]

AGREES: Mapping[Direction, frozenset[Decision]] = {
    "better": frozenset({"better"}),
    "worse": frozenset({"worse"}),
    "equivalent": frozenset({"equivalent"}),
    "not worse": frozenset({"better", "equivalent"}),
}
"""The decisions of a study that agree with a claim, by the claim's direction.

The other decisions disagree. An undecided loss, and a loss without a decision, leave the claim undecided."""


class Judgement(Row):
    """A claim, and what a cell says about it.

    Attributes:
        id: Name of the claim.
        text: The claim in words.
        place: Where the publication makes it.
        cell: The cell.
        loss: The loss that the claim is about.
        versus: The loss that it is compared with.
        direction: What is claimed.
        metric: The metric.
        published: Published figures, if known.
        outcome: Whether the cell agrees.
        decision: Decision of the study on the loss; None if there is none.
        ours: Difference with its interval, as text with unit; None if there is none.
        mean: The difference, in units of the metric.
        low: Lower bound of its interval; None if it is not bounded, or there is no difference.
        high: Upper bound of it.
        reason: Why the claim is undecided, or what else the reader should know.
    """

    id: str
    text: str
    place: str
    cell: str
    loss: str
    versus: str
    direction: Direction
    metric: str
    published: Published | None
    outcome: Outcome
    decision: Decision | None = None
    ours: str | None = None
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""


def outcome_of(direction: Direction, decision: Decision | None) -> Outcome:
    """Return whether a study's decision agrees with a claim of that direction."""
    if decision is None or decision == "undecided":
        return "undecided"
    return "agrees" if decision in AGREES[direction] else "disagrees"


def judge(claim: Claim, cell: str, results: Results | None, missing: str = "not run") -> Judgement:
    """Judge a claim by the results of a cell.

    Args:
        claim: The claim.
        cell: Name of the cell.
        results: Its results; None if it has not run.
        missing: Why it has not run.
    """
    facts = claim.model_dump(exclude={"cells", "published"}) | {"cell": cell, "published": claim.published}
    if results is None:
        return Judgement(**facts, outcome="undecided", reason=missing)
    result = results.of(claim.loss)
    decision, reason = _decision(result, results)
    difference = result.difference
    if difference is not None:
        text = results.units.with_interval(difference.mean, difference.low, difference.high)
        is_bounded = max(abs(difference.low), abs(difference.high)) < float("inf")
        facts |= {
            "ours": text + results.units.points,
            "mean": difference.mean,
            "low": difference.low if is_bounded else None,
            "high": difference.high if is_bounded else None,
        }
    return Judgement(**facts, outcome=outcome_of(claim.direction, decision), decision=decision, reason=reason)


def _decision(result: LossResult, results: Results) -> tuple[Decision | None, str]:
    """Return the decision on a loss, and a remark. A loss identical to the baseline is equivalent to it."""
    identity = results.control.identity
    if result.part == "control" and result.equals == results.baseline:
        if identity is not None and not identity.passed:
            return None, "the identity check failed"
        return "equivalent", f"identical to {results.baseline}: only tuning apart makes a difference"
    if result.winner is None:
        return None, "no training of this loss succeeded"
    if result.part == "alias" and result.equals is not None:
        return results.of(result.equals).decision, f"the decision on {result.equals}, which is identical"
    if result.decision is None:
        return None, "no verdict: a control failed"
    if result.decision == "undecided":
        return "undecided", f"{result.further} would settle it" if result.further else "no number of trainings is known"
    return result.decision, ""
