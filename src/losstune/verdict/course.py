"""The state of a pooled study: its rules, how far each loss has come, and what was decided on it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from losstune.config.protocol import FEWEST_DRAWS
from losstune.statistics import Expected, Order, PooledDifference
from losstune.verdict.results import Decision

UNLIMITED = 1_000_000
"""Searches and blocks of a loss without a limit of its own."""

Reason = Literal["settled", "out of reach", "budget", "limit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """The trials of one loss, as :class:`losstune.statistics.Pool` has them."""

    order: Order
    configuration_T: NDArray[np.int64]
    validation_T: NDArray[np.float64]
    failed_T: NDArray[np.bool_]


class Source(Protocol):
    """What the rounds read: the results so far."""

    def trials(self, loss: str, num_searches: int) -> Trials | None:
        """Return the trials of a loss's first searches; None if one is missing."""

    def score(self, loss: str, trial: int, block: int) -> float | None:
        """Return the test score of the configuration of a trial in a block; None if it is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRules:
    """The registered rules of the rounds.

    Attributes:
        alpha: Level over all candidates and looks.
        rope: Half-width of the region of practical equivalence.
        minimize: Whether a lower score is better.
        size: Trials of a search.
        most_searches: Most searches of a loss.
        most_blocks: Most blocks of a loss.
        budget: Most trainings of the study; None for no limit but the two above.
        baseline: The loss that all are compared with.
        candidates: The losses to test.
        pairs: Losses that are identical to another one, with that one. Their difference is the noise floor.
        num_controls: Trainings of the controls, which the budget pays for.
        worst: Score of a configuration that diverged or failed.
    """

    alpha: float
    rope: float
    minimize: bool
    size: int
    most_searches: int
    most_blocks: int
    budget: int | None
    baseline: str
    candidates: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...] = ()
    num_controls: int = 0
    worst: float | None = 0.0

    @property
    def yardsticks(self) -> tuple[str, ...]:
        """The losses that every round extends: the baseline, and those whose difference is the noise floor."""
        return tuple(dict.fromkeys((self.baseline, *(loss for pair in self.pairs for loss in pair))))

    @property
    def losses(self) -> tuple[str, ...]:
        """All losses."""
        return tuple(dict.fromkeys((*self.yardsticks, *self.candidates)))

    def without_limits(self) -> RoundRules:
        """Return the same rules for a study of any size."""
        return replace(self, most_searches=UNLIMITED, most_blocks=UNLIMITED, budget=None)

    @property
    def fewest_searches(self) -> int:
        """Fewest searches of a loss for any claim."""
        return min(self.most_searches, max(2, math.ceil(FEWEST_DRAWS / max(self.size - 1, 1))))

    @property
    def fewest_blocks(self) -> int:
        """Fewest blocks for a claim that a loss is better or worse: with fewer, no sign test could show it."""
        return min(self.most_blocks, math.ceil(math.log2(2.0 * max(len(self.candidates), 1) / self.alpha)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How far a loss has come."""

    searches: int
    blocks: int

    def trainings(self, size: int) -> int:
        """Return the number of its trainings, for searches of `size` trials."""
        return self.searches * size + self.blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The latest numbers of a candidate or of a control.

    Attributes:
        look: Number of the look that they come from, from 0.
        level: Level that this look spent; 0 if it made no claim.
        size: How far the loss had come.
        difference: Its difference from the baseline, or of a control from the loss that it equals.
        p_holm: P-value after the correction over candidates and looks.
        decision: The decision.
        reason: Why it went no further; None while it is in the race.
        spare: Level that this look and later ones could spend.
    """

    look: int
    level: float
    size: Size
    difference: PooledDifference
    p_holm: float | None = None
    decision: Decision = "undecided"
    reason: Reason | None = None
    spare: float = 0.0

    @property
    def mean(self) -> float:
        """The estimated difference."""
        return self.difference.mean

    @property
    def equivalence_low(self) -> float:
        """Lower bound of the interval at 1 - 2 level, which tests equivalence."""
        return self.difference.interval(1.0 - 2.0 * self.level)[0]

    @property
    def equivalence_high(self) -> float:
        """Upper bound of this interval."""
        return self.difference.interval(1.0 - 2.0 * self.level)[1]

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return the interval of the difference, which holds for all looks together at about 1 - alpha.

        It is at 1 - level of its look. A loss that went no further without a decision, and a control, need no level any
        more, so that their interval has all of what was left.
        """
        is_over = self.decision == "undecided" and (self.reason is not None or self.p_holm is None)
        return self.difference.interval(1.0 - (self.spare if is_over and self.spare else self.level or alpha))


@dataclass(slots=True)
class Course:
    """The course of a study.

    Attributes:
        sizes: How far each loss has come, or is to come if its results are missing.
        allocation: For each loss, the trial whose configuration each block retrains.
        judged: The latest numbers of each candidate.
        floors: The same for each identical loss.
        looks: The losses that each look judged.
        missing_trials: Loss and search of trials that the next look needs.
        missing_blocks: Loss, trial and block of trainings that the next look needs.
        weights: Weight of each trial's configuration of each loss. The first training of the defaults has their weight.
        expected: Expected result of a search of each loss, with its errors.
    """

    sizes: dict[str, Size]
    allocation: dict[str, list[int]] = field(default_factory=dict)
    judged: dict[str, Judged] = field(default_factory=dict)
    floors: dict[str, Judged] = field(default_factory=dict)
    looks: list[tuple[str, ...]] = field(default_factory=list)
    missing_trials: list[tuple[str, int]] = field(default_factory=list)
    missing_blocks: list[tuple[str, int, int]] = field(default_factory=list)
    weights: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    expected: dict[str, Expected] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing and no further round follows."""
        return not self.missing_trials and not self.missing_blocks

    @property
    def noise_floor(self) -> float | None:
        """The largest difference of two identical losses."""
        return max((abs(judged.difference.mean) for judged in self.floors.values()), default=None)

    def num_open(self, rules: RoundRules) -> int:
        """Return the number of candidates that are not shown to differ, in the race or out of it, for Holm's steps."""
        return len(rules.candidates) - sum(judged.decision in ("better", "worse") for judged in self.judged.values())

    def winner(self, loss: str) -> int:
        """Return the trial of the configuration to use: of the retrained ones, that which wins the most searches."""
        weights = self.weights[loss]
        return min(set(self.allocation[loss]), key=lambda trial: (-weights[trial], trial))

    def keeps_weights(self, loss: str, trial: int, block: int) -> bool:
        """Return whether the weights of a block are kept, so that those of the winner are there at the end.

        It is the first block of the defaults, or of the draw with the largest weight so far. Among the draws only a new
        one can overtake it, and then gets a block at once. The defaults can be overtaken by a draw and overtake it.
        """
        weights = self.weights[loss]
        may_win = trial == 0 or bool(weights[trial] >= weights[1:].max())
        return may_win and trial not in self.allocation[loss][:block]

    def num_trainings(self, rules: RoundRules) -> int:
        """Return the number of trainings so far, with those of the controls."""
        return sum(size.trainings(rules.size) for size in self.sizes.values()) + rules.num_controls
