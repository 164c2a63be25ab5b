"""Estimates with intervals, and tests, for scores that were measured in paired blocks.

Shape suffixes: B blocks, G groups (subsets of blocks).

A block is one set of fresh seeds on which every loss was trained once, so scores are compared within a block
and only the differences count. The test, its interval and the equivalence test below make one assumption: if the
two losses are equally good, a block's difference is as likely to be +d as -d (swapping the labels changes
nothing). They do not assume normality, and their levels are exact for the small numbers of blocks of a study.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

MAX_EXACT_BLOCKS = 18
"""Up to this many blocks, all 2^B sign flips are enumerated; with more, random ones are drawn."""
NUM_RANDOM_FLIPS = 99_999
NUM_RESAMPLES = 9_999
MOST_TIED = 13
"""Up to this many blocks, the signed-rank test is exact in spite of ties and zeros, as ``scipy.stats.wilcoxon`` is.
With more and ties, SciPy approximates it by the normal distribution."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval.

    Attributes:
        value: The point estimate.
        low: Lower bound; minus infinity if the data cannot bound it.
        high: Upper bound; infinity if the data cannot bound it.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """The difference of two losses over paired blocks; positive means that the first is higher.

    Attributes:
        mean: Mean difference.
        median: Median difference.
        sd: Sample standard deviation of the differences (ddof=1).
        low: Lower bound of the mean's (1 - alpha) sign-flip interval, consistent with `p_value`.
        high: Its upper bound.
        bca_low: Lower bound of the mean's BCa bootstrap interval at 1 - alpha, for readers who expect it.
        bca_high: Its upper bound.
        median_low: Lower bound of the median's BCa bootstrap interval at 1 - alpha.
        median_high: Its upper bound.
        equivalence_low: Lower bound of the (1 - 2 alpha) interval, which tests equivalence.
        equivalence_high: Its upper bound.
        p_value: P-value of the two-sided sign-flip permutation test on the mean, the primary test.
        p_wilcoxon: P-value of the two-sided Wilcoxon signed-rank test; secondary, for readers who expect it.
        probability_better: Probability of improvement: the fraction of blocks in which the first is higher, ties
            counted half.
        probability_low: Lower bound of its (1 - alpha) Wilson interval.
        probability_high: Its upper bound.
        effect_size: Hedges's g of paired scores, see :func:`effect_size`; None if all differences are equal.
    """

    mean: float
    median: float
    sd: float
    low: float
    high: float
    bca_low: float
    bca_high: float
    median_low: float
    median_high: float
    equivalence_low: float
    equivalence_high: float
    p_value: float
    p_wilcoxon: float
    probability_better: float
    probability_low: float
    probability_high: float
    effect_size: float | None


def mean_with_interval(values_B: ArrayLike, *, confidence: float, rng: np.random.Generator) -> Estimate:
    """Return the mean with its bias-corrected and accelerated (BCa) bootstrap interval.

    It describes the spread of one loss's score. To compare losses, use :func:`paired_difference`; overlap of two
    such intervals is no test. Below about 20 blocks a BCa interval is slightly too short: at a nominal 95% it covers
    a normal mean in about 89% of studies with 10 blocks.

    Args:
        values_B: Scores, one per block, all finite, at least one. If all are equal, the interval is a single point.
        confidence: Confidence level, such as 0.95.
        rng: Random generator of the resamples.

    Source:
        Efron 1987, *Better bootstrap confidence intervals*; computed by ``scipy.stats.bootstrap``.
    """
    return _bca(finite(values_B), np.mean, confidence, rng)


def median_with_interval(values_B: ArrayLike, *, confidence: float, rng: np.random.Generator) -> Estimate:
    """Return the median with its BCa bootstrap interval; arguments as for :func:`mean_with_interval`.

    The bootstrap medians are data values or midpoints of two, so the bounds are discrete.
    """
    return _bca(finite(values_B), np.median, confidence, rng)


