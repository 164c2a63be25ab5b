"""Every loss's test scores at one revision against those at another: differences, intervals, decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from losstune import statistics
from losstune.core.records import Row
from losstune.core.seeds import derive_seed
from losstune.report.compare.revisions import Revision
from losstune.statistics.revisions import (
    MeanError,
    revision_errors,
    sum_of_errors,
    t_interval,
    t_p_value,
    welch_error,
)
from losstune.verdict.comparison import decide
from losstune.verdict.numbers import Real, Score
from losstune.verdict.results import Decision, LossResult

Design = Literal["paired", "unpaired"]


class SideDifference(Row):
    """Score at B minus score at A.

    Attributes:
        mean: Of the blocks.
        low: Lower bound of the interval at 1 - alpha that spans that of the blocks and that of the searches.
        high: Upper bound of it.
        equivalence_low: Lower bound of the (1 - 2 alpha) interval, likewise.
        equivalence_high: Upper bound of it.
        p_value: The larger one of `p_blocks` and `p_search`.
        p_blocks: Of the test over blocks: that the winners differ, whatever found them.
        p_search: Of the test over searches: that it is no luck of theirs.
        p_holm: `p_value` after Holm's correction over all losses that are tested; None outside that family.
        num_blocks: Blocks that it rests on, at A and at B.
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
        a: Its score at A; None where it has no winner there, or is no loss of A's.
        b: The same at B.
        is_identical: Whether every block has the same scores at both, to the bit.
        same_winners: Whether every search ended at the same configuration at both.
        is_control: Whether it is another loss under a second name, which gets no decision of its own.
        difference: None where it is missing at a revision, the blocks are too few, or they are identical.
        decision: What follows from it; None where there is no difference or no claim to make.
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
        metric: B's.
        alpha: Level of the tests, B's.
        rope: Smallest difference that matters in practice, B's.
        noise_floor: The larger one of what identical losses, tuned apart, differ by at either revision; None without
            any. A smaller difference is no claim, unless the design is paired and both revisions' searches ended at
            the same configurations.
        design: ``paired`` where block b of a loss has the same seed and test split at both revisions.
        why: Why the design is what it is, in words.
        losses: Best first, by the score at B.
    """

    metric: str
    alpha: float
    rope: float
    noise_floor: float | None
    design: Design
    why: str
    losses: tuple[LossComparison, ...]

    def with_decision(self, decision: Decision) -> list[LossComparison]:
        """Return the losses of that decision."""
        return [loss for loss in self.losses if loss.decision == decision]


def compare_scores(a: Revision, b: Revision) -> ScoreComparison:
    """Compare every loss with itself at the other revision, by B's metric, level and ROPE.

    Two tests, as between losses; the larger p-value and the wider interval count. Over the blocks: sign flips of
    paired differences, or else Welch's t test. Over the searches:
    :func:`losstune.statistics.revisions.revision_errors` of the paired differences, or else of each revision's scores.
    Holm corrects for the number of losses that are tested. A loss under a second name, and one whose blocks are
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
    scores = {
        name: pair
        for name, pair in scores.items()
        # What is the same to the bit needs no test, and would make the others' luck look small.
        if not rows[name].is_identical
        and all(len(blocks) >= max(2, count) for blocks, count in zip(pair, searches, strict=True))
    }
    differences = _differences(scores, searches, design, alpha)
    tested = [name for name in differences if not rows[name].is_control]
    adjusted = statistics.holm([differences[name].p_value for name in tested])
    floors = [revision.results.control.noise_floor for revision in (a, b)]
    noise_floor = max((floor for floor in floors if floor is not None), default=None)
    for name, p_holm in zip(tested, adjusted, strict=True):
        differences[name] = differences[name].model_copy(update={"p_holm": p_holm})
    for name, difference in differences.items():
        # The floor is what separate searches differ by, and here they may have ended at the same configurations.
        floor = None if design == "paired" and rows[name].same_winners else noise_floor
        decision = decide(difference, alpha=alpha, rope=rope, noise_floor=floor) if name in tested else None
        rows[name] = rows[name].model_copy(update={"difference": difference, "decision": decision})
    return ScoreComparison(
        metric=metric,
        alpha=alpha,
        rope=rope,
        noise_floor=noise_floor,
        design=design,
        why=why,
        losses=tuple(rows.values()),
    )


def design_of(a: Revision, b: Revision) -> tuple[Design, str]:
    """Return whether blocks pair by their place, and why.

    A block's seed follows from the study's seed, its search and its number there. So with the same root seed and number
    of searches, the block at a place has the same seed at both revisions, and is scored on the same test split. What it
    was trained on may differ, as may all else that is compared: what the two have in common cancels, whatever it is.
    """
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
            return "unpaired", f"{name} differs, so no two blocks have a seed in common"
        if found[0] is None:
            return "unpaired", f"{name} is not known"
    data = (
        "data" if a.results.data.digest == b.results.data.digest else "test split, not the same training data"
    )
    return "paired", f"a block has the same seed at both revisions, and the same {data}"


def _differences(
    scores: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    searches: tuple[int, int],
    design: Design,
    alpha: float,
) -> dict[str, SideDifference]:
    if not scores:
        return {}
    if design == "paired":
        # Blocks count from the first; a revision that has more leaves its last ones out.
        scores = {name: (ours[: len(theirs)], theirs[: len(ours)]) for name, (ours, theirs) in scores.items()}
        by_search = revision_errors([np.subtract(b, a) for a, b in scores.values()], searches[0])
        return {
            name: _paired(name, pair, error, alpha)
            for (name, pair), error in zip(scores.items(), by_search, strict=True)
        }
    errors = [
        revision_errors([pair[revision] for pair in scores.values()], num_searches)
        for revision, num_searches in enumerate(searches)
    ]
    return {
        name: _unpaired(pair, sum_of_errors(first, second), alpha)
        for (name, pair), first, second in zip(scores.items(), *errors, strict=True)
    }


def _paired(
    name: str, pair: tuple[Sequence[float], Sequence[float]], by_search: MeanError, alpha: float
) -> SideDifference:
    difference_B = np.subtract(pair[1], pair[0])

    def flips() -> np.random.Generator:
        # The same flips for test and intervals, so that they never contradict each other.
        return np.random.default_rng(derive_seed(0, "compare", name))

    wide = statistics.sign_flip_interval(difference_B, confidence=1.0 - alpha, rng=flips())
    narrow = statistics.sign_flip_interval(difference_B, confidence=1.0 - 2.0 * alpha, rng=flips())
    p_blocks = statistics.sign_flip_p_value(difference_B, rng=flips())
    return _joined(float(difference_B.mean()), p_blocks, wide, narrow, by_search, alpha, pair)


def _unpaired(
    pair: tuple[Sequence[float], Sequence[float]], by_search: MeanError, alpha: float
) -> SideDifference:
    mean = float(np.mean(pair[1]) - np.mean(pair[0]))
    error = welch_error(pair[1], pair[0])
    wide = t_interval(mean, error, confidence=1.0 - alpha)
    narrow = t_interval(mean, error, confidence=1.0 - 2.0 * alpha)
    return _joined(mean, t_p_value(mean, error), wide, narrow, by_search, alpha, pair)


def _joined(
    mean: float,
    p_blocks: float,
    wide: tuple[float, float],
    narrow: tuple[float, float],
    by_search: MeanError,
    alpha: float,
    pair: tuple[Sequence[float], Sequence[float]],
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
        num_blocks=(len(pair[0]), len(pair[1])),
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
