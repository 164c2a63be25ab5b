"""Learning-rate sensitivity: the share of the searched learning rates at which a loss is near its best score."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from losstune.core.records import Record
from losstune.verdict.results import Results

TOLERANCE = 0.01
"""A trial counts as near the best of its loss within this difference of a fraction: one point."""

ROPES = 2
"""Without a fraction, the tolerance is this number of ROPEs, as it is with the default ROPE of half a point."""


@dataclass(frozen=True, slots=True)
class LearningRateSensitivity:
    """The share of the searched learning rates that works for a loss.

    Attributes:
        share: Share of the searched decades, 0 to 1. A larger share means less sensitivity.
        num_decades: Number of searched decades.
    """

    share: float
    num_decades: float


def tolerance_of(results: Results) -> float:
    """Return the difference within which a trial is near the best of its loss."""
    return TOLERANCE if results.percent else ROPES * results.rope


def sensitivity_of(
    results: Results, tune_records: Iterable[Record], learning_rates: Mapping[str, tuple[float, float]]
) -> dict[str, LearningRateSensitivity]:
    """Return the sensitivity of each loss with a given range of learning rates and a usable trial.

    Args:
        results: Results with the losses and the metric.
        tune_records: Records of the search.
        learning_rates: Lowest and highest searched learning rate by loss.
    """
    trials: defaultdict[str, list[Record]] = defaultdict(list)
    for record in tune_records:
        trials[record.configuration.loss].append(record)
    found = {}
    for loss in (result.loss for result in results.losses):
        if loss in learning_rates and any(r.status in ("finished", "stopped") for r in trials[loss]):
            low, high = learning_rates[loss]
            gains = [results.units.sign * record.validation[results.metric] for record in trials[loss]]
            rates = [record.configuration.learning_rate for record in trials[loss]]
            share = share_near_best(rates, gains, (low, high), tolerance=tolerance_of(results))
            found[loss] = LearningRateSensitivity(share, float(np.log10(high / low)))
    return found


def share_near_best(
    rates: Sequence[float], scores: Sequence[float], ends: tuple[float, float], *, tolerance: float
) -> float:
    """Return the share of the range, on a logarithmic axis, over which trials come within `tolerance` of the best.

    Each trial represents the part of the range that is nearer to it than to any other trial: ``sum_i w_i [s_i >= max s
    - tolerance] / sum_i w_i`` with w_i the length of that part. Trials with equal rates divide their part evenly. The
    trials also differ in other hyperparameters, so a loss that is sensitive to these gets a smaller share. The best of
    more trials is higher, and the share is smaller, so compare only losses of the same study.

    Args:
        rates: Learning rate of each trial.
        scores: Score of each trial, higher is better. A diverged or failed trial has the worst score.
        ends: Lowest and highest learning rate searched.
        tolerance: Largest difference from the best, in units of the score.
    """
    places_N = np.clip(np.log(np.asarray(rates)), *np.log(ends))
    is_near_N = np.asarray(scores) >= max(scores) - tolerance - 1e-12
    places_K, which_N = np.unique(places_N, return_inverse=True)
    borders = np.concatenate([[np.log(ends[0])], (places_K[1:] + places_K[:-1]) / 2, [np.log(ends[1])]])
    widths_K = np.diff(borders)
    near_K = np.bincount(which_N, weights=is_near_N) / np.bincount(which_N)
    return float(widths_K @ near_K / widths_K.sum())
