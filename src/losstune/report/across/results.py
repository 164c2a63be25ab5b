"""The schema of ``across.json``: all numbers of a comparison. Equal runs give equal files."""

from __future__ import annotations

from typing import Literal

from losstune.core.records import Row
from losstune.verdict.numbers import Real
from losstune.verdict.results import Decision, Part
from losstune.verdict.wording import Units

ACROSS_VERSION = 1

Standing = Literal["better", "worse", "undecided"]
"""The decision over all cells: whether the difference from the baseline is significant at the studies' level and
exceeds the noise floor, and its sign."""


class Interval(Row):
    """An estimate with its bounds, which are infinite if there are too few cells."""

    value: float
    low: Real
    high: Real


class InCell(Row):
    """A loss in one cell.

    Attributes:
        cell: Name of the cell.
        mean: Mean difference from the baseline over the blocks; None if the loss has no winner there.
        low: Lower bound of the study's interval.
        high: Upper bound of this interval.
        decision: Decision of the study; None for identical losses, and if there is no verdict.
    """

    cell: str
    mean: float | None
    low: Real | None
    high: Real | None
    decision: Decision | None


class LossAcross(Row):
    """A loss over all counted cells. Differences are from the baseline's block, in units of the metric.

    Attributes:
        loss: Its name.
        part: ``baseline`` or ``candidate``; ``control`` or ``alias`` for a loss that equals another and is not ranked.
        equals: The loss that a control or an alias equals.
        mean_rank: Mean rank over cells, 1 is best; None for identical losses.
        p_holm: P-value of Wilcoxon's signed-rank test over cells, corrected by Holm's method for all candidates; None
            for other losses.
        standing: The decision; None for losses that are no candidates.
        iqm: Interquartile mean of the blocks' differences; None for the baseline.
        improvement: Mean probability of improvement over cells; None for the baseline.
        profile: Share of blocks in which the loss is ahead by more than each of :attr:`Across.thresholds`, averaged
            over cells.
        cells: All cells that have the loss, including those without a verdict.
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
        """Return the standing, or why there is none, in one or two words."""
        return self.standing or ("baseline" if self.part == "baseline" else "identical loss")


class CellFacts(Row):
    """A study of the comparison.

    Attributes:
        name: Name in the comparison.
        folder: Path of the folder as given.
        study: Name of the study.
        data: Name of the data.
        model: Name of the model.
        rope: Smallest difference that matters in this study.
        num_blocks: Blocks per loss.
        is_counted: Whether it has a verdict and so counts in the comparison.
        action: ``use``, ``keep`` or ``none``.
        loss: The verdict's loss.
        sentence: The verdict in words.
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
        across_version: Version of this file's layout.
        metric: Metric of all studies.
        minimize: Whether lower is better.
        percent: Whether it is a fraction.
        baseline: Name of the loss that all are compared with.
        alpha: Level of the tests; intervals are at 1 - alpha.
        cells: The studies in the given order.
        num_data: Number of data sets of the counted cells. Data that shares samples counts once.
        losses: The methods from best to worst mean rank, then the identical losses.
        p_friedman: P-value of Friedman's test that all methods have equal ranks.
        critical_difference: Nemenyi's critical difference of mean ranks.
        groups: Groups of methods whose mean ranks differ by less than the critical difference, best first.
        noise_floor: Largest difference of the interquartile means of two identical losses; None without such a pair.
        nemenyi: P-value of each pair of methods, in the order of :attr:`losses`.
        thresholds: Thresholds of the performance profiles, in units of the metric: by how much a loss is ahead of the
            baseline.
        notes: Limits of the comparison, one or two sentences each.
        sentence: The result in one sentence.
    """

    across_version: int = ACROSS_VERSION
    metric: str
    minimize: bool = False
    percent: bool = True
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
    def units(self) -> Units:
        """How scores and differences are shown; the ROPE is the narrowest of the counted studies."""
        return Units(self.metric, self.minimize, self.percent, min(cell.rope for cell in self.counted))

    @property
    def counted(self) -> tuple[CellFacts, ...]:
        """The cells that count in the comparison."""
        return tuple(cell for cell in self.cells if cell.is_counted)

    @property
    def methods(self) -> tuple[LossAcross, ...]:
        """The baseline and the candidates, best mean rank first."""
        return tuple(loss for loss in self.losses if loss.mean_rank is not None)