def effect_size(differences_B: ArrayLike) -> float | None:
    """Return Hedges's g of paired scores, ``(1 - 3 / (4 (B - 1) - 1)) mean(d) / sd(d)``.

    It relates a difference to its spread between blocks (Cohen's d_z, corrected for few blocks). It does not say
    whether the difference matters in practice. None if all differences are equal.

    Source:
        Hedges 1981, *Distribution theory for Glass's estimator of effect size*, the approximation of eq. (6e).
    """
    differences_B = finite(differences_B)
    sd = float(differences_B.std(ddof=1)) if differences_B.size > 1 else 0.0
    if sd <= 1e-12 * np.abs(differences_B).max():
        return None
    correction = 1.0 - 3.0 / (4.0 * (differences_B.size - 1) - 1.0)
    return float(correction * differences_B.mean() / sd)


def wilson_interval(share: float, num_blocks: int, *, confidence: float) -> tuple[float, float]:
    """Return the Wilson score interval of a mean of values in [0, 1] such as wins, with ties counted half.

    ``(share + z^2/2n +- z sqrt(share (1 - share)/n + z^2/4n^2)) / (1 + z^2/n)``. Among variables in [0, 1] with a given
    mean, a 0/1 variable has the largest variance, so with ties the interval is conservative.

    Source:
        Wilson 1927; without ties it equals ``statsmodels.stats.proportion.proportion_confint(method="wilson")``.
    """
    z = float(scipy.stats.norm.ppf(0.5 + confidence / 2.0))
    centre = share + z**2 / (2 * num_blocks)
    reach = z * math.sqrt(share * (1.0 - share) / num_blocks + z**2 / (4 * num_blocks**2))
    scale = 1.0 + z**2 / num_blocks
    # In exact arithmetic, the lower bound of 0 is 0 and the upper bound of 1 is 1.
    low = 0.0 if share == 0.0 else (centre - reach) / scale
    return low, 1.0 if share == 1.0 else (centre + reach) / scale


def paired_difference(
    scores_B: ArrayLike, baseline_B: ArrayLike, *, alpha: float, rng: np.random.Generator
) -> PairedDifference:
    """Compare two losses over paired blocks.

    Test and intervals use the same sign flips, so they are consistent: the (1 - alpha) interval excludes zero if and
    only if ``p_value <= alpha``. See :func:`sign_flip_interval` for the interval.

    Args:
        scores_B: Scores of the loss, one per block.
        baseline_B: Scores of the baseline on the same blocks, in the same order.
        alpha: Level of the test; intervals are at 1 - alpha and 1 - 2 alpha.
        rng: Random generator of the bootstrap resamples, and of the flips if there are too many to enumerate.

    Raises:
        ValueError: If the arrays differ in length, are shorter than 2, or contain a value that is not finite.
    """
    scores_B, baseline_B = finite(scores_B), finite(baseline_B)
    if scores_B.shape != baseline_B.shape:
        raise ValueError(f"paired scores must be as many, found {scores_B.size} and {baseline_B.size}")
    if scores_B.size < 2:
        raise ValueError("a paired comparison needs at least 2 blocks, found 1")
    differences_B = scores_B - baseline_B
    means_G = _group_means(differences_B, rng)
    interval = _interval(means_G, 1.0 - alpha)
    narrow = _interval(means_G, 1.0 - 2.0 * alpha)
    mean = mean_with_interval(differences_B, confidence=1.0 - alpha, rng=rng)
    median = median_with_interval(differences_B, confidence=1.0 - alpha, rng=rng)
    share = probability_better(scores_B, baseline_B)
    chance = wilson_interval(share, differences_B.size, confidence=1.0 - alpha)
    return PairedDifference(
        mean=mean.value,
        median=median.value,
        sd=float(differences_B.std(ddof=1)),
        low=interval[0],
        high=interval[1],
        bca_low=mean.low,
        bca_high=mean.high,
        median_low=median.low,
        median_high=median.high,
        equivalence_low=narrow[0],
        equivalence_high=narrow[1],
        p_value=_p_value(means_G),
        p_wilcoxon=wilcoxon_p_value(differences_B),
        probability_better=share,
        probability_low=chance[0],
        probability_high=chance[1],
        effect_size=effect_size(differences_B),
    )


