"""The schema of ``results.json``: all numbers of a verdict. Equal runs give equal files."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import AliasChoices, Field

from losstune.core.metric import METRICS
from losstune.core.records import Configuration, Row, Status
from losstune.study.registration import Earlier
from losstune.verdict import wording
from losstune.verdict.control_results import Control
from losstune.verdict.diagnostic_results import CalibrationResult, Variances
from losstune.verdict.facts import CodeFacts, DataFacts, Rounds
from losstune.verdict.numbers import Difference, Real, Score
from losstune.verdict.sparse import SparseRow
from losstune.verdict.wording import Units

RESULTS_VERSION = 3
"""Version of the layout. A field lists its former name as an alias, so that old files can be read."""


Decision = Literal["better", "equivalent", "worse", "undecided"]
Part = Literal["baseline", "candidate", "control", "alias"]
"""Role of a loss in the comparison. ``control``: identical to the baseline. ``alias``: identical to another
candidate. Neither is a candidate, because one loss under two names must not be tested twice."""


class SearchResult(SparseRow):
    """Result of one of a loss's independent searches, or of one retrained configuration of its pool.

    Attributes:
        winner: The winning configuration.
        index: Its trial number; 0 is the published defaults.
        validation: Its final validation score in the search.
        fresh: Its mean validation score on the fresh seeds of its blocks.
        test: Its mean test score on them.
        search: Of a pool, as the following fields: the search that the configuration belongs to.
        weight: Probability that a search ends at it.
        num_blocks: Number of its blocks.
    """

    not_written_if_empty: ClassVar = ("search", "weight", "num_blocks")

    winner: Configuration
    index: int
    validation: float
    fresh: float
    test: float
    search: int | None = None
    weight: float | None = None
    num_blocks: int | None = None


class LossResult(SparseRow):
    """All results of one loss.

    Attributes:
        loss: Its name.
        part: Its role, see :data:`Part`.
        equals: The loss of this study that it is identical to, or None.
        num_trials: Number of trials by status.
        searches: Result of each search, in order; of a pooled study, the retrained configurations by weight. If a
            search has no winner, or all trials of a pool's first search failed, this and most of the next fields are
            empty.
        winner: The configuration to use: the winner with the best validation score over all searches; of a pool, the
            retrained configuration that wins more searches within it than any other.
        winner_search: The search that found it.
        winner_index: Its trial number; 0 is the published defaults.
        winner_validation: Its final validation score.
        default_validation: The final validation score at the published defaults, averaged over the searches. A diverged
            trial counts with the worst score.
        num_parameters: Trainable parameters of its model.
        num_failed_blocks: Number of blocks that diverged or failed. They count with the worst scores.
        blocks: Test scores of every block, in order: the first of every search, then the second of every search. Of a
            pool: by the number of the seed that all losses share; a block retrains one of `searches`.
        scores: Mean test score by metric. Of a pool: the expected result of a search in the study's metric, and the
            mean of the others over the blocks, weighted as the configurations are.
        group_recalls: Mean test recall by group of classes, see :attr:`DataFacts.class_groups`.
        difference: Difference from the baseline in the study's metric; None for the baseline.
        decision: Decision on the loss; None unless it is a candidate and the controls passed.
        blocks_needed: For an undecided loss, the approximate number of further blocks for a decision; None if no number
            suffices.
        optimism: Optimiser's curse (selection bias): the winners' validation scores in their searches minus those on
            the blocks' fresh seeds.
        best_of: Expected best validation score of k trials, k = 1.., see :func:`losstune.statistics.expected_best`.
        overtakes: Budgets at which that curve crosses the baseline's, and whether upwards.
        calibration: Calibration by type of probabilities: ``softmax``, ``link`` and ``scaled``; empty if no block
            finished.
        temperature: Mean over the blocks of the temperature fitted on the validation split; None if no block finished.
        output_norms: Of a loss that depends only on the direction of the outputs: their median norm on the validation
            split, for each block whose weights were kept, by its number (``0.3``). Not written if there is none.
        reason: Of a pooled study: why the loss got no more trainings.
        trainings_needed: Of a pooled study: for an undecided loss, about how many further trainings would settle it,
            with those of the baseline; None if no number suffices.
    """

    not_written_if_empty: ClassVar = ("output_norms", "reason", "trainings_needed")

    loss: str
    part: Part
    equals: str | None
    num_trials: dict[Status, int]
    searches: tuple[SearchResult, ...] = ()
    winner: Configuration | None = None
    winner_search: int | None = None
    winner_index: int | None = None
    winner_validation: float | None = None
    default_validation: float | None = None
    num_parameters: int | None = None
    num_failed_blocks: int = Field(0, validation_alias=AliasChoices("num_failed_blocks", "num_lost_blocks"))
    blocks: tuple[dict[str, Real], ...] = ()
    scores: dict[str, Score] = Field(default_factory=dict)
    group_recalls: dict[str, Score] = Field(default_factory=dict)
    difference: Difference | None = None
    decision: Decision | None = Field(None, validation_alias=AliasChoices("decision", "outcome"))
    blocks_needed: int | None = None
    optimism: Score | None = None
    best_of: tuple[float, ...] = ()
    overtakes: tuple[tuple[int, bool], ...] = ()
    calibration: dict[str, CalibrationResult] = Field(default_factory=dict)
    temperature: float | None = None
    output_norms: dict[str, float] = Field(default_factory=dict)
    reason: Literal["settled", "out of reach", "budget", "limit"] | None = None
    trainings_needed: int | None = None

    @property
    def further(self) -> str | None:
        """What would settle an undecided loss, ``about 120 more trainings``; None if nothing would."""
        if self.trainings_needed is not None:
            return wording.further_trainings(self.trainings_needed)
        return None if self.blocks_needed is None else wording.further_blocks(self.blocks_needed)

    @property
    def further_short(self) -> str | None:
        """The number alone, ``+120``: of trainings in a pooled study, else of blocks."""
        if self.trainings_needed is not None:
            return wording.further_short(self.trainings_needed, wording.MOST_TRAININGS)
        return None if self.blocks_needed is None else wording.further_short(self.blocks_needed, wording.MOST_BLOCKS)

    @property
    def retrained(self) -> list[tuple[int, Configuration]]:
        """The configurations that were retrained, each with its search."""
        return [
            (place if result.search is None else result.search, result.winner)
            for place, result in enumerate(self.searches)
        ]

    @property
    def has_predictions(self) -> bool:
        """Whether class predictions are known. ECE needs them, and it is no metric that a training loop may return."""
        return "ece" in self.scores

    @property
    def standing(self) -> str:
        """Return the decision in one or two words, or why there is none."""
        if self.winner is None:
            return "no winner"
        if self.part in ("control", "alias"):
            return "identical loss"
        return self.decision or ("no verdict" if self.part == "candidate" else self.part)


class Verdict(Row):
    """The verdict.

    Attributes:
        action: ``use`` another loss, ``keep`` the baseline, or ``none``.
        loss: The loss to train with; None if there is no verdict.
        sentence: The verdict in words.
    """

    action: Literal["use", "keep", "none"]
    loss: str | None
    sentence: str


class SecondaryMetric(Row):
    """A metric that is reported and that the verdict does not depend on.

    Attributes:
        name: Its name.
        minimize: Whether lower is better.
        percent: Whether it is a fraction, which is shown in per cent.
    """

    name: str
    minimize: bool
    percent: bool


class Results(SparseRow):
    """A study's numbers and its verdict.

    Attributes:
        results_version: Version of this file's layout.
        study: Name of the study.
        protocol: Hash of the registration, which covers everything that the verdict depends on, without the code.
        earlier: Earlier registrations of this study, under which its test split was read.
        data: Facts about the data.
        model: Name of the model.
        metric: Metric of the selection on validation and of the verdict.
        minimize: Whether lower is better.
        percent: Whether it is a fraction, which is shown in per cent.
        secondary_metrics: The metrics that the study names besides; not written if there are none.
        worst: Score with which diverged and failed trainings count; None if no trial has a score.
        alpha: Level of the tests.
        rope: Smallest difference that matters in practice.
        power: Power for which the numbers of further blocks are planned.
        num_searches: Independent searches per loss; of a pooled study, searches in the pool of the baseline, the
            largest.
        num_trials: Trials per search.
        num_blocks: Blocks per loss; with ``anytime`` stopping the maximum, in a pooled study those of the baseline.
        stopping: ``fixed``, or ``anytime`` if each loss stopped when its e-process decided.
        num_saved: Trainings that anytime stopping saved, compared with `num_blocks` for every loss; None if fixed.
        baseline: Name of the loss that all are compared with.
        selection: The rule that selected the winners, in words.
        losses: One entry per loss, in the order of ``params.yaml``.
        variances: Variance of validation scores by source; None if a winner or a block is missing.
        control: Results of the controls.
        verdict: The verdict.
        warnings: What to know before using the verdict: classes that the metric ignores or a model never predicts.
        notes: Limits of the study and problems in it, one sentence each.
        code: Digests of the code that trained; None in files of before they were recorded.
        rounds: What a pooled study spent; None, and not written, if the searches are replicated.
    """

    not_written_if_empty: ClassVar = ("secondary_metrics", "rounds")

    results_version: int = RESULTS_VERSION
    study: str
    protocol: str
    earlier: tuple[Earlier, ...]
    data: DataFacts
    model: str
    metric: str
    minimize: bool = False
    percent: bool = True
    secondary_metrics: tuple[SecondaryMetric, ...] = ()
    worst: float | None = 0.0
    alpha: float
    rope: float
    power: float
    num_searches: int
    num_trials: int
    num_blocks: int
    stopping: str
    num_saved: int | None
    baseline: str
    selection: str
    losses: tuple[LossResult, ...]
    variances: Variances | None
    control: Control
    verdict: Verdict
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...]
    code: CodeFacts | None = None
    rounds: Rounds | None = None

    @property
    def is_pooled(self) -> bool:
        """Whether all trials of a loss are one pool, and not the trials of searches that are replicated."""
        return self.rounds is not None

    @property
    def undecided(self) -> list[LossResult]:
        """The losses that the study did not settle, those that need the fewest trainings or blocks first."""
        losses = [loss for loss in self.losses if loss.decision == "undecided"]
        return sorted(losses, key=lambda loss: loss.trainings_needed or loss.blocks_needed or math.inf)

    @property
    def units(self) -> Units:
        """How scores and differences are shown."""
        return Units(self.metric, self.minimize, self.percent, self.rope)

    @property
    def has_predictions(self) -> bool:
        """Whether class predictions are known, and not only scores."""
        return all(loss.has_predictions for loss in self.losses if loss.scores)

    @property
    def recall_groups(self) -> tuple[str, ...]:
        """The groups of classes whose recall is known; none if no loss has class predictions."""
        return tuple(self.data.class_groups) if any(loss.group_recalls for loss in self.losses) else ()

    @property
    def other_metrics(self) -> tuple[str, ...]:
        """The metrics that a loss has besides the study's: those that the study names, then the others."""
        names = dict.fromkeys((*(metric.name for metric in self.secondary_metrics), *METRICS))
        return tuple(name for name in names if name != self.metric and any(name in loss.scores for loss in self.losses))

    def score(self, metric: str, value: float) -> str:
        """Return a score of any metric with its unit."""
        percent = {secondary.name: secondary.percent for secondary in self.secondary_metrics}
        return self.units.score(value) if metric == self.metric else wording.score(metric, value, percent.get(metric))

    def is_minimised(self, metric: str) -> bool:
        """Return whether lower is better, of a metric that is not the study's."""
        own = {secondary.name: secondary.minimize for secondary in self.secondary_metrics}
        return own[metric] if metric in own else METRICS[metric].minimize

    def of(self, loss: str) -> LossResult:
        """Return the entry of that loss.

        Raises:
            KeyError: If the study has no such loss.
        """
        return {result.loss: result for result in self.losses}[loss]

    def ranked(self) -> list[LossResult]:
        """Return the losses from best to worst mean test score; those without a winner come last."""

        def key(result: LossResult) -> float:
            return -self.units.sign * result.scores[self.metric].mean if result.scores else math.inf

        return sorted(self.losses, key=key)

    def losses_in_focus(self) -> list[str]:
        """Return the baseline and the loss of the verdict, as far as they were confirmed."""
        return [loss for loss in dict.fromkeys((self.baseline, self.subject())) if self.of(loss).blocks]

    def subject(self) -> str:
        """Return the loss to compare with the baseline: that of the verdict, or else the best candidate."""
        if self.verdict.action == "use" and self.verdict.loss is not None:
            return self.verdict.loss
        candidates = [result.loss for result in self.ranked() if result.part == "candidate" and result.scores]
        return candidates[0] if candidates else self.baseline
