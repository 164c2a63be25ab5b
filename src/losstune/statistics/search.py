"""Other budgets, estimated from a search's trials: the expected best of k, and where two losses change rank."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from losstune.statistics.paired import Array, finite


def expected_best(scores: ArrayLike) -> Array:
    """Return, for k = 1..n, the expected best score of k of the n trials, drawn without replacement.

    ``E_k = sum_i v_i C(i-1, k-1) / C(n, k)`` with v_1 <= ... <= v_n: the unbiased estimate of the expected best of k
    independent trials. (The form with replacement, ``sum_i v_i ((i/n)^k - ((i-1)/n)^k)``, is biased downward.)

    Args:
        scores: Scores, one per trial, higher is better; at least one.

    Returns:
        Values (n,), non-decreasing; the first is the mean, the last the maximum.

    Source:
        Dodge et al. 2019, *Show your work*, in the unbiased form of Tang et al. 2020, arXiv 2004.13705.
    """
    sorted_n = np.sort(finite(scores))
    num_trials = sorted_n.size
    weights_n = np.full(num_trials, 1.0 / num_trials)
    curve = np.empty(num_trials)
    curve[0] = sorted_n.mean()
    position_n = np.arange(1, num_trials + 1, dtype=np.float64)
    for k in range(2, num_trials + 1):
        # C(i-1, k-1)/C(n, k) from its value for k - 1: times (i - k + 1)/(k - 1), times k/(n - k + 1).
        weights_n = weights_n * np.maximum(position_n - k + 1, 0.0) / (k - 1) * k / (num_trials - k + 1)
        curve[k - 1] = weights_n @ sorted_n
    return curve


def overtakes(curve: Sequence[float] | Array, other: Sequence[float] | Array) -> list[tuple[int, bool]]:
    """Return the budgets at which the leading curve changes, each with whether the first curve leads from there.

    Budgets count from 1. Where the curves are equal (to 1e-12), the leader stays the same. A lead from the first trial
    on is no change.
    """
    found: list[tuple[int, bool]] = []
    leader: bool | None = None
    for k, (ours, theirs) in enumerate(zip(curve, other, strict=False), start=1):
        if abs(ours - theirs) <= 1e-12:
            continue
        if leader is not None and leader != (ours > theirs):
            found.append((k, bool(ours > theirs)))
        leader = bool(ours > theirs)
    return found
