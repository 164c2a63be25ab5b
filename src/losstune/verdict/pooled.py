"""A pooled study's records as results: the same steps as for searches that are replicated, on what the rounds found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from losstune import statistics
from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from losstune.core.records import Record
from losstune.statistics import PooledDifference
from losstune.study.plan_size import num_controls
from losstune.verdict.comparison import blocks_difference
from losstune.verdict.control_results import NoisePair
from losstune.verdict.course import Course, Judged, RoundRules
from losstune.verdict.facts import Rounds
from losstune.verdict.numbers import Difference, Score
from losstune.verdict.outlook import trainings_needed
from losstune.verdict.pools import Pools, rules_of
from losstune.verdict.results import LossResult, SearchResult
from losstune.verdict.rounds import follow
from losstune.verdict.rules import Rules, generator_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledStudyRecords:
    """A pooled study, as far as its records go.

    Attributes:
        pools: Its trials and blocks.
        rules: The rules of its rounds.
        course: What the rounds found.
    """

    pools: Pools
    rules: RoundRules
    course: Course

    def winner(self, loss: str) -> Record:
        """Return the trial of the configuration to use: of the retrained ones, that which wins the most searches."""
        return self.pools.trial(loss, self.course.winner(loss))

    def blocks(self, loss: str) -> list[Record]:
        """Return the blocks of a loss, in order."""
        found = (self.pools.block(loss, number) for number in range(len(self.course.allocation[loss])))
        return [record for record in found if record is not None]

    def block_weights(self, loss: str) -> list[float]:
        """Return the weight of each block in a mean over the blocks of a loss; their sum is 1."""
        allocated = np.array(self.course.allocation[loss])
        share = self.course.weights[loss] / np.maximum(
            np.bincount(allocated, minlength=len(self.course.weights[loss])), 1
        )
        weights = share[allocated]
        return [float(weight) for weight in weights / weights.sum()]


def follow_records(params: Params, records: Sequence[Record], budget: int | None) -> PooledStudyRecords:
    """Follow the rounds of a study as far as its records go.

    Args:
        params: The settings.
        records: All trials and blocks so far.
        budget: Its budget in trainings; None if the settings name numbers of searches and blocks.

    Raises:
        LosstuneError: If no trial of the baseline has a result.
    """
    pools = Pools(records, params.tune.measure, params.tune.trials_per_loss)
    if params.baseline not in pools.entrants:
        raise LosstuneError(
            f"no trial of the baseline '{params.baseline}' is finished; the records of `losstune tune` say why"
        )
    rules = rules_of(params, pools, num_controls(params), budget)
    return PooledStudyRecords(pools=pools, rules=rules, course=follow(pools, rules))


def read_pooled(params: Params, records: Sequence[Record], budget: int | None) -> PooledStudyRecords:
    """Follow the rounds of a complete study, see :func:`follow_records`.

    Raises:
        LosstuneError: If trainings are missing, or are not what the rounds ask for.
    """
    study = follow_records(params, records, budget)
    pools, course = study.pools, study.course
    if course.missing_trials:
        loss, search = course.missing_trials[0]
        raise LosstuneError(f"{loss} has no search {search}, which the rounds ask for: finish `losstune confirm`")
    if course.missing_blocks:
        loss, trial, block = course.missing_blocks[0]
        record = pools.trial(loss, trial)
        raise LosstuneError(
            f"{loss} has no test score for block {block} with the configuration of trial {record.number}, which the "
            "rounds ask for: finish `losstune confirm`"
        )
    return study


def configurations_of(study: PooledStudyRecords, loss: str) -> tuple[SearchResult, ...]:
    """Return the retrained configurations of a loss, by weight."""
    metric, course = study.pools.measure.name, study.course
    allocated, blocks = course.allocation[loss], study.blocks(loss)
    found = []
    for trial in sorted(set(allocated), key=lambda number: (-course.weights[loss][number], number)):
        record = study.pools.trial(loss, trial)
        own = [block for block, number in zip(blocks, allocated, strict=True) if number == trial]
        found.append(
            SearchResult(
                winner=record.configuration,
                index=record.index,
                validation=record.validation[metric],
                fresh=fmean([block.validation[metric] for block in own]),
                test=fmean([(block.test or {})[metric] for block in own]),
                search=record.search,
                weight=float(course.weights[loss][trial]),
                num_blocks=len(own),
            )
        )
    return tuple(found)


def expected_score(study: PooledStudyRecords, loss: str, alpha: float) -> Score:
    """Return the expected test score of a loss's search, with its interval."""
    expected = study.course.expected[loss]
    if expected.search is None:
        return Score(mean=expected.mean, low=None, high=None)
    found = PooledDifference(expected.mean, expected.search, expected.seed)
    lowest, highest = study.pools.measure.bounds
    low, high = found.interval(1.0 - alpha)
    freedom = found.freedom if math.isfinite(found.freedom) else None
    return Score(mean=found.mean, low=max(low, lowest), high=min(high, highest), error=found.error, freedom=freedom)


