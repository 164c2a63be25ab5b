"""Losses compared by the expected result of their searches, from pools of trials and retrained configurations.

The estimate of a loss is ``sum_t w_t mean_t``: the weight of each trial's configuration as the end of a search, see
:mod:`losstune.statistics.pooling`, times the mean test score of its retrained seeds, see
:mod:`losstune.statistics.block_effects`. A difference has two independent errors: which configurations the pool
happened to hold (the search), and the seeds.

Shape suffixes: T trials of a pool, K blocks of a loss, N trainings, R rows of the jackknife.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from losstune.statistics.block_effects import fit_blocks
from losstune.statistics.moderation import Variance, moderated
from losstune.statistics.paired import Array
from losstune.statistics.pooling import Ints, Order, deleted_weights, jackknife_form, search_weights

LEAST_SEARCH_SHARE = 0.25
"""Least share of the jackknife variance that remains after the part that seeds add to it is subtracted."""
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The trials and blocks of one loss.

    Attributes:
        order: The order of selection of its trials.
        configuration_T: The trial that stands for each trial's configuration: itself, or the first training of the
            defaults.
        validation_T: Validation score of each trial, in the units of the test scores.
        failed_T: Whether the trial diverged or failed; its configuration then counts with the worst score.
        trial_K: The configuration that each block retrained, as the number of its trial.
        block_K: Number of each block. Blocks with the same number share their seeds over losses.
        score_K: Test score of each block.
    """

    order: Order
    configuration_T: Ints
    validation_T: Array
    failed_T: NDArray[np.bool_]
    trial_K: Ints
    block_K: Ints
    score_K: Array


@dataclass(frozen=True, slots=True)
class PooledDifference:
    """The difference of two losses in the expected result of a search.

    Attributes:
        mean: The estimate.
        search: Variance that is due to the trials that the pools hold.
        seed: Variance that is due to the seeds of the blocks.
        jackknife: Variance of the search before moderation; None if it was not estimated.
    """

    mean: float
    search: Variance
    seed: Variance
    jackknife: Variance | None = None

    @property
    def error(self) -> float:
        """Standard error of the estimate."""
        return math.sqrt(self.search.value + self.seed.value)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the standard error (Satterthwaite)."""
        spread = self.search.value**2 / self.search.freedom + self.seed.value**2 / self.seed.freedom
        return (self.search.value + self.seed.value) ** 2 / spread if spread > 0.0 else math.inf

    @property
    def p_value(self) -> float:
        """P-value of Student's two-sided t test."""
        if self.error <= _ROUNDING:
            return 1.0 if abs(self.mean) <= _ROUNDING else 0.0
        return float(2.0 * scipy.special.stdtr(self.freedom, -abs(self.mean) / self.error))

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the interval of all differences that the t test does not reject at 1 - confidence."""
        reach = float(scipy.special.stdtrit(self.freedom, 0.5 + confidence / 2.0)) * self.error
        return self.mean - reach, self.mean + reach


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected result of a loss's search.

    Attributes:
        mean: The estimate.
        search: Variance that is due to the trials that the pool holds; None with a single search.
        seed: Variance that is due to the seeds of the blocks, with what all losses share in a block.
    """

    mean: float
    search: Variance | None
    seed: Variance

    def interval(self, confidence: float) -> tuple[float, float] | None:
        """Return the t interval; None if an error is not known."""
        if self.search is None:
            return None
        return PooledDifference(self.mean, self.search, self.seed).interval(confidence)


@dataclass(frozen=True, slots=True)
class _Estimate:
    """One loss's estimate.

    Attributes:
        mean: The estimate.
        coefficients_N: The estimate as a linear function of all block scores, without its constant part.
        mean_T: Mean score of each trial's configuration.
        noise_T: Variance of these means in units of the residual variance.
    """

    mean: float
    coefficients_N: Array
    mean_T: Array
    noise_T: Array


