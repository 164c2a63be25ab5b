"""The rounds of a pooled study: after each, every loss is settled, out of reach, or worth more trainings.

All rules use numbers of the rounds so far, in a fixed order, so that a study that is interrupted, resumed or repeated
takes the same course. A round extends all losses that go on by the same searches and blocks, because differences are
paired by the number of a trial and by the seed of a block.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import scipy
from numpy.typing import NDArray

from losstune import statistics
from losstune.statistics import Order, Pool, PooledDifference, PooledStudy, Variance
from losstune.verdict.comparison import decide
from losstune.verdict.results import Decision

FIRST_BLOCKS = 4
"""Blocks of each loss before the first look, which only sets aside losses that are out of reach."""
LOOK_SHARE = 0.3
"""Share of the level that is left which a look spends, if it is not the last one."""
FEWEST_DRAWS = 14
"""Fewest draws of a pool for a claim: with fewer, a loss with unreliable searches may look reliable by chance."""
FUTILITY = 1.0
"""Standard errors by which a difference is moved towards a decision before a loss counts as out of reach."""
GROWTH = 0.4
"""Least growth of a loss's trainings from one look to the next."""
_FEWEST_FOR_SPREAD = 4

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
    """

    look: int
    level: float
    size: Size
    difference: PooledDifference
    p_holm: float | None = None
    decision: Decision = "undecided"
    reason: Reason | None = None

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return the interval at 1 - level of its look, which holds for all looks together at 1 - alpha."""
        return self.difference.interval(1.0 - (self.level or alpha))


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
        weights: Weight of each trial of each loss.
        means: Expected result of a search of each loss.
    """

    sizes: dict[str, Size]
    allocation: dict[str, list[int]] = field(default_factory=dict)
    judged: dict[str, Judged] = field(default_factory=dict)
    floors: dict[str, Judged] = field(default_factory=dict)
    looks: list[tuple[str, ...]] = field(default_factory=list)
    missing_trials: list[tuple[str, int]] = field(default_factory=list)
    missing_blocks: list[tuple[str, int, int]] = field(default_factory=list)
    weights: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    means: dict[str, float] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing and no further round follows."""
        return not self.missing_trials and not self.missing_blocks

    @property
    def noise_floor(self) -> float | None:
        """The largest difference of two identical losses."""
        return max((abs(judged.difference.mean) for judged in self.floors.values()), default=None)

    def num_trainings(self, rules: RoundRules) -> int:
        """Return the number of trainings so far, with those of the controls."""
        return sum(size.trainings(rules.size) for size in self.sizes.values()) + rules.num_controls


def follow(source: Source, rules: RoundRules) -> Course:
    """Follow a study from its first look as far as its results go.

    Returns:
        The course. What it misses is what to train next.
    """
    course = Course({loss: Size(searches=1, blocks=min(FIRST_BLOCKS, rules.most_blocks)) for loss in rules.losses})
    active, left = list(rules.candidates), rules.alpha
    while True:
        going = [loss for loss in rules.losses if loss in active or loss in rules.yardsticks]
        if not _collect(source, rules, course, going):
            return course
        look, target = len(course.looks), course.sizes[rules.baseline]
        course.looks.append(tuple(going))
        study, index = _study(source, rules, course)
        if target.searches < rules.fewest_searches:
            _first_look(rules, course, study, index, active)
        else:
            is_last = _next_size(rules, course, 1) is None
            level = left if is_last else LOOK_SHARE * left
            left -= level
            _judge(rules, course, study, index, active, look, level)
        active = [loss for loss in active if course.judged[loss].reason is None]
        if not active and target.searches >= rules.fewest_searches:
            return course
        size = _next_size(rules, course, len(active))
        if size is None:
            has_budget = _next_size(rules, course, len(active), ignore_budget=True) is None
            for loss in active:
                course.judged[loss] = _ended(course.judged[loss], "limit" if has_budget else "budget")
            return course
        for loss in (*active, *rules.yardsticks):
            course.sizes[loss] = size


def _collect(source: Source, rules: RoundRules, course: Course, going: Sequence[str]) -> bool:
    """Allocate the blocks of these losses and return whether all results are there; otherwise list what is missing."""
    for loss in going:
        size = course.sizes[loss]
        trials = source.trials(loss, size.searches)
        if trials is None:
            done = next(number for number in range(size.searches) if source.trials(loss, number + 1) is None)
            course.missing_trials += [(loss, search) for search in range(done, size.searches)]
            continue
        weights = statistics.search_weights(trials.order, rules.size)
        course.weights[loss] = weights
        merged = np.bincount(trials.configuration_T, weights, minlength=weights.size)
        merged[trials.failed_T] = 0.0  # nothing to learn from a configuration that has no score
        allocated = course.allocation.setdefault(loss, [])
        counts = np.bincount(np.array(allocated, np.int64), minlength=weights.size)
        allocated += statistics.allocate(merged, counts, size.blocks - len(allocated))
        course.missing_blocks += [
            (loss, trial, block) for block, trial in enumerate(allocated) if source.score(loss, trial, block) is None
        ]
    return course.is_complete


