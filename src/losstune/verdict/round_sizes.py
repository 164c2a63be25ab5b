"""How far the next round takes a loss, and whether a decision on it is within reach."""

from __future__ import annotations

import math

import numpy as np

from losstune.statistics import normal_quantile
from losstune.verdict.course import Course, Judged, RoundRules, Size

FIRST_BLOCKS = 4
"""Blocks of each loss before the first look, which only sets aside losses that are out of reach."""
FUTILITY = 1.0
"""Standard errors by which a difference is moved towards a decision before a loss counts as out of reach."""
BLOCKS_OF_A_SEARCH = 2
"""Blocks that come with each further search, so that no configuration with a large weight stays without any."""
GROWTH = 0.4
"""Least growth of a loss's trainings from one look to the next."""
LOOK_SHARE = 0.1
"""Share of the level that is left which a look spends, if it is not the last one. Large differences need no more, and
the last look, with the most trainings, keeps most of the level: with 0.3 fewer small differences were found."""


def is_out_of_reach(rules: RoundRules, course: Course, judged: Judged) -> bool:
    """Return whether all that is left, spent on this loss alone, would not settle it even if it were lucky.

    The difference is moved by one standard error towards a decision. It is out of reach if even then the largest study
    would have less than an even chance to settle it.
    """
    largest = largest_size(rules, course, judged)
    search = judged.difference.search.value * judged.size.searches / largest.searches
    seed = judged.difference.seed.value * judged.size.blocks / largest.blocks
    least_error, error = math.sqrt(search + seed), judged.difference.error
    size = abs(judged.difference.mean)
    remaining = course.num_open(rules)
    may_differ = size + FUTILITY * error >= normal_quantile(1.0 - rules.alpha / (2.0 * max(remaining, 1))) * least_error
    may_match = rules.rope - max(0.0, size - FUTILITY * error) > normal_quantile(1.0 - rules.alpha) * least_error
    return not (may_differ or may_match)


def largest_size(rules: RoundRules, course: Course, judged: Judged) -> Size:
    """Return how far a loss would come if all that is left were spent on it and on the yardsticks."""
    at, spent = judged.size, 0
    left = math.inf if rules.budget is None else rules.budget - course.num_trainings(rules)
    cost = len(rules.yardsticks) + 1
    while True:
        grown = grown_size(rules, at, judged.difference.search.value, judged.difference.seed.value, at)
        if grown is None:
            return at
        more = cost * (grown.trainings(rules.size) - at.trainings(rules.size))
        if spent + more > left:
            blocks = int((left - spent) // cost)
            return Size(searches=at.searches, blocks=min(rules.most_blocks, at.blocks + max(blocks, 0)))
        at, spent = grown, spent + more


def next_size(rules: RoundRules, course: Course, num_active: int, *, ignore_budget: bool = False) -> Size | None:
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
        grown = grown_size(rules, at, search, seed, at)
        if grown is None:
            return None
        wanted = grown
    if wanted.trainings(rules.size) - at.trainings(rules.size) <= left:
        return wanted
    # What is left does not pay for the whole round.
    searches = min(wanted.searches, at.searches + max(0, int(left)) // rules.size)
    blocks = int(left) - (searches - at.searches) * rules.size
    if searches < rules.fewest_searches:
        return None
    shrunk = Size(searches=searches, blocks=min(rules.most_blocks, at.blocks + blocks))
    return shrunk if shrunk != at and left >= 2 else None


def grown_size(rules: RoundRules, at: Size, search: float, seed: float, start: Size) -> Size | None:
    """Return the size after a round: step by step, whatever lowers the variance of a difference most for its price."""
    found = at
    while found.trainings(rules.size) - at.trainings(rules.size) < GROWTH * at.trainings(rules.size):
        options: list[tuple[float, Size]] = []
        if found.searches < rules.most_searches:
            # With blocks for the configurations that the new search puts first.
            more = min(rules.most_blocks, found.blocks + BLOCKS_OF_A_SEARCH)
            gain = search * start.searches * (1.0 / found.searches - 1.0 / (found.searches + 1))
            gain += seed * start.blocks * (1.0 / found.blocks - 1.0 / more)
            price = rules.size + more - found.blocks
            options.append((gain / price, Size(searches=found.searches + 1, blocks=more)))
        if found.blocks < rules.most_blocks:
            more = min(rules.most_blocks, found.blocks + max(2, found.blocks // 4))
            gain = seed * start.blocks * (1.0 / found.blocks - 1.0 / more) / (more - found.blocks)
            options.append((gain, Size(searches=found.searches, blocks=more)))
        if not options:
            break
        found = max(options, key=lambda option: option[0])[1]
    return found if found != at else None
