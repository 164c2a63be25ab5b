"""Compare the test scores of every loss at two revisions: differences, intervals, decisions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from losstune import statistics
from losstune.core.records import Row
from losstune.core.seeds import derive_seed
from losstune.report.compare.revisions import Revision
from losstune.statistics.revisions import MeanError, block_error, revision_errors, sum_of_errors, t_interval, t_p_value
from losstune.verdict import wording
from losstune.verdict.comparison import decide
from losstune.verdict.numbers import Real, Score
from losstune.verdict.results import Decision, LossResult
from losstune.verdict.wording import Units

Design = Literal["paired", "unpaired"]


class SideDifference(Row):
    """Score at B minus score at A.

    Attributes:
        mean: Mean over the blocks.
        low: Lower bound of the interval at 1 - alpha that covers both the interval over blocks and that over searches.
        high: Upper bound of it.
        equivalence_low: Lower bound of the corresponding (1 - 2 alpha) interval.
        equivalence_high: Upper bound of this interval.
        p_value: The larger of `p_blocks` and `p_search`.
        p_blocks: P-value of the test over blocks, whether the winners differ.
        p_search: P-value of the test over searches, whether the difference exceeds the variation between searches. With
            pooled studies alone, there is one test for both.
        p_holm: `p_value` after Holm's correction over all tested losses; None for other losses.
        num_blocks: Number of blocks used at A and at B.
    """

    mean: float
    low: Real
    high: Real
    equivalence_low: Real
    equivalence_high: Real
    p_value: float
    p_blocks: float
    p_search: float
    p_holm: float | None = None
    num_blocks: tuple[int, int]


class LossComparison(Row):
    """A loss at both revisions.

    Attributes:
        loss: Its name.
        a: Its score at A; None if it has no winner there or is no loss of A.
        b: Its score at B, likewise.
        is_identical: Whether every block has the same scores at both, to the bit.
        same_winners: Whether every search has the same winning configuration at both.
        is_control: Whether it is identical to another loss, so that it gets no decision.
        difference: The difference; None if the loss is missing at a revision, the blocks are too few, or they are
            identical.
        decision: The decision; None if there is no difference or the loss is not tested.
    """

    loss: str
    a: Score | None
    b: Score | None
    is_identical: bool = False
    same_winners: bool = False
    is_control: bool = False
    difference: SideDifference | None = None
    decision: Decision | None = None


class ScoreComparison(Row):
    """All losses at both revisions.

    Attributes:
        metric: Metric of B.
        minimize: Whether lower is better.
        percent: Whether it is a fraction.
        alpha: Level of the tests at B.
        rope: Smallest difference that matters in practice at B.
        noise_floor: The larger noise floor of the two revisions; None without any. A smaller difference gives no
            decision for a difference, unless the design is paired and the searches of both revisions ended at the same
            configurations.
        design: ``paired`` if block b of a loss has the same seed and test split at both revisions.
        why: Reason for the design, in words.
        losses: The losses, ordered by the score at B, best first.
    """

    metric: str
    minimize: bool = False
    percent: bool = True
    alpha: float
    rope: float
    noise_floor: float | None
    design: Design
    why: str
    losses: tuple[LossComparison, ...]

    @property
    def units(self) -> Units:
        """How scores and differences are shown."""
        return Units(self.metric, self.minimize, self.percent, self.rope)

    def with_decision(self, decision: Decision) -> list[LossComparison]:
        """Return the losses of that decision."""
        return [loss for loss in self.losses if loss.decision == decision]


def compare_scores(a: Revision, b: Revision) -> ScoreComparison:
    """Compare every loss with itself at the other revision, using B's metric, level and ROPE.

    As between losses, there are two tests, and the larger p-value and the wider interval count. Over the blocks: sign
    flips of paired differences, or else Welch's t test. Over the searches:
    :func:`losstune.statistics.revisions.revision_errors` of the paired differences, or else of each revision's scores.
    The score of a pooled study is the expected result of a search, with its own error over configurations and seeds.
    Holm's method corrects for the number of tested losses. A loss that is identical to another one, or whose blocks are
    the same to the bit, is not tested.
    """
    metric, alpha, rope = b.results.metric, b.results.alpha, b.results.rope
    design, why = design_of(a, b)
    results_a, results_b = _by_loss(a), _by_loss(b)
    names = [loss.loss for loss in b.results.ranked()]
    names += [loss.loss for loss in a.results.ranked() if loss.loss not in results_b]
    rows = {name: _row(name, results_a.get(name), results_b.get(name), metric) for name in names}
    searches = a.results.num_searches, b.results.num_searches
    scores = {
        name: (_scores(results_a[name], metric), _scores(results_b[name], metric))
        for name in names
        if name in results_a and name in results_b
    }
    pooled = a.results.is_pooled, b.results.is_pooled
    scores = {
        name: pair
        for name, pair in scores.items()
        # A loss whose scores are the same to the bit needs no test, and would lower the pooled variance of the others.
        if not rows[name].is_identical
        and all(
            score is not None and score.error is not None if is_pooled else len(blocks) >= max(2, count)
            for blocks, count, is_pooled, score in zip(pair, searches, pooled, _both(rows[name]), strict=True)
        )
    }
    if design == "paired":
        differences = _paired_differences(scores, searches[0], alpha)
    else:
        sides = [
            _sides({name: pair[side] for name, pair in scores.items()}, searches[side], _expected(rows, side, pooled))
            for side in (0, 1)
        ]
        differences = {name: _unpaired(sides[0][name], sides[1][name], alpha) for name in scores}
    tested = [name for name in differences if not rows[name].is_control]
    adjusted = statistics.holm([differences[name].p_value for name in tested])
    floors = [revision.results.control.noise_floor for revision in (a, b)]
    noise_floor = max((floor for floor in floors if floor is not None), default=None)
    for name, p_holm in zip(tested, adjusted, strict=True):
        differences[name] = differences[name].model_copy(update={"p_holm": p_holm})
    for name, difference in differences.items():
        # The floor is the difference of separate searches, and here they may have ended at the same configurations.
        floor = None if design == "paired" and rows[name].same_winners else noise_floor
        decision = None
        if name in tested:
            decision = decide(difference, alpha=alpha, rope=rope, noise_floor=floor, minimize=b.results.minimize)
        rows[name] = rows[name].model_copy(update={"difference": difference, "decision": decision})
    return ScoreComparison(
        metric=metric,
        minimize=b.results.minimize,
        percent=b.results.percent,
        alpha=alpha,
        rope=rope,
        noise_floor=noise_floor,
        design=design,
        why=why,
        losses=tuple(rows.values()),
    )


def design_of(a: Revision, b: Revision) -> tuple[Design, str]:
    """Return whether blocks are paired by their index, and why.

    A block's seed depends on the study's seed, the search and the number of the block. So with the same root seed and
    number of searches, blocks with the same index have the same seed at both revisions and are scored on the same test
    split. The training data may differ, as may everything else that is compared. What the two blocks share cancels.
    Pools hold other configurations at each revision, so their blocks are no pairs.
    """
    if pooled := [revision.tree.name for revision in (a, b) if revision.results.is_pooled]:
        return "unpaired", f"{wording.enumeration(pooled)} estimated the expected result of a search from pooled trials"
    same_test = (
        a.test_digest == b.test_digest
        if a.test_digest and b.test_digest
        else a.results.data.digest == b.results.data.digest
    )
    if not same_test:
        return "unpaired", "the test splits differ"
    for name, found in (
        ("study.seed", (a.seed, b.seed)),
        ("tune.num_searches", (a.results.num_searches, b.results.num_searches)),
    ):
        if found[0] != found[1]:
            return "unpaired", f"{name} differs, so blocks do not share seeds"
        if found[0] is None:
            return "unpaired", f"{name} is not known"
    data = "data" if a.results.data.digest == b.results.data.digest else "test split, not the same training data"
    return "paired", f"a block has the same seed at both revisions, and the same {data}"


@dataclass(frozen=True, slots=True)
class _Side:
    """A loss's score at one revision, with its errors over blocks and over searches."""

    mean: float
    by_block: MeanError
    by_search: MeanError
    num_blocks: int


