"""The schema of ``across.json``: all numbers of a comparison. Equal runs give equal files."""

from __future__ import annotations

from typing import Literal

from losstune.core.records import Row
from losstune.verdict.numbers import Real
from losstune.verdict.results import Decision, Part

ACROSS_VERSION = 1

Standing = Literal["better", "worse", "undecided"]
"""What is shown over all cells: a difference from the baseline at the studies' level that exceeds the noise floor, with
its sign; or none."""


class Interval(Row):
    """An estimate with its bounds, which are infinite where too few cells leave it open."""

    value: float
    low: Real
    high: Real


class InCell(Row):
    """A loss in one cell.

    Attributes:
        cell: Its name.
        mean: Difference against the baseline, the mean over blocks; None if the loss has no winner there.
        low: Lower bound of the study's own interval.
        high: Upper bound of it.
        decision: As the study found; None for identical losses, and where there is no verdict.
    """

    cell: str
    mean: float | None
    low: Real | None
    high: Real | None
    decision: Decision | None


class LossAcross(Row):
    """A loss over all cells that count. Differences are in units of the metric, against the baseline's block.

    Attributes:
        loss: Its name.
        part: ``baseline`` or ``candidate``; ``control`` or ``alias`` for a loss that equals another and is no method
            of its own.
        equals: The loss that a control or an alias equals.
        mean_rank: Over cells, 1 is best; None for identical losses.
        p_holm: Wilcoxon's signed-rank test over cells, corrected by Holm's method for all candidates; None but for
            candidates.
        standing: What follows from it; None but for candidates.
        iqm: Interquartile mean of the blocks' differences; None for the baseline.
        improvement: Probability of improvement, the mean over cells; None for the baseline.
        profile: Share of blocks whose difference exceeds each of :attr:`Across.thresholds`, the mean over cells.
        cells: All cells that have the loss, those without a verdict, too.
    """

    loss: str
    part: Part
    equals: str | None
    mean_rank: float | None
    p_holm: float | None
    standing: Standing | None
    iqm: Interval | None
    improvement: Interval | None
    profile: tuple[float, ...]
    cells: tuple[InCell, ...]

    @property
    def shown(self) -> str:
        """Return the standing, or why there is none, in a word or two."""
        return self.standing or ("baseline" if self.part == "baseline" else "identical objective")


class CellFacts(Row):
    """A study of the comparison.

    Attributes:
        name: Its name here.
        folder: As it was given.
        study: Its own name.
        data: Name of its data.
        model: Name of its model.
        rope: The smallest difference that matters there.
        num_blocks: Blocks per loss.
        is_counted: Whether it has a verdict, and so a say in the comparison.
        action: ``use``, ``keep`` or ``none``.
        loss: The verdict's loss.
        sentence: The verdict.
    """

    name: str
    folder: str
    study: str
    data: str
    model: str
    rope: float
    num_blocks: int
    is_counted: bool
    action: str
    loss: str | None
    sentence: str


class Across(Row):
    """All numbers of a comparison over several studies.

    Attributes:
        across_version: Of this file's layout.
        metric: That all studies are judged by; higher is better.
        baseline: That all losses are held against.
        alpha: Level of the tests; intervals are at 1 - alpha.
        cells: The studies, as they were given.
        num_data: Data sets among the cells that count; what shares samples is one.
        losses: The methods from best to worst mean rank, then the identical losses.
        p_friedman: Of the hypothesis that all methods rank alike.
        critical_difference: Nemenyi's, of mean ranks.
        groups: Runs of methods whose mean ranks differ by less, best first.
        noise_floor: By how much the interquartile means of two identical losses differ, the most of all pairs; None
            without a pair.
        nemenyi: P-value of every two methods, in the order of :attr:`losses`.
        thresholds: Of the performance profiles, in units of the metric.
        notes: What a careful reader should know, one sentence each.
        sentence: The answer.
    """

    across_version: int = ACROSS_VERSION
    metric: str
    baseline: str
    alpha: float
    cells: tuple[CellFacts, ...]
    num_data: int
    losses: tuple[LossAcross, ...]
    p_friedman: float
    critical_difference: float
    groups: tuple[tuple[str, ...], ...]
    noise_floor: float | None
    nemenyi: tuple[tuple[float, ...], ...]
    thresholds: tuple[float, ...]
    notes: tuple[str, ...]
    sentence: str

    @property
    def counted(self) -> tuple[CellFacts, ...]:
        """The cells with a say."""
        return tuple(cell for cell in self.cells if cell.is_counted)

    @property
    def methods(self) -> tuple[LossAcross, ...]:
        """The baseline and the candidates, best mean rank first."""
        return tuple(loss for loss in self.losses if loss.mean_rank is not None)