def sign_flip_p_value(differences_B: ArrayLike, *, rng: np.random.Generator) -> float:
    """Return the two-sided p-value of the sign-flip permutation test on the mean.

    ``p = #{s in {-1, +1}^B : |sum_b s_b d_b| >= |sum_b d_b|} / 2^B`` over all flips if B is at most
    :data:`MAX_EXACT_BLOCKS`; otherwise estimated from random flips plus the observed one, which keeps the level
    exact (Phipson & Smyth 2010). Its minimum is 2 / 2^B, so at least 6 blocks are needed to reach 0.05.
    """
    differences_B = finite(differences_B)
    return _p_value(_group_means(differences_B, rng))


def sign_flip_interval(differences_B: ArrayLike, *, confidence: float, rng: np.random.Generator) -> tuple[float, float]:
    """Return the interval of all means that the sign-flip test at level 1 - confidence does not reject.

    Shifting the differences by m and flipping the blocks of a group S raises their sum if and only if the mean of S
    is below m. So the bounds are order statistics of the 2^B - 1 means of groups of blocks. The coverage is exact if
    the differences are symmetric about their mean (Hartigan 1969, *Using subsample values as typical values*). With
    too few blocks for the confidence level, both bounds are infinite.
    """
    return _interval(_group_means(finite(differences_B), rng), confidence)


def wilcoxon_p_value(differences_B: ArrayLike) -> float:
    """Return the two-sided p-value of the Wilcoxon signed-rank test; zeros are dropped, and only zeros give 1."""
    # Scores are ratios of counts: rounding errors must not rank equal differences, nor give a zero a sign.
    rounded_B = finite(differences_B).round(12)
    if not rounded_B.any():
        return 1.0
    if len(rounded_B) > MOST_TIED:
        return float(scipy.stats.wilcoxon(rounded_B, zero_method="wilcox", method="auto").pvalue)
    signed_B = rounded_B[rounded_B != 0]
    # With ties, SciPy would compute the statistic of all sign patterns in Python, a hundred times slower. Twice a
    # midrank is a whole number, so the patterns of each rank sum can be counted.
    doubled_B = (2 * scipy.stats.rankdata(np.abs(signed_B))).astype(np.int64)
    counts = np.ones(1, dtype=np.int64)
    for rank in doubled_B:
        none = np.zeros(rank, dtype=np.int64)
        counts = np.append(counts, none) + np.append(none, counts)
    found = int(doubled_B[signed_B > 0].sum())
    tail = min(int(counts[: found + 1].sum()), int(counts[found:].sum()))
    return float(min(1.0, 2 * tail / 2 ** len(signed_B)))


