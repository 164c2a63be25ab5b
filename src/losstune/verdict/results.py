"""The schema of ``results.json``: all numbers of a verdict. Equal runs give equal files."""

from __future__ import annotations

from typing import Literal

from pydantic import AliasChoices, Field

from losstune.core.records import Configuration, Row, Status
from losstune.study.registration import Earlier
from losstune.training import metrics
from losstune.verdict.control_results import Control
from losstune.verdict.numbers import Difference, Real, Score

RESULTS_VERSION = 3
"""Of the layout. A name that was replaced is still read, where a field lists it as an alias."""


Decision = Literal["better", "equivalent", "worse", "undecided"]
Part = Literal["baseline", "candidate", "control", "alias"]
"""What a loss is in the comparison. ``control``: identical to the baseline. ``alias``: identical to another
candidate. Neither of these two is counted as a candidate: one loss under two names must not get two
chances."""

METRICS = tuple(metrics.METRICS)
"""The test metrics of every block, in the order in which they are shown."""


class DataFacts(Row):
    """What the report says about the data.

    Attributes:
        name: As in ``data.name``.
        digest: Of the prepared arrays.
        num_train: Samples to train on.
        num_validation: Samples to select on.
        num_test: Samples to confirm on.
        class_names: In the order of the labels.
    """

    name: str
    digest: str
    num_train: int
    num_validation: int
    num_test: int
    class_names: tuple[str, ...]


class CalibrationResult(Row):
    """How well a loss's probabilities fit, for one way of making them; means over the blocks that trained to the end.

    Attributes:
        nll: In nats.
        brier: 0 to 2.
        ece: Expected calibration error, 0 to 1.
        debiased_ece: The same without what chance adds, see :func:`losstune.statistics.debiased_ece`; not below 0.
        bins: The reliability diagram over all blocks: count, hits and sum of confidences by bin.
    """

    nll: float
    brier: float
    ece: float
    debiased_ece: float
    bins: tuple[tuple[int, int, float], ...]


class SearchResult(Row):
    """What one of a loss's independent searches ended at.

    Attributes:
        winner: The winning configuration.
        index: Its trial number; 0 is the published defaults.
        validation: Its final validation score in the search.
        fresh: Its mean validation score on the fresh seeds of its blocks.
        test: Its mean test score there.
    """

    winner: Configuration
    index: int
    validation: float
    fresh: float
    test: float


class LossResult(Row):
    """All about one loss.

    Attributes:
        loss: Its name.
        part: See :data:`Part`.
        equals: The loss of this study that it is identical to, or None.
        num_trials: Trials of the searches by how they ended.
        searches: What each search ended at, in order; empty if one had no winner, and then most of what follows is.
        winner: The configuration to use: that of the searches' winners which validation prefers.
        winner_search: The search that found it.
        winner_index: Its trial number; 0 is the published defaults.
        winner_validation: Its final validation score.
        default_validation: The final validation score at the published defaults, mean over the searches; the worst
            score where it diverged.
        num_parameters: Trainable parameters of its model.
        num_failed_blocks: Blocks that diverged or failed; they count with the worst scores.
        blocks: Test scores of every block, in order: the first of every search, then the second of every search.
        scores: Mean test score by metric.
        difference: Against the baseline, in the study's metric; None for the baseline itself.
        decision: What follows from the difference; None unless the loss is a candidate and the control held.
        blocks_needed: For an undecided loss, about how many further blocks would settle it; None if none
            would.
        optimism: The optimiser's curse: the winners' validation scores in their searches minus those on the blocks'
            fresh seeds. The best of many trials was lucky, too; this is by how much.
        best_of: Expected best validation score of k trials, k = 1.., see :func:`losstune.statistics.expected_best`.
        overtakes: Budgets at which that curve passes the baseline's, and whether upward.
        calibration: By way of making probabilities: ``softmax``, ``link`` and ``scaled``; empty where no block trained
            to the end.
        temperature: Mean over the blocks of what was fitted on validation; None as above.
    """

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
    difference: Difference | None = None
    decision: Decision | None = Field(None, validation_alias=AliasChoices("decision", "outcome"))
    blocks_needed: int | None = None
    optimism: Score | None = None
    best_of: tuple[float, ...] = ()
    overtakes: tuple[tuple[int, bool], ...] = ()
    calibration: dict[str, CalibrationResult] = Field(default_factory=dict)
    temperature: float | None = None

    @property
    def standing(self) -> str:
        """Return the decision in a word or two, or why there is none."""
        if self.winner is None:
            return "no winner"
        if self.part in ("control", "alias"):
            return "identical objective"
        return self.decision or ("no verdict" if self.part == "candidate" else self.part)


class Variances(Row):
    """Where the spread of validation scores comes from, see :class:`losstune.statistics.Components`."""

    loss: float
    search: float
    hyperparameters: float
    seed_shared: float
    seed_own: float


class Verdict(Row):
    """The answer.

    Attributes:
        action: ``use`` another loss, ``keep`` the baseline, or ``none``.
        loss: The loss to train with; None where there is no verdict.
        sentence: The same for a person.
    """

    action: Literal["use", "keep", "none"]
    loss: str | None
    sentence: str


class Results(Row):
    """A study's numbers and its verdict.

    Attributes:
        results_version: Of this file's layout.
        study: Name of the study.
        protocol: Hash of the registration: of all that the verdict depends on besides the code.
        earlier: Registrations of this study under which its test split had been read before.
        data: On which data.
        model: Name of the model.
        metric: What validation selected on and the verdict is about; higher is better.
        alpha: Level of the tests.
        rope: Smallest difference that matters in practice.
        power: That the numbers of blocks still needed are for.
        num_searches: Independent searches per loss.
        num_trials: Trials per search.
        num_blocks: Blocks per loss; with ``anytime`` stopping the most.
        stopping: ``fixed``, or ``anytime`` where a loss stopped when its e-process decided.
        num_saved: Trainings that anytime stopping saved against `num_blocks` for every loss; None if fixed.
        baseline: Name of the loss that all are held against.
        selection: The rule that picked the winners, in words.
        losses: One entry per loss, in the order of ``params.yaml``.
        variances: Of validation scores by source; None where a winner or a block is missing.
        control: Whether the study can be trusted.
        verdict: The answer.
        warnings: What to know before the verdict is followed: classes that the metric, or a model, doesn't see.
        notes: What a careful reader should know besides, one sentence each.
    """

    results_version: int = RESULTS_VERSION
    study: str
    protocol: str
    earlier: tuple[Earlier, ...]
    data: DataFacts
    model: str
    metric: str
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

    def of(self, loss: str) -> LossResult:
        """Return the entry of that loss.

        Raises:
            KeyError: If the study has no such loss.
        """
        return {result.loss: result for result in self.losses}[loss]

    def ranked(self) -> list[LossResult]:
        """Return the losses from best to worst mean test score; those without a winner come last."""

        def key(result: LossResult) -> float:
            return -result.scores[self.metric].mean if result.scores else 1.0

        return sorted(self.losses, key=key)

    def losses_in_focus(self) -> list[str]:
        """Return the baseline and the loss that the verdict is about, as far as they were confirmed."""
        return [loss for loss in dict.fromkeys((self.baseline, self.subject())) if self.of(loss).blocks]

    def subject(self) -> str:
        """Return the loss to look at beside the baseline: the verdict's, or else the best candidate."""
        if self.verdict.action == "use" and self.verdict.loss is not None:
            return self.verdict.loss
        candidates = [result.loss for result in self.ranked() if result.part == "candidate" and result.scores]
        return candidates[0] if candidates else self.baseline
