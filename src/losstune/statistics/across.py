"""One comparison over several tasks (data sets, models): ranks, robust means, profiles.

Shape suffixes: T tasks, M methods, R runs (blocks) of a task, which are paired between methods.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from losstune.statistics.paired import Array, Estimate, holm

NUM_RESAMPLES = 9_999


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Methods compared by their ranks over tasks.

    Attributes:
        mean_ranks: Mean rank of each method; 1 is best, ties get the mean of their ranks.
        p_friedman: P-value of Friedman's test in Iman and Davenport's F form; the null hypothesis is that all methods
            rank equally.
        critical_difference: Nemenyi's critical difference: mean ranks that differ by less do not differ
            significantly.
        groups: The maximal groups of two or more methods, best first, within a critical difference of each other.
    """

    mean_ranks: tuple[float, ...]
    p_friedman: float
    critical_difference: float
    groups: tuple[tuple[int, ...], ...]


def rank_methods(scores_TM: ArrayLike, *, alpha: float) -> Ranking:
    """Rank methods over tasks.

    ``chi2_F = 12 T / (M (M+1)) (sum_m R_m^2 - M (M+1)^2 / 4)``, corrected for ties, and ``F = (T-1) chi2_F /
    (T (M-1) - chi2_F)`` with M-1 and (M-1)(T-1) degrees of freedom; ``CD = q_alpha sqrt(M (M+1) / 6T)`` with
    q_alpha the studentized range's quantile over sqrt(2).

    Args:
        scores_TM: Mean score of each method on each task, higher is better; T at least 2, M at least 3.
        alpha: Level of the critical difference.

    Raises:
        ValueError: If there are too few tasks or methods, or a value is not finite.

    Source:
        Demsar 2006, *Statistical comparisons of classifiers over multiple data sets*, section 3.2.2.
    """
    scores_TM = _matrix(scores_TM)
    num_tasks, num_methods = scores_TM.shape
    if num_tasks < 2 or num_methods < 3:
        raise ValueError(f"expected at least 2 tasks and 3 methods, found {num_tasks} and {num_methods}")
    ranks_TM = scipy.stats.rankdata(-scores_TM.round(12), axis=1)
    mean_M = ranks_TM.mean(0)
    if (ranks_TM == ranks_TM[:, :1]).all():
        p_value = 1.0
    else:
        chi2 = float(scipy.stats.friedmanchisquare(*ranks_TM.T).statistic)
        rest = num_tasks * (num_methods - 1) - chi2
        freedom = (num_methods - 1, (num_methods - 1) * (num_tasks - 1))
        p_value = 0.0 if rest <= 1e-12 else float(scipy.stats.f.sf((num_tasks - 1) * chi2 / rest, *freedom))
    quantile = float(scipy.stats.studentized_range.ppf(1.0 - alpha, num_methods, np.inf)) / math.sqrt(2.0)
    difference = quantile * math.sqrt(num_methods * (num_methods + 1) / (6.0 * num_tasks))
    return Ranking(
        mean_ranks=tuple(mean_M.tolist()),
        p_friedman=p_value,
        critical_difference=difference,
        groups=_groups(mean_M, difference),
    )


def nemenyi(scores_TM: ArrayLike) -> Array:
    """Return the p-values (M, M) of Nemenyi's test between every two methods, computed by scikit-posthocs."""
    from scikit_posthocs import posthoc_nemenyi_friedman  # imports pandas and seaborn, which takes a second

    return np.asarray(posthoc_nemenyi_friedman(_matrix(scores_TM).round(12)), dtype=np.float64)


def against_baseline(scores_TM: ArrayLike, baseline: int) -> list[float]:
    """Return Holm-adjusted p-values of Wilcoxon's signed-rank test over tasks, each method against the baseline.

    The baseline's own entry is 1. With a reference method, this test is preferable to Nemenyi's, because it does not
    depend on the other methods in the comparison.

    Source:
        Benavoli, Corani & Mangili 2016, *Should we really use post-hoc tests based on mean-ranks?*
    """
    scores_TM = _matrix(scores_TM)
    others = [method for method in range(scores_TM.shape[1]) if method != baseline]
    raw = []
    for method in others:
        difference_T = (scores_TM[:, method] - scores_TM[:, baseline]).round(12)
        raw.append(float(scipy.stats.wilcoxon(difference_T).pvalue) if difference_T.any() else 1.0)
    adjusted = dict(zip(others, holm(raw), strict=True))
    return [adjusted.get(method, 1.0) for method in range(scores_TM.shape[1])]