def _study(source: Source, rules: RoundRules, course: Course) -> tuple[PooledStudy, dict[str, int]]:
    pools = []
    for loss in rules.losses:
        trials = source.trials(loss, course.sizes[loss].searches)
        assert trials is not None, "collected"
        allocated = course.allocation[loss]
        pools.append(
            Pool(
                order=trials.order,
                configuration_T=trials.configuration_T,
                validation_T=trials.validation_T,
                failed_T=trials.failed_T,
                trial_K=np.array(allocated, np.int64),
                block_K=np.arange(len(allocated)),
                score_K=np.array([source.score(loss, trial, block) for block, trial in enumerate(allocated)], float),
            )
        )
    study = PooledStudy(pools, rules.size, rules.worst)
    course.means = dict(zip(rules.losses, study.means, strict=True))
    return study, {loss: number for number, loss in enumerate(rules.losses)}


def _first_look(
    rules: RoundRules, course: Course, study: PooledStudy, index: Mapping[str, int], active: Sequence[str]
) -> None:
    """Set losses aside that are out of reach after one search. No loss is called better, worse or equivalent."""
    found = study.without_search_error(index[rules.baseline], [index[loss] for loss in active])
    seed = float(np.median([difference.seed.value for difference in found])) if found else 0.0
    # With one search a loss, the variance of the search shows in how much the losses differ. True differences make it
    # larger, so that fewer losses are set aside.
    means = [difference.mean for difference in found]
    spread = float(scipy.stats.median_abs_deviation(means, scale="normal") ** 2) if found else 0.0
    search = max(0.0, spread - seed)
    for loss, difference in zip(active, found, strict=True):
        known = PooledDifference(difference.mean, Variance(search, math.inf), difference.seed)
        judged = Judged(look=0, level=0.0, size=course.sizes[loss], difference=known)
        course.judged[loss] = judged
        if len(active) >= _FEWEST_FOR_SPREAD and _is_out_of_reach(rules, course, judged):
            course.judged[loss] = _ended(judged, "out of reach")
    for loss, equal in rules.pairs:
        (difference,) = study.without_search_error(index[equal], [index[loss]])
        course.floors[loss] = Judged(look=0, level=0.0, size=course.sizes[loss], difference=difference)


def _judge(
    rules: RoundRules,
    course: Course,
    study: PooledStudy,
    index: Mapping[str, int],
    active: Sequence[str],
    look: int,
    level: float,
) -> None:
    for loss, equal in rules.pairs:
        (difference,) = study.differences(index[equal], [index[loss]])
        course.floors[loss] = Judged(look=look, level=level, size=course.sizes[loss], difference=difference)
    if not active:
        return
    found = dict(zip(active, study.differences(index[rules.baseline], [index[loss] for loss in active]), strict=True))
    # Holm's steps count the candidates that are not yet shown to differ, also those that are out of the race.
    remaining = len(rules.candidates) - sum(judged.decision in ("better", "worse") for judged in course.judged.values())
    adjusted = statistics.holm([found[loss].p_value for loss in active] + [1.0] * (remaining - len(active)))
    for loss, p_holm in zip(active, adjusted, strict=False):
        difference, size = found[loss], course.sizes[loss]
        may_claim = size.blocks >= rules.fewest_blocks
        # Over the looks, so that it can be compared with alpha.
        p_value = min(1.0, p_holm * rules.alpha / level) if may_claim else 1.0
        judged = Judged(look=look, level=level, size=size, difference=difference, p_holm=p_value)
        decision = decide(
            _Numbers(judged),
            alpha=rules.alpha,
            rope=rules.rope,
            noise_floor=course.noise_floor,
            minimize=rules.minimize,
        )
        judged = Judged(
            look=look,
            level=level,
            size=size,
            difference=difference,
            p_holm=p_value,
            decision=decision,
            reason=None if decision == "undecided" else "settled",
        )
        course.judged[loss] = judged
    for loss in active:
        judged = course.judged[loss]
        if judged.reason is None and _is_out_of_reach(rules, course, judged):
            course.judged[loss] = _ended(judged, "out of reach")


class _Numbers:
    """The numbers that a decision is made from."""

    def __init__(self, judged: Judged) -> None:
        self.mean, self.p_holm = judged.difference.mean, judged.p_holm
        self.equivalence_low, self.equivalence_high = judged.difference.interval(1.0 - 2.0 * judged.level)


