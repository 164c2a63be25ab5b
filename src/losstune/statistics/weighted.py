"""Means over blocks with weights."""

from __future__ import annotations

import math

import scipy
from numpy.typing import ArrayLike

from losstune.statistics.paired import Estimate, finite


def weighted_mean_with_interval(values_B: ArrayLike, weights_B: ArrayLike, *, confidence: float) -> Estimate:
    """Return a weighted mean with its t interval.

    ``m = sum_b w_b x_b`` with a variance of ``B / (B - 1) sum_b w_b^2 (x_b - m)^2`` and B - 1 degrees of freedom, which
    is the usual interval if all weights are equal.

    Args:
        values_B: Scores, one per block, all finite. If all are equal, or there is one, the interval is a single point.
        weights_B: Their weights, with a sum of 1.
        confidence: Confidence level, such as 0.95.

    Source:
        Cochran 1977, *Sampling techniques*, section 6.4 (the linearised variance of a ratio).
    """
    values, weights = finite(values_B), finite(weights_B)
    mean = float(weights @ values)
    if values.size < 2:
        return Estimate(mean, mean, mean)
    error = math.sqrt(values.size / (values.size - 1) * float(weights**2 @ (values - mean) ** 2))
    reach = float(scipy.stats.t.ppf(0.5 + confidence / 2.0, values.size - 1)) * error
    return Estimate(mean, mean - reach, mean + reach)