def _both(row: LossComparison) -> tuple[Score | None, Score | None]:
    return row.a, row.b


def _expected(rows: Mapping[str, LossComparison], side: int, pooled: tuple[bool, bool]) -> dict[str, Score]:
    """Return the expected results of a pooled revision; nothing of a replicated one."""
    if not pooled[side]:
        return {}
    return {name: score for name, row in rows.items() if (score := _both(row)[side]) is not None}


def _sides(scores: Mapping[str, Sequence[float]], num_searches: int, expected: Mapping[str, Score]) -> dict[str, _Side]:
    found = {}
    replicated = [name for name in scores if name not in expected]
    by_search = revision_errors([scores[name] for name in replicated], num_searches) if replicated else []
    for name, error in zip(replicated, by_search, strict=True):
        blocks_B = np.array(scores[name])
        found[name] = _Side(float(blocks_B.mean()), block_error(blocks_B), error, blocks_B.size)
    for name, score in expected.items():
        if name in scores and score.error is not None:
            error = MeanError(score.error, math.inf if score.freedom is None else score.freedom)
            found[name] = _Side(score.mean, error, error, len(scores[name]))
    return found


def _paired_differences(
    scores: Mapping[str, tuple[Sequence[float], Sequence[float]]], num_searches: int, alpha: float
) -> dict[str, SideDifference]:
    if not scores:
        return {}
    # Blocks are paired from the first on. Further blocks of one revision are left out.
    scores = {name: (ours[: len(theirs)], theirs[: len(ours)]) for name, (ours, theirs) in scores.items()}
    by_search = revision_errors([np.subtract(b, a) for a, b in scores.values()], num_searches)
    return {
        name: _paired(name, pair, error, alpha) for (name, pair), error in zip(scores.items(), by_search, strict=True)
    }


