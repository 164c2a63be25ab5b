"""The results of one loss without comparison: trials, winners and their scores."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from losstune import statistics
from losstune.config.schema import Params
from losstune.core.metric import METRICS
from losstune.core.records import Record
from losstune.study import selection
from losstune.verdict.class_groups import group_recalls
from losstune.verdict.diagnostics import calibration_of, optimism_of
from losstune.verdict.failures import has_failed
from losstune.verdict.numbers import Score
from losstune.verdict.pooled import PooledStudyRecords, configurations_of, expected_score, optimism, weighted_score
from losstune.verdict.results import LossResult, Part, SearchResult
from losstune.verdict.rules import generator_of


def loss_result(
    loss: str,
    params: Params,
    trials: Sequence[Record],
    winners: Sequence[Record],
    blocks: Sequence[Record],
    identical: Mapping[str, str],
    groups: Mapping[str, Sequence[int]],
    pooled: PooledStudyRecords | None = None,
) -> LossResult:
    """Return the results of a loss, without a comparison.

    Args:
        loss: Its name.
        params: The study's settings.
        trials: Its trials.
        winners: The winner of each of its searches; none if one search had no winner.
        blocks: The blocks of its winners, in order.
        identical: Maps a loss to the loss of this study that it is identical to.
        groups: Classes by group, see :func:`losstune.verdict.class_groups.class_groups`.
        pooled: The study, if it is a pooled one.
    """
    measure = params.tune.measure
    metric = measure.name
    defaults = [record.validation[metric] for record in trials if record.index == 0]
    equal_loss = identical.get(loss)
    part: Part = "candidate" if equal_loss is None else "control" if equal_loss == params.baseline else "alias"
    facts: dict[str, Any] = {
        "loss": loss,
        "part": "baseline" if loss == params.baseline else part,
        "equals": equal_loss,
        "num_trials": dict(sorted(Counter(record.status for record in trials).items())),
        "default_validation": fmean(defaults) if defaults and all(map(math.isfinite, defaults)) else None,
    }
    gains = [measure.sign * trial.validation[metric] for trial in trials]
    if gains and all(map(math.isfinite, gains)):
        facts["best_of"] = tuple((measure.sign * statistics.expected_best(gains)).tolist())
    if not winners:
        return LossResult(**facts)
    winner = selection.best_of_searches(winners, measure)
    # A training loop of the user's own may yield the study's metric alone.
    named = dict.fromkeys((*METRICS, metric, *(secondary.name for secondary in params.tune.secondary)))
    names = [name for name in named if all(name in (block.test or {}) for block in blocks)]
    scores = tuple({name: (block.test or {})[name] for name in names} for block in blocks)
    calibration, temperature = calibration_of(blocks)
    alpha = params.report.alpha

    def score(name: str) -> Score:
        values = [block[name] for block in scores]
        if pooled is None:
            return _score(values, params, generator_of(params, "score", loss, name))
        if name == metric:
            return expected_score(pooled, loss, alpha)
        return weighted_score(values, pooled.block_weights(loss), alpha)

    return LossResult(
        **facts,
        searches=tuple(_search_result(record, blocks, metric) for record in winners)
        if pooled is None
        else configurations_of(pooled, loss),
        winner=winner.configuration,
        winner_search=winner.search,
        winner_index=winner.index,
        winner_validation=winner.validation[metric],
        num_parameters=winner.num_parameters,
        num_failed_blocks=sum(has_failed(block) for block in blocks),
        blocks=scores,
        scores={name: score(name) for name in names},
        group_recalls={
            name: _score(recalls, params, generator_of(params, "recall", loss, name))
            for name, labels in groups.items()
            if (recalls := group_recalls(blocks, labels))
        },
        optimism=optimism_of(
            winners, blocks, metric, confidence=1.0 - alpha, rng=generator_of(params, "optimism", loss)
        )
        if pooled is None
        else optimism(pooled, loss, alpha),
        calibration=calibration,
        temperature=temperature,
    )


def _search_result(winner: Record, blocks: Sequence[Record], metric: str) -> SearchResult:
    own = [block for block in blocks if block.search == winner.search]
    return SearchResult(
        winner=winner.configuration,
        index=winner.index,
        validation=winner.validation[metric],
        fresh=math.fsum(block.validation[metric] for block in own) / len(own),
        test=math.fsum((block.test or {})[metric] for block in own) / len(own),
    )


def _score(values: Sequence[float], params: Params, rng: np.random.Generator) -> Score:
    if not all(math.isfinite(value) for value in values):
        return Score(mean=math.fsum(values), low=None, high=None)
    estimate = statistics.mean_with_interval(values, confidence=1.0 - params.report.alpha, rng=rng)
    return Score(mean=estimate.value, low=estimate.low, high=estimate.high)