def _ended(judged: Judged, reason: Reason) -> Judged:
    return Judged(
        look=judged.look,
        level=judged.level,
        size=judged.size,
        difference=judged.difference,
        p_holm=judged.p_holm,
        decision=judged.decision,
        reason=reason,
    )


def _is_out_of_reach(rules: RoundRules, course: Course, judged: Judged) -> bool:
    """Return whether all that is left, spent on this loss alone, would not settle it even if it were lucky.

    The difference is moved by one standard error towards a decision. It is out of reach if even then the largest study
    would have less than an even chance to settle it.
    """
    largest = _largest(rules, course, judged)
    search = judged.difference.search.value * judged.size.searches / largest.searches
    seed = judged.difference.seed.value * judged.size.blocks / largest.blocks
    least_error, error = math.sqrt(search + seed), judged.difference.error
    size = abs(judged.difference.mean)
    remaining = len(rules.candidates) - sum(other.decision in ("better", "worse") for other in course.judged.values())
    may_differ = size + FUTILITY * error >= _z(1.0 - rules.alpha / (2.0 * max(remaining, 1))) * least_error
    may_match = rules.rope - max(0.0, size - FUTILITY * error) > _z(1.0 - rules.alpha) * least_error
    return not (may_differ or may_match)


def _largest(rules: RoundRules, course: Course, judged: Judged) -> Size:
    """Return how far a loss would come if all that is left were spent on it and on the yardsticks."""
    at, spent = judged.size, 0
    left = math.inf if rules.budget is None else rules.budget - course.num_trainings(rules)
    cost = len(rules.yardsticks) + 1
    while True:
        grown = _grown(rules, at, judged.difference.search.value, judged.difference.seed.value, at)
        if grown is None:
            return at
        more = cost * (grown.trainings(rules.size) - at.trainings(rules.size))
        if spent + more > left:
            blocks = int((left - spent) // cost)
            return Size(searches=at.searches, blocks=min(rules.most_blocks, at.blocks + max(blocks, 0)))
        at, spent = grown, spent + more


def _next_size(rules: RoundRules, course: Course, num_active: int, *, ignore_budget: bool = False) -> Size | None:
    """Return how far the next round takes each loss that goes on; None if there is no next round."""
    at = course.sizes[rules.baseline]
    cost = len(rules.yardsticks) + num_active
    left = math.inf if rules.budget is None or ignore_budget else (rules.budget - course.num_trainings(rules)) // cost
    if at.searches < rules.fewest_searches:
        wanted = Size(
            searches=rules.fewest_searches,
            blocks=max(at.blocks, rules.fewest_blocks, min(2 * FIRST_BLOCKS, rules.most_blocks)),
        )
    else:
        differences = [judged.difference for judged in course.judged.values() if judged.look == len(course.looks) - 1]
        search = float(np.median([difference.search.value for difference in differences])) if differences else 0.0
        seed = float(np.median([difference.seed.value for difference in differences])) if differences else 1.0
        grown = _grown(rules, at, search, seed, at)
        if grown is None:
            return None
        wanted = grown
    if wanted.trainings(rules.size) - at.trainings(rules.size) <= left:
        return wanted
    # What is left does not pay for the whole round.
    searches = wanted.searches if (wanted.searches - at.searches) * rules.size <= left else at.searches
    blocks = int(left) - (searches - at.searches) * rules.size
    if searches < rules.fewest_searches:
        return None
    shrunk = Size(searches=searches, blocks=min(rules.most_blocks, at.blocks + blocks))
    return shrunk if shrunk != at and left >= 2 else None


def _grown(rules: RoundRules, at: Size, search: float, seed: float, start: Size) -> Size | None:
    """Return the size after a round: step by step, whatever lowers the variance of a difference most for its price."""
    found = at
    while found.trainings(rules.size) - at.trainings(rules.size) < GROWTH * at.trainings(rules.size):
        options: list[tuple[float, Size]] = []
        if found.searches < rules.most_searches:
            gain = search * start.searches * (1.0 / found.searches - 1.0 / (found.searches + 1)) / rules.size
            options.append((gain, Size(searches=found.searches + 1, blocks=found.blocks)))
        if found.blocks < rules.most_blocks:
            more = min(rules.most_blocks, found.blocks + max(2, found.blocks // 4))
            gain = seed * start.blocks * (1.0 / found.blocks - 1.0 / more) / (more - found.blocks)
            options.append((gain, Size(searches=found.searches, blocks=more)))
        if not options:
            break
        found = max(options, key=lambda option: option[0])[1]
    return found if found != at else None


def _z(probability: float) -> float:
    return float(scipy.stats.norm.ppf(probability))