def _paired(
    name: str, pair: tuple[Sequence[float], Sequence[float]], by_search: MeanError, alpha: float
) -> SideDifference:
    difference_B = np.subtract(pair[1], pair[0])

    def flips() -> np.random.Generator:
        # The same flips for test and intervals, so that they agree.
        return np.random.default_rng(derive_seed(0, "compare", name))

    wide = statistics.sign_flip_interval(difference_B, confidence=1.0 - alpha, rng=flips())
    narrow = statistics.sign_flip_interval(difference_B, confidence=1.0 - 2.0 * alpha, rng=flips())
    p_blocks = statistics.sign_flip_p_value(difference_B, rng=flips())
    return _joined(float(difference_B.mean()), p_blocks, wide, narrow, by_search, alpha, (len(pair[0]), len(pair[1])))


def _unpaired(a: _Side, b: _Side, alpha: float) -> SideDifference:
    mean = b.mean - a.mean
    error = sum_of_errors(a.by_block, b.by_block)
    wide = t_interval(mean, error, confidence=1.0 - alpha)
    narrow = t_interval(mean, error, confidence=1.0 - 2.0 * alpha)
    by_search = sum_of_errors(a.by_search, b.by_search)
    num_blocks = a.num_blocks, b.num_blocks
    return _joined(mean, t_p_value(mean, error), wide, narrow, by_search, alpha, num_blocks)


def _joined(
    mean: float,
    p_blocks: float,
    wide: tuple[float, float],
    narrow: tuple[float, float],
    by_search: MeanError,
    alpha: float,
    num_blocks: tuple[int, int],
) -> SideDifference:
    p_search = t_p_value(mean, by_search)
    search_wide = t_interval(mean, by_search, confidence=1.0 - alpha)
    search_narrow = t_interval(mean, by_search, confidence=1.0 - 2.0 * alpha)
    return SideDifference(
        mean=mean,
        low=min(wide[0], search_wide[0]),
        high=max(wide[1], search_wide[1]),
        equivalence_low=min(narrow[0], search_narrow[0]),
        equivalence_high=max(narrow[1], search_narrow[1]),
        p_value=max(p_blocks, p_search),
        p_blocks=p_blocks,
        p_search=p_search,
        num_blocks=num_blocks,
    )


def _row(name: str, a: LossResult | None, b: LossResult | None, metric: str) -> LossComparison:
    newest = b or a
    return LossComparison(
        loss=name,
        a=a.scores.get(metric) if a else None,
        b=b.scores.get(metric) if b else None,
        is_identical=bool(a and b and a.blocks and a.blocks == b.blocks),
        same_winners=bool(a and b and a.searches and _winners(a) == _winners(b)),
        is_control=newest is not None and newest.part in ("control", "alias"),
    )


def _winners(result: LossResult) -> list[object]:
    return [search.winner for search in result.searches]


def _by_loss(revision: Revision) -> dict[str, LossResult]:
    return {loss.loss: loss for loss in revision.results.losses}


def _scores(result: LossResult, metric: str) -> list[float]:
    return [block[metric] for block in result.blocks]