def probability_better(scores_B: ArrayLike, baseline_B: ArrayLike) -> float:
    """Return P(score > baseline) over the blocks, ties counted half."""
    differences_B = (finite(scores_B) - finite(baseline_B)).round(12)
    return float(np.mean(differences_B > 0) + 0.5 * np.mean(differences_B == 0))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm-adjusted p-values in the given order; they control the family-wise error rate.

    Source:
        Holm 1979; equals ``statsmodels.stats.multitest.multipletests(method="holm")``.
    """
    p_M = np.asarray(p_values, dtype=np.float64)
    order_M = np.argsort(p_M)
    raised_M = np.maximum.accumulate(p_M[order_M] * np.arange(len(p_M), 0, -1))
    adjusted_M = np.empty_like(p_M)
    adjusted_M[order_M] = np.minimum(raised_M, 1.0)
    return [float(p) for p in adjusted_M]


def finite(values_B: ArrayLike) -> Array:
    """Return a vector of finite numbers as an array.

    Raises:
        ValueError: If it is empty, not one-dimensional, or contains a value that is not finite.
    """
    array_B = np.asarray(values_B, dtype=np.float64)
    if array_B.ndim != 1 or array_B.size == 0 or not np.isfinite(array_B).all():
        raise ValueError(f"a non-empty row of finite numbers is expected, found {array_B!r}")
    return array_B


def _bca(values_B: Array, statistic: Callable[..., Any], confidence: float, rng: np.random.Generator) -> Estimate:
    value = float(statistic(values_B))
    if np.ptp(values_B) <= 1e-12 * np.abs(values_B).max():
        return Estimate(value, value, value)
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        # If all jackknife values are equal, BCa is undefined; the percentile interval is its limit.
        warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)
        found = scipy.stats.bootstrap(
            (values_B,), statistic, confidence_level=confidence, n_resamples=NUM_RESAMPLES, method="BCa", rng=rng
        )
    interval = found.confidence_interval
    if math.isnan(interval.low) or math.isnan(interval.high):
        tail = (1.0 - confidence) / 2.0
        low, high = np.quantile(found.bootstrap_distribution, [tail, 1.0 - tail])
        return Estimate(value, float(low), float(high))
    return Estimate(value, float(interval.low), float(interval.high))


def _group_means(differences_B: Array, rng: np.random.Generator) -> Array:
    """Return the sorted means of all non-empty groups of blocks, or of random groups if there are too many."""
    if differences_B.size <= MAX_EXACT_BLOCKS:
        sums_G, sizes_G = np.zeros(1), np.zeros(1)
        for difference in differences_B:
            sums_G = np.concatenate([sums_G, sums_G + difference])
            sizes_G = np.concatenate([sizes_G, sizes_G + 1.0])
        means_G = sums_G[1:] / sizes_G[1:]
    else:
        means_G = np.concatenate(list(_random_group_means(differences_B, rng)))
    # Scores are ratios of counts, so group means of exactly zero are common and must count as ties. Rounding
    # errors are about 1e-16 of the differences' size, true non-zero means are far above 1e-10 of it.
    means_G[np.abs(means_G) <= 1e-10 * np.abs(differences_B).max()] = 0.0
    return np.sort(means_G)


def _random_group_means(differences_B: Array, rng: np.random.Generator) -> list[Array]:
    rows_at_once = max(1, 2**24 // differences_B.size)
    means: list[Array] = []
    for start in range(0, NUM_RANDOM_FLIPS, rows_at_once):
        num_rows = min(rows_at_once, NUM_RANDOM_FLIPS - start)
        groups = rng.integers(0, 2, size=(num_rows, differences_B.size), dtype=np.int8)
        # With more than MAX_EXACT_BLOCKS blocks, an empty group has a probability below 4e-6; use one block then.
        groups[groups.sum(axis=1) == 0, 0] = 1
        means.append((groups @ differences_B) / groups.sum(axis=1))
    return means


def _p_value(sorted_means_G: Array) -> float:
    # A group with a mean of at most zero is a flip that keeps or raises the sum; "+ 1" counts the identity. The
    # distribution is symmetric, so the two-sided p-value is twice the smaller one-sided one.
    num_low = 1 + int(np.searchsorted(sorted_means_G, 0.0, side="right"))
    num_high = 1 + sorted_means_G.size - int(np.searchsorted(sorted_means_G, 0.0, side="left"))
    return min(1.0, 2.0 * min(num_low, num_high) / (sorted_means_G.size + 1))


def _interval(sorted_means_G: Array, confidence: float) -> tuple[float, float]:
    rank = math.floor((1.0 - confidence) / 2.0 * (sorted_means_G.size + 1) + 1e-9)
    if rank == 0:
        return -math.inf, math.inf
    return float(sorted_means_G[rank - 1]), float(sorted_means_G[-rank])