def interquartile_mean(scores_TR: Sequence[ArrayLike], *, confidence: float, rng: np.random.Generator) -> Estimate:
    """Return the mean of the middle half of all runs over all tasks, with a two-level bootstrap interval.

    The bootstrap resamples tasks, and runs within each task; the interval is the percentile interval. Agarwal et al.
    keep the tasks and resample only runs. Here the runs of a task share the winner of one search, so the search's
    random error is in all of them. Only other tasks, with their own searches, show how large it is. If that error is as
    large as the runs' spread, eight tasks of eight runs cover 92% at a nominal 95%; resampling only runs covers 52%.

    Args:
        scores_TR: For each task, the scores of its runs; tasks may differ in the number of runs.
        confidence: Confidence level, such as 0.95.
        rng: Random generator of the resamples.

    Returns:
        The estimate; its interval is unbounded if the tasks are too few for any test to reach 1 - `confidence`, see
        :func:`least_p_value`.

    Source:
        Agarwal et al. 2021, *Deep reinforcement learning at the edge of the statistical precipice*, for the mean;
        Davison and Hinkley 1997, *Bootstrap Methods and their Application*, section 3.8, for the resampling.
    """
    tasks = [np.asarray(runs, dtype=np.float64) for runs in scores_TR]
    value = float(scipy.stats.trim_mean(np.concatenate(tasks), 0.25))
    if least_p_value(len(tasks)) > 1.0 - confidence:
        return Estimate(value, -math.inf, math.inf)
    resampled = _resample(tasks, rng)
    return Estimate(value, *_percentiles(_trimmed_means(resampled.reshape(NUM_RESAMPLES, -1)), confidence))


def probability_of_improvement(
    differences_TR: Sequence[ArrayLike], *, confidence: float, rng: np.random.Generator
) -> Estimate:
    """Return the mean over tasks of the fraction of blocks in which a method is better, ties counted half.

    The interval is a two-level percentile bootstrap interval, as in :func:`interquartile_mean`; it is [0, 1] if there
    are too few tasks.

    Args:
        differences_TR: For each task, the paired differences of its blocks.
        confidence: Confidence level, such as 0.95.
        rng: Random generator of the resamples.
    """
    signs = [np.sign(np.asarray(runs, dtype=np.float64).round(12)) / 2.0 + 0.5 for runs in differences_TR]
    value = float(np.mean([sign_R.mean() for sign_R in signs]))
    if least_p_value(len(signs)) > 1.0 - confidence:
        return Estimate(value, 0.0, 1.0)
    return Estimate(value, *_percentiles(np.nanmean(_resample(signs, rng), axis=2).mean(axis=1), confidence))


def least_p_value(num_tasks: int) -> float:
    """Return the smallest two-sided p-value that a sign test or signed-rank test over tasks can give.

    ``2 / 2^T``: of the 2^T sign patterns of T differences, two are as extreme as all signs equal.

    Example:
        >>> least_p_value(6)
        0.03125
    """
    return min(1.0, 2.0 / 2.0**num_tasks)


def performance_profile(scores_TR: Sequence[ArrayLike], thresholds: ArrayLike) -> Array:
    """Return, for each threshold, the fraction of runs above it, averaged over tasks.

    A method whose profile is above another's everywhere dominates it stochastically.

    Source:
        Agarwal et al. 2021, section 4.3.
    """
    limits = np.asarray(thresholds, dtype=np.float64)
    profiles = [(np.asarray(runs, dtype=np.float64)[:, None] > limits).mean(0) for runs in scores_TR]
    return np.asarray(np.mean(profiles, axis=0))


def _resample(tasks: Sequence[Array], rng: np.random.Generator) -> Array:
    """Return resamples (S, T, R) of tasks and of runs within each; tasks with fewer runs are padded with NaN."""
    drawn_ST = rng.integers(0, len(tasks), size=(NUM_RESAMPLES, len(tasks)))
    resampled = np.full((*drawn_ST.shape, max(runs.size for runs in tasks)), np.nan)
    for task, runs in enumerate(tasks):
        is_drawn = drawn_ST == task
        resampled[is_drawn, : runs.size] = runs[rng.integers(0, runs.size, (int(is_drawn.sum()), runs.size))]
    return resampled


def _trimmed_means(values_SN: Array) -> Array:
    """Return the mean of the middle half of each row, ignoring NaN."""
    ordered = np.sort(values_SN, axis=1)  # NaN sorts last
    count_S = np.isfinite(ordered).sum(axis=1)
    cut_S = count_S // 4
    sums = np.concatenate([np.zeros((len(ordered), 1)), np.nan_to_num(ordered).cumsum(axis=1)], axis=1)
    rows = np.arange(len(ordered))
    means: Array = (sums[rows, count_S - cut_S] - sums[rows, cut_S]) / (count_S - 2 * cut_S)
    return means


def _percentiles(values_S: Array, confidence: float) -> tuple[float, float]:
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(values_S, [tail, 1.0 - tail])
    return float(low), float(high)


def _matrix(scores_TM: ArrayLike) -> Array:
    scores_TM = np.asarray(scores_TM, dtype=np.float64)
    if scores_TM.ndim != 2 or not np.isfinite(scores_TM).all():
        raise ValueError(f"expected finite scores (T, M), found shape {scores_TM.shape}")
    return scores_TM


def _groups(mean_M: Array, difference: float) -> tuple[tuple[int, ...], ...]:
    order = np.argsort(mean_M, kind="stable").tolist()
    groups: list[tuple[int, ...]] = []
    for start in range(len(order)):
        inside = [method for method in order[start:] if mean_M[method] - mean_M[order[start]] <= difference]
        # Skip a group that is contained in the previous one.
        if len(inside) > 1 and not (groups and set(inside) <= set(groups[-1])):
            groups.append(tuple(inside))
    return tuple(groups)
