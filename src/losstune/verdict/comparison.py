"""Compare every loss with the baseline, given the block scores: the decision procedure of a study.

``benchmarks/validity.py`` runs this code on studies whose truth is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Protocol

import numpy as np

from losstune import statistics
from losstune.statistics import SearchError, blocks_to_differ, blocks_to_match
from losstune.verdict.numbers import Difference
from losstune.verdict.results import Decision
from losstune.verdict.rules import Rules


def blocks_difference(
    scores: Sequence[float], baseline: Sequence[float], rules: Rules, rng: np.random.Generator
) -> Difference:
    """Compare two sets of configurations over the blocks that both have; blocks count from the first.

    It says whether the configurations differ, whatever luck the searches had that found them.
    """
    num_blocks = min(len(scores), len(baseline))
    compare = statistics.anytime_difference if rules.anytime else statistics.paired_difference
    paired = compare(scores[:num_blocks], baseline[:num_blocks], alpha=rules.alpha, rng=rng)
    return Difference(**asdict(paired), p_blocks=paired.p_value)


def compare(
    scores: Mapping[str, Sequence[float]],
    baseline: str,
    candidates: Sequence[str],
    rules: Rules,
    generator: Callable[[str], np.random.Generator],
) -> dict[str, Difference]:
    """Compare every loss with the baseline, and correct the candidates' p-values for their number by Holm's method.

    A difference has to be more than the seeds' luck and more than the searches': the p-value is the larger one of the
    test over blocks and of the test over searches, and the interval spans both of theirs.

    Args:
        scores: Block scores by loss, the baseline's among them.
        baseline: Its name.
        candidates: The losses that are tested; the others are no candidates, because they are a candidate or the
            baseline under another name.
        rules: The study's rules.
        generator: Gives each loss a random stream of its own.
    """
    others = [loss for loss in scores if loss != baseline]
    errors = _search_errors(scores, baseline, others, rules.num_searches)
    differences = {}
    for loss in others:
        difference = blocks_difference(scores[loss], scores[baseline], rules, generator(loss))
        num_searches = _effective_searches(len(scores[loss]), rules.num_searches)
        differences[loss] = _with_searches(difference, errors[loss], num_searches, rules)
    adjusted = statistics.holm([differences[loss].p_value for loss in candidates])
    for loss, p_holm in zip(candidates, adjusted, strict=True):
        differences[loss] = differences[loss].model_copy(update={"p_holm": p_holm})
    return differences


def _search_errors(
    scores: Mapping[str, Sequence[float]], baseline: str, losses: Sequence[str], num_searches: int
) -> dict[str, SearchError]:
    """Return each loss's error over searches, from the blocks it has and as many of the others' as they have."""

    def means(loss: str, most: int) -> list[float]:
        pairs = list(zip(scores[loss][:most], scores[baseline][:most], strict=False))
        return [
            _mean([ours - theirs for ours, theirs in pairs[search::num_searches]])
            for search in range(num_searches)
        ]

    found: dict[str, SearchError] = {}
    for num_blocks in {len(scores[loss]) for loss in losses}:
        errors = statistics.search_errors([means(loss, num_blocks) for loss in losses])
        found |= {
            loss: error for loss, error in zip(losses, errors, strict=True) if len(scores[loss]) == num_blocks
        }
    return found


def _effective_searches(num_blocks: int, num_searches: int) -> float:
    """Return how many searches of equal weight a mean over the blocks is worth: all, if each has as many blocks."""
    sizes = [len(range(search, num_blocks, num_searches)) for search in range(num_searches)]
    return num_blocks**2 / sum(size**2 for size in sizes)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _with_searches(
    difference: Difference, error: SearchError, num_searches: float, rules: Rules
) -> Difference:
    mean = difference.mean
    p_search = statistics.search_p_value(mean, error, num_searches)
    wide = statistics.search_interval(mean, error, num_searches, confidence=1.0 - rules.alpha)
    narrow = statistics.search_interval(mean, error, num_searches, confidence=1.0 - 2.0 * rules.alpha)
    return difference.model_copy(
        update={
            "low": min(difference.low, wide[0]),
            "high": max(difference.high, wide[1]),
            "equivalence_low": min(difference.equivalence_low, narrow[0]),
            "equivalence_high": max(difference.equivalence_high, narrow[1]),
            "p_value": max(difference.p_value, p_search),
            "p_search": p_search,
            "search_low": wide[0],
            "search_high": wide[1],
            "search_sd": math.sqrt(error.variance),
            "search_freedom": error.freedom,
        }
    )


class Decidable(Protocol):
    """What an decision follows from, see :class:`losstune.verdict.numbers.Difference`."""

    @property
    def mean(self) -> float: ...  # noqa: D102
    @property
    def p_holm(self) -> float | None: ...  # noqa: D102
    @property
    def equivalence_low(self) -> float: ...  # noqa: D102
    @property
    def equivalence_high(self) -> float: ...  # noqa: D102


def decide(difference: Decidable, *, alpha: float, rope: float, noise_floor: float | None) -> Decision:
    """Return what a difference against the baseline means.

    In this order: ``equivalent`` if the (1 - 2 alpha) interval lies within the ROPE (two one-sided tests);
    ``better`` or ``worse`` if Holm's p-value is at most alpha and the difference exceeds what two identical
    losses differ by in this study; ``undecided`` otherwise.
    """
    if -rope < difference.equivalence_low and difference.equivalence_high < rope:
        return "equivalent"
    significant = difference.p_holm is not None and difference.p_holm <= alpha
    if significant and abs(difference.mean) > (noise_floor or 0.0):
        return "better" if difference.mean > 0 else "worse"
    return "undecided"


def blocks_needed(
    difference: Difference, *, num_blocks: int, num_candidates: int, rules: Rules
) -> int | None:
    """Return about how many further blocks would settle an undecided loss, as different or as equivalent.

    They come with searches of their own, each with as many blocks as a search has now: blocks alone would not lessen
    the searches' luck. Taken for true are the observed mean and variances, so this is a plan and no promise. The loss
    counts as different at level ``alpha / num_candidates`` (Holm's first step, the strictest), as equivalent at level
    `alpha`. On either way the test over blocks and that over searches must both get there, each with the chance
    `power`; the nearer way is taken. The noise floor is left out: it falls with more searches, too. None if neither way
    leads there.
    """
    assert difference.search_sd is not None
    assert difference.search_freedom is not None
    mean, sd, num_searches = difference.mean, difference.sd, rules.num_searches
    error = SearchError(difference.search_sd**2, difference.search_freedom)
    by_search = math.ceil(num_blocks / num_searches)
    match = {"rope": rules.rope, "alpha": rules.alpha, "power": rules.power}
    differ = {"alpha": rules.alpha / max(num_candidates, 1), "power": rules.power}
    ways = [
        max(
            statistics.searches_to_match(mean, error, num_searches, **match),
            blocks_to_match(mean, sd, **match) / by_search,
        ),
        max(
            statistics.searches_to_differ(mean, error, num_searches, **differ),
            blocks_to_differ(mean, sd, **differ) / by_search,
        ),
    ]
    searches = min(ways)
    if math.isinf(searches):
        return None
    return by_search * max(math.ceil(searches), num_searches + 1) - num_blocks
