"""The rounds of a pooled study: after each, every loss is settled, out of reach, or worth more trainings.

All rules use numbers of the rounds so far, in a fixed order, so that a study that is interrupted, resumed or repeated
takes the same course. A round extends all losses that go on by the same searches and blocks, because differences are
paired by the number of a trial and by the seed of a block.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import scipy

from losstune import statistics
from losstune.statistics import Pool, PooledDifference, PooledStudy, Variance
from losstune.verdict.comparison import decide
from losstune.verdict.course import Course, Judged, Reason, RoundRules, Size, Source
from losstune.verdict.round_sizes import FIRST_BLOCKS, LOOK_SHARE, is_out_of_reach, next_size

_FEWEST_FOR_SPREAD = 4


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
            # Whether this look is the last one must not depend on its results, or the level would.
            is_last = next_size(rules, course, len(active)) is None
            level = left if is_last else LOOK_SHARE * left
            _judge(rules, course, study, index, active, look, level, left)
            left -= level
        active = [loss for loss in active if course.judged[loss].reason is None]
        if not active and target.searches >= rules.fewest_searches:
            return course
        size = next_size(rules, course, len(active)) if left > 0.0 else None
        if size is None:
            is_at_limit = next_size(rules, course, len(active), ignore_budget=True) is None
            for loss in active:
                course.judged[loss] = replace(course.judged[loss], reason="limit" if is_at_limit else "budget")
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
        merged = np.bincount(trials.configuration_T, weights, minlength=weights.size).astype(np.float64)
        course.weights[loss] = merged.copy()
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
    course.expected = dict(zip(rules.losses, study.expected, strict=True))
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
        if len(active) >= _FEWEST_FOR_SPREAD and is_out_of_reach(rules, course, judged):
            course.judged[loss] = replace(judged, reason="out of reach")
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
    spare: float,
) -> None:
    def judged_from(loss: str, difference: PooledDifference, p_holm: float | None = None) -> Judged:
        return Judged(
            look=look, level=level, size=course.sizes[loss], difference=difference, p_holm=p_holm, spare=spare
        )

    lent, baseline = _lent(course, rules, active), index[rules.baseline]
    numbers = [index[loss] for loss in active]
    others = study.differences(baseline, numbers, list(lent.values())) if active else []
    found = dict(zip(active, others, strict=True))
    lent |= {loss: difference.jackknife for loss, difference in found.items() if difference.jackknife is not None}
    # No claim is made on identical losses. They borrow degrees of freedom from all candidates.
    in_order = [lent[loss] for loss in rules.candidates if loss in lent]
    for loss, equal in rules.pairs:
        (difference,) = study.differences(index[equal], [index[loss]], in_order)
        course.floors[loss] = judged_from(loss, difference)
    # Holm's steps count also those that are out of the race.
    p_values = [difference.p_value for difference in others]
    adjusted = statistics.holm(p_values + [1.0] * (course.num_open(rules) - len(active)))
    for (loss, difference), p_holm in zip(found.items(), adjusted, strict=False):
        may_claim = course.sizes[loss].blocks >= rules.fewest_blocks
        # Over the looks, so that it can be compared with alpha.
        judged = judged_from(loss, difference, min(1.0, p_holm * rules.alpha / level) if may_claim else 1.0)
        decision = decide(
            judged, alpha=rules.alpha, rope=rules.rope, noise_floor=course.noise_floor, minimize=rules.minimize
        )
        reason: Reason | None = None if decision == "undecided" else "settled"
        course.judged[loss] = replace(judged, decision=decision, reason=reason)
    for loss in active:
        if course.judged[loss].reason is None and is_out_of_reach(rules, course, course.judged[loss]):
            course.judged[loss] = replace(course.judged[loss], reason="out of reach")


def _lent(course: Course, rules: RoundRules, active: Sequence[str]) -> dict[str, Variance]:
    """Return the variances of losses that are out of the race, scaled to the trials of those in it.

    Without them the last losses would have nobody to borrow degrees of freedom from.
    """
    searches = course.sizes[rules.baseline].searches
    return {
        loss: Variance(jackknife.value * judged.size.searches / searches, jackknife.freedom)
        for loss, judged in course.judged.items()
        if loss not in active and (jackknife := judged.difference.jackknife) is not None
    }
