"""Compare every loss with the baseline, given the block scores: the decision procedure of a study.

``benchmarks/validity.py`` runs this code on studies with a known truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
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
    """Compare two sets of configurations over the blocks that both have, starting from the first.

    The result is about these configurations only, and not about the searches that found them.
    """
    num_blocks = min(len(scores), len(baseline))
    compare = statistics.anytime_difference if rules.anytime else statistics.paired_difference
    paired = compare(scores[:num_blocks], baseline[:num_blocks], alpha=rules.alpha, rng=rng)
    difference = Difference(**asdict(paired), p_blocks=paired.p_value)
    if not rules.minimize:
        return difference
    return difference.model_copy(
        update={
            "probability_better": 1.0 - difference.probability_better,
            "probability_low": 1.0 - difference.probability_high,
            "probability_high": 1.0 - difference.probability_low,
        }
    )


def compare(
    scores: Mapping[str, Sequence[float]],
    baseline: str,
    candidates: Sequence[str],
    rules: Rules,
    generator: Callable[[str], np.random.Generator],
) -> dict[str, Difference]:
    """Compare every loss with the baseline, and correct the candidates' p-values by Holm's method.

    A difference must exceed both the variation between seeds and that between searches. So the p-value is the larger of
    those over blocks and over searches, and the interval covers both of their intervals.

    Args:
        scores: Block scores by loss, including the baseline's.
        baseline: Name of the baseline.
        candidates: The losses to test. Other losses are identical to a candidate or to the baseline.
        rules: The study's rules.
        generator: Returns the random stream of each loss.
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
    """Return each loss's error over searches, from its blocks and the same blocks of the other losses."""

    def means(loss: str, most: int) -> list[float]:
        pairs = list(zip(scores[loss][:most], scores[baseline][:most], strict=False))
        return [
            fmean([ours - theirs for ours, theirs in pairs[search::num_searches]]) for search in range(num_searches)
        ]

    found: dict[str, SearchError] = {}
    for num_blocks in {len(scores[loss]) for loss in losses}:
        errors = statistics.search_errors([means(loss, num_blocks) for loss in losses])
        found |= {loss: error for loss, error in zip(losses, errors, strict=True) if len(scores[loss]) == num_blocks}
    return found


def _effective_searches(num_blocks: int, num_searches: int) -> float:
    """Return the effective number of searches in a mean over the blocks: all, if each has the same number of blocks."""
    sizes = [len(range(search, num_blocks, num_searches)) for search in range(num_searches)]
    return num_blocks**2 / sum(size**2 for size in sizes)


def _with_searches(difference: Difference, error: SearchError, num_searches: float, rules: Rules) -> Difference:
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
    """The numbers that a decision is made from, see :class:`losstune.verdict.numbers.Difference`."""

    @property
    def mean(self) -> float: ...  # noqa: D102
    @property
    def p_holm(self) -> float | None: ...  # noqa: D102
    @property
    def equivalence_low(self) -> float: ...  # noqa: D102
    @property
    def equivalence_high(self) -> float: ...  # noqa: D102


def decide(
    difference: Decidable, *, alpha: float, rope: float, noise_floor: float | None, minimize: bool = False
) -> Decision:
    """Return the decision on a difference from the baseline.

    The rules, in this order: ``equivalent`` if the (1 - 2 alpha) interval lies within the ROPE (two one-sided tests);
    ``better`` or ``worse`` if Holm's p-value is at most alpha and the difference exceeds the difference of identical
    losses in this study; ``undecided`` otherwise.
    """
    if -rope < difference.equivalence_low and difference.equivalence_high < rope:
        return "equivalent"
    significant = difference.p_holm is not None and difference.p_holm <= alpha
    if significant and abs(difference.mean) > (noise_floor or 0.0):
        return "better" if (difference.mean < 0) == minimize else "worse"
    return "undecided"


def blocks_needed(difference: Difference, *, num_blocks: int, num_candidates: int, rules: Rules) -> int | None:
    """Return the approximate number of further blocks that would decide a loss, as different or as equivalent.

    They belong to new searches, each with as many blocks as a search has now, because blocks alone would not reduce the
    variation between searches. The plan assumes that the observed mean and variances are true. A loss counts as
    different at level ``alpha / num_candidates`` (Holm's first and strictest step), and as equivalent at level `alpha`.
    For each of the two, both the test over blocks and that over searches must have the given `power`; the smaller
    number is returned. The noise floor is ignored, because it falls with more searches, too. None if no number
    suffices.
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