def weighted_score(values: Sequence[float], weights: Sequence[float], alpha: float) -> Score:
    """Return the weighted mean of another metric over the blocks, with its interval over seeds."""
    if not all(math.isfinite(value) for value in values):
        return Score(mean=math.fsum(values), low=None, high=None)
    estimate = statistics.weighted_mean_with_interval(values, weights, confidence=1.0 - alpha)
    return Score(mean=estimate.value, low=estimate.low, high=estimate.high)


def optimism(study: PooledStudyRecords, loss: str, alpha: float) -> Score:
    """Return the trials' validation scores minus those of the same configurations on fresh seeds."""
    metric = study.pools.measure.name
    excess = [
        study.pools.trial(loss, trial).validation[metric] - block.validation[metric]
        for trial, block in zip(study.course.allocation[loss], study.blocks(loss), strict=True)
    ]
    return weighted_score(excess, study.block_weights(loss), alpha)


def noise_pairs(study: PooledStudyRecords, params: Params, rules: Rules) -> tuple[NoisePair, ...]:
    """Return the differences of identical losses."""
    return tuple(
        NoisePair(
            loss=loss,
            equals=equal,
            difference=_difference(study, params, rules, loss, equal, study.course.floors[loss]),
        )
        for loss, equal in study.rules.pairs
    )


def with_decisions(
    losses: Sequence[LossResult], study: PooledStudyRecords, params: Params, rules: Rules, *, has_held: bool
) -> list[LossResult]:
    """Add the differences from the baseline, and, if the controls have held, the decisions.

    A loss that is identical to another one has the difference of its pair, if that is the baseline.
    """
    found = []
    for result in losses:
        judged = study.course.judged.get(result.loss)
        if judged is None:
            judged = study.course.floors.get(result.loss) if result.equals == params.baseline else None
        if judged is None:
            found.append(result)
            continue
        update: dict[str, object] = {
            "difference": _difference(study, params, rules, result.loss, params.baseline, judged)
        }
        if has_held and result.part == "candidate":
            needed = (
                trainings_needed(judged, study.rules, power=rules.power) if judged.decision == "undecided" else None
            )
            update |= {"decision": judged.decision, "reason": judged.reason, "trainings_needed": needed}
        found.append(result.model_copy(update=update))
    return found


def rounds_of(study: PooledStudyRecords) -> Rounds:
    """Return what the rounds spent and how they went."""
    rules, course = study.rules, study.course
    return Rounds(
        num_trainings=course.num_trainings(rules),
        num_controls=rules.num_controls,
        budget=rules.budget,
        fewest_searches=rules.fewest_searches,
        fewest_blocks=rules.fewest_blocks,
        looks=tuple(len([loss for loss in look if loss in rules.candidates]) for look in course.looks),
        yardsticks=rules.yardsticks,
    )


def _difference(
    study: PooledStudyRecords, params: Params, rules: Rules, loss: str, baseline: str, judged: Judged
) -> Difference:
    """Return the difference at the look that judged it, with what its paired blocks describe."""
    metric, number = study.pools.measure.name, judged.size.blocks
    scores, theirs = (
        [(block.test or {})[metric] for block in study.blocks(name)[:number]] for name in (loss, baseline)
    )
    paired = blocks_difference(scores, theirs, rules, generator_of(params, "difference", loss, baseline))
    found: PooledDifference = judged.difference
    level = judged.level or rules.alpha
    has_search_error = judged.level > 0.0
    low, high = judged.interval(rules.alpha) if has_search_error else (-math.inf, math.inf)
    narrow = found.interval(1.0 - 2.0 * level) if has_search_error else (-math.inf, math.inf)
    return paired.model_copy(
        update={
            "mean": found.mean,
            "low": low,
            "high": high,
            "equivalence_low": narrow[0],
            "equivalence_high": narrow[1],
            "p_value": found.p_value if has_search_error else 1.0,
            "p_holm": judged.p_holm,
            "search_error": math.sqrt(found.search.value),
            "seed_error": math.sqrt(found.seed.value),
            "freedom": found.freedom if math.isfinite(found.freedom) else None,
            "num_searches": judged.size.searches,
            "num_blocks": number,
            "look": judged.look,
        }
    )
