"""The page's texts about a pooled study: its pools, and what more trainings would buy."""

from __future__ import annotations

from typing import Any

from losstune.report.spending import Spending
from losstune.verdict import wording
from losstune.verdict.results import Results

MOST_CONFIGURATIONS = 5
"""Most configurations of a loss of a pooled study in tables and figures: those with the largest weights."""

_REASONS = {
    "out of reach": "out of reach of the budget",
    "budget": "the budget ended",
    "limit": "all searches and blocks used",
}


def pool_rows(results: Results) -> list[dict[str, Any]]:
    """Return the size of the pools of the baseline and of the loss of the verdict."""
    return [
        {
            "loss": loss.loss,
            "num_trials": sum(loss.num_trials.values()),
            "num_configurations": wording.count(len(loss.searches), "configuration"),
            "num_blocks": len(loss.blocks),
        }
        for loss in map(results.of, results.losses_in_focus())
    ]


def outlook_rows(results: Results, spending: Spending | None) -> list[dict[str, Any]]:
    """Return a row for each undecided loss, those that need the fewest trainings first."""
    rows = []
    for loss in results.undecided:
        difference, needed = loss.difference, loss.trainings_needed
        assert difference is not None, "judged"
        rows.append(
            {
                "loss": loss.loss,
                "difference": results.units.with_interval(difference.mean, difference.low, difference.high),
                "reason": _REASONS.get(loss.reason or "", ""),
                "num_searches": difference.num_searches,
                "num_blocks": difference.num_blocks,
                "further": loss.further or "no affordable number of trainings",
                "time": wording.seconds(60.0 * spending.minutes_of(needed)) if needed and spending else "",
            }
        )
    return rows