@dataclass(frozen=True, slots=True)
class _Jackknife:
    """The jackknife of one loss's estimate.

    Attributes:
        centred_R: Centred and scaled estimates without each trial, whose sum of squares is the jackknife variance.
        noise: What the seeds add to this sum, in units of the residual variance.
    """

    centred_R: Array
    noise: float


class PooledStudy:
    """Pools of several losses whose blocks share seeds.

    Args:
        pools: The pools.
        size: Trials of a search, with the defaults.
        worst: Score of a configuration whose trial diverged or failed.

    Attributes:
        expected: The expected result of a search of each pool's loss.
    """

    def __init__(self, pools: Sequence[Pool], size: int, worst: float | None) -> None:
        self._pools, self._size = pools, size
        configuration_N, group_N = list[int](), list[int]()
        self._number: dict[tuple[int, int], int] = {}
        for group, pool in enumerate(pools):
            for trial in pool.trial_K.tolist():
                configuration_N.append(self._number.setdefault((group, trial), len(self._number)))
                group_N.append(group)
        scores = np.concatenate([pool.score_K for pool in pools])
        blocks = np.concatenate([pool.block_K for pool in pools])
        self._fit = fit_blocks(scores, configuration_N, group_N, blocks)
        self._estimates = [self._estimate(group, worst) for group in range(len(pools))]
        self._jackknives = [self._jackknife(group) for group in range(len(pools))]
        self.expected = [
            Expected(
                estimate.mean,
                None if jackknife is None else _sum_of_squares(jackknife.centred_R, self._jackknife_factor(group)),
                self._fit.variance_of(estimate.coefficients_N),
            )
            for group, (estimate, jackknife) in enumerate(zip(self._estimates, self._jackknives, strict=True))
        ]

    def differences(
        self, baseline: int, others: Sequence[int], known: Sequence[Variance] = ()
    ) -> list[PooledDifference]:
        """Return the differences of these pools from the baseline's, with moderated variances of the search.

        The pools must have the same trials by number, because draws with the same number may share coordinates: the
        jackknife leaves a number out of both pools.

        Args:
            baseline: Number of the baseline's pool.
            others: Numbers of the pools to compare.
            known: Variances of the search of further comparisons, before moderation, as they would be with this many
                trials. The moderation uses them, too.

        Raises:
            ValueError: If a pool has no trial to spare, which the variance of the search needs.
        """
        base, own = self._jackknives[baseline], self._fit.own_G
        raw, noises, seeds = list[Variance](), list[float](), list[Variance]()
        for other in others:
            mine = self._jackknives[other]
            if mine is None or base is None:
                raise ValueError(f"a pool needs more than {self._size - 1} draws for the variance of the search")
            raw.append(_sum_of_squares(mine.centred_R - base.centred_R, self._jackknife_factor(other)))
            noises.append(mine.noise * own[other].value + base.noise * own[baseline].value)
            seeds.append(self._seed_variance(other, baseline))
        found = []
        most_own = min([self._most_freedom(pool) for pool in (baseline, *others)], default=1.0)
        # Never lowered: losses differ much in how reliable their searches are.
        searches = moderated([*raw, *known], most_own=most_own, may_lower=False)[: len(raw)]
        for other, jackknife, search, noise, seed in zip(others, raw, searches, noises, seeds, strict=True):
            value = max(search.value - noise, LEAST_SEARCH_SHARE * search.value)
            mean = self._estimates[other].mean - self._estimates[baseline].mean
            # What remains after a subtraction is less certain. If nothing were cut off, the square of the share would
            # be exact; with the cut, the share itself keeps the level in simulated studies.
            freedom = search.freedom * value / search.value
            found.append(PooledDifference(mean, Variance(value, freedom), seed, jackknife))
        return found

    def without_search_error(self, baseline: int, others: Sequence[int]) -> list[PooledDifference]:
        """Return the differences with the error of the seeds alone, for pools with a single search."""
        return [
            PooledDifference(
                self._estimates[other].mean - self._estimates[baseline].mean,
                Variance(0.0, math.inf),
                self._seed_variance(other, baseline),
            )
            for other in others
        ]

    def _most_freedom(self, group: int) -> float:
        """Return one less than the number of disjoint searches in a pool, at least 1.

        The jackknife takes its degrees of freedom from the trials that it has. With few searches a pool may lack the
        rare configurations that make a loss unreliable: then variance and estimate are wrong together. On the banks of
        ``benchmarks/validity.py`` the 95% intervals of such losses covered the truth in 84% of studies without this
        limit.
        """
        return max(1.0, float(self._pools[group].order.num_draws // (self._size - 1) - 1))

    def _jackknife_factor(self, group: int) -> float:
        """Return ``1 - (q / m)^2`` for subsets of q of m draws: what the jackknife overestimates for the best of q.

        The ratio of the variance to the jackknife's expectation depends on the scores. It was found by simulation, for
        scores that are linear in the rank: 0.76 at m = 2 q, 0.92 at 3 q, 0.98 at 4 q; for scores that do not depend on
        the rank, and for steps, it is lower.
        """
        return 1.0 - ((self._size - 1) / self._pools[group].order.num_draws) ** 2

    def _seed_variance(self, group: int, baseline: int) -> Variance:
        mine, base = self._estimates[group], self._estimates[baseline]
        return self._fit.variance_of(mine.coefficients_N - base.coefficients_N)

    def _jackknife(self, group: int) -> _Jackknife | None:
        """Return the jackknife of a pool; None if it has no trial to spare."""
        pool, estimate = self._pools[group], self._estimates[group]
        if pool.order.num_draws <= self._size - 1:
            return None
        form = jackknife_form(deleted_weights(pool.order, self._size), pool.order)
        # Trials of one configuration share its mean, and so its noise.
        shared = form.copy()
        for trial in np.flatnonzero(pool.configuration_T != np.arange(pool.configuration_T.size)):
            shared[:, pool.configuration_T[trial]] += shared[:, trial]
            shared[:, trial] = 0.0
        return _Jackknife(form @ estimate.mean_T, float(((shared**2) @ estimate.noise_T).sum()))

    def _estimate(self, group: int, worst: float | None) -> _Estimate:
        """Return the estimate of a loss.

        A configuration that was not retrained counts with its validation score plus the mean gap between test and
        validation of the retrained ones. Its weight is small.
        """
        pool, fit = self._pools[group], self._fit
        weights = search_weights(pool.order, self._size)
        where, trials = pool.configuration_T, np.unique(pool.trial_K)
        rows = [self._number[group, trial] for trial in trials.tolist()]
        gap = float((fit.mean_C[rows] - pool.validation_T[trials]).mean())
        by_configuration, noise, is_retrained = pool.validation_T + gap, np.ones(where.size), np.zeros(where.size, bool)
        by_configuration[trials], is_retrained[trials] = fit.mean_C[rows], True
        noise[trials] = 1.0 / np.bincount(pool.trial_K)[trials]
        mean_T, noise_T, is_guessed_T = by_configuration[where], noise[where], ~is_retrained[where]
        if worst is not None:
            failed_T = pool.failed_T & is_guessed_T
            mean_T[failed_T], noise_T[failed_T], is_guessed_T[failed_T] = worst, 0.0, False
        weight_C = np.bincount(where, weights, minlength=where.size)[trials]
        coefficients_N = (weight_C + weights[is_guessed_T].sum() / trials.size) @ fit.map_CN[rows]
        return _Estimate(float(weights @ mean_T), coefficients_N, mean_T, noise_T)


def _sum_of_squares(values_R: Array, factor: float) -> Variance:
    """Return `factor` times the sum of squares of the rows, with as many degrees of freedom as rows matter."""
    squares = values_R**2
    total, fourth = float(squares.sum()), float((squares**2).sum())
    return Variance(factor * total, max(1.0, total**2 / fourth) if fourth > 0.0 else 1.0)
