"""How forgiving a loss is: over how much of the searched learning rates it comes near its best."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from losstune.core.records import Record
from losstune.verdict.results import Results

TOLERANCE = 0.01
"""A trial within this of its loss's best, in units of the metric, comes near it: one percentage point."""


@dataclass(frozen=True, slots=True)
class LearningRateSensitivity:
    """How much of the searched learning rates serves a loss.

    Attributes:
        share: Of the searched decades, 0 to 1.
        num_decades: That were searched.
    """

    share: float
    num_decades: float


def sensitivity_of(
    results: Results, tune_records: Iterable[Record], learning_rates: Mapping[str, tuple[float, float]]
) -> dict[str, LearningRateSensitivity]:
    """Return how forgiving each loss is whose range of learning rates is given and which has a usable trial.

    Args:
        results: For the losses and the metric.
        tune_records: The search.
        learning_rates: The ends of the searched range by loss.
    """
    trials: defaultdict[str, list[Record]] = defaultdict(list)
    for record in tune_records:
        trials[record.configuration.loss].append(record)
    found = {}
    for loss in (result.loss for result in results.losses):
        if loss in learning_rates and any(r.status in ("finished", "stopped") for r in trials[loss]):
            low, high = learning_rates[loss]
            scores = [record.validation[results.metric] for record in trials[loss]]
            rates = [record.configuration.learning_rate for record in trials[loss]]
            share = share_near_best(rates, scores, (low, high), tolerance=TOLERANCE)
            found[loss] = LearningRateSensitivity(share, float(np.log10(high / low)))
    return found


def share_near_best(
    rates: Sequence[float], scores: Sequence[float], ends: tuple[float, float], *, tolerance: float
) -> float:
    """Return the share of the range, on a logarithmic axis, over which trials come within `tolerance` of the best.

    Each trial stands for the part of the range that is nearer to it than to any other trial, cut at the ends of the
    range: ``sum_i w_i [s_i >= max s - tolerance] / sum_i w_i`` with w_i the length of that part. Trials at one rate
    share theirs evenly. The trials differ in their other hyperparameters, too, so a loss that needs these right is
    found less forgiving. With more trials the best is luckier, and the share smaller: compare losses of one study.

    Args:
        rates: Learning rate of each trial.
        scores: Its score, higher is better; a lost trial's is the worst.
        ends: Lowest and highest learning rate searched.
        tolerance: In units of the score.
    """
    places_N = np.clip(np.log(np.asarray(rates)), *np.log(ends))
    is_near_N = np.asarray(scores) >= max(scores) - tolerance - 1e-12
    places_K, which_N = np.unique(places_N, return_inverse=True)
    borders = np.concatenate([[np.log(ends[0])], (places_K[1:] + places_K[:-1]) / 2, [np.log(ends[1])]])
    widths_K = np.diff(borders)
    near_K = np.bincount(which_N, weights=is_near_N) / np.bincount(which_N)
    return float(widths_K @ near_K / widths_K.sum())
