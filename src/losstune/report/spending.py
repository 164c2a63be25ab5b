"""What a pooled study spent, and what more trainings would buy.

Times differ between runs, so ``results.json`` has none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from losstune.core.records import Execution
from losstune.verdict import wording
from losstune.verdict.outlook import bought_by
from losstune.verdict.results import Results

PAUSE_SEC = 60.0
"""A longer time in which nothing trains is a pause. A shorter one is what trainings cost besides their own time."""

NEXT_MINUTES = 30
"""What would be bought is told for this time."""
MOST_NAMED = 4
"""The most losses that a sentence names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """The time of a study's trainings.

    Attributes:
        num_timed: Number of trainings whose time is known.
        core_min: Their minutes, added up.
        wall_min: Minutes from the first to the last of them, without pauses.
    """

    num_timed: int
    core_min: float
    wall_min: float

    @property
    def mean_sec(self) -> float:
        """Mean seconds of a training."""
        return 60.0 * self.core_min / self.num_timed

    @property
    def per_minute(self) -> float:
        """Number of trainings a minute."""
        return self.num_timed / self.wall_min

    def trainings_in(self, minutes: float) -> int:
        """Return how many trainings this time buys at the same pace."""
        return int(self.per_minute * minutes)

    def minutes_of(self, num_trainings: int) -> float:
        """Return how long this number of trainings takes at the same pace."""
        return num_trainings / self.per_minute


def spending_of(executions: Iterable[Execution]) -> Spending | None:
    """Return the time of these trainings; None if none took any."""
    times = sorted((run.started_at, run.started_at + run.duration_sec) for run in executions if run.duration_sec > 0.0)
    if not times:
        return None
    wall_sec, until = 0.0, times[0][0]
    for start, end in times:
        since = start if start - until > PAUSE_SEC else until
        wall_sec += max(0.0, end - since)
        until = max(until, end)
    core_sec = math.fsum(end - start for start, end in times)
    return Spending(num_timed=len(times), core_min=core_sec / 60.0, wall_min=wall_sec / 60.0)


def spent_line(results: Results, spending: Spending | None) -> str:
    """Return what a pooled study spent, in a sentence."""
    rounds = results.rounds
    assert rounds is not None, "of a pooled study"
    number = wording.count(rounds.num_trainings, "training")
    if rounds.budget is not None:
        number = f"{rounds.num_trainings:,} of {wording.count(rounds.budget, 'training')}"
    time = "" if spending is None else f", {wording.seconds(60.0 * spending.core_min)} of training time"
    return f"Spent: {number}{time}."


def next_line(results: Results, spending: Spending | None) -> str:
    """Return what the next half hour would buy a pooled study, in a sentence; empty if all losses are settled."""
    undecided = results.undecided
    if not undecided or spending is None or results.rounds is None:
        return ""
    number = spending.trainings_in(NEXT_MINUTES)
    start = f"The next {NEXT_MINUTES} minutes would buy about {wording.count(wording.rounded(number), 'training')}"
    bought, losses = bought_by(results, number), wording.count(len(undecided), "undecided loss", "undecided losses")
    if bought:
        return f"{start} and probably settle {len(bought)} of {losses}: {_names(bought)}."
    cheapest = undecided[0]
    if cheapest.trainings_needed is None:
        return f"{start}, but no affordable number would settle the {losses}."
    time = wording.seconds(60.0 * spending.minutes_of(cheapest.trainings_needed))
    return f"{start}, too few to settle any of {losses}: {cheapest.loss} needs {cheapest.further} ({time})."


def _names(losses: list[str]) -> str:
    if len(losses) <= MOST_NAMED:
        return wording.enumeration(losses)
    return f"{', '.join(losses[: MOST_NAMED - 1])} and {len(losses) - MOST_NAMED + 1} more"
