"""The expected result of a search, estimated from a pool of trials: a U-statistic over the searches within the pool.

A search has `size` trials: the published defaults and ``size - 1`` configurations drawn at random. It ends at its best
trial. All draws of a pool have the same distribution, so every subset of them, with one training of the defaults, is a
search. The expected test score of a search is therefore a weighted mean over the pool, and few trials have a weight
that matters.

Shape suffixes: T trials of a pool, M of them draws and D trainings of the defaults; R rows, one for each deleted trial.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from losstune.statistics.paired import Array

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Order:
    """The order of selection of a pool's trials.

    Attributes:
        rank_T: Position of each trial when sorted from best to worst on validation, from 0; no ties.
        is_default_T: Whether the trial is a training of the published defaults.
    """

    rank_T: Ints
    is_default_T: Bools

    @classmethod
    def of(cls, rank_T: ArrayLike, is_default_T: ArrayLike) -> Order:
        """Return the order of these trials.

        Raises:
            ValueError: If the ranks are not a permutation of 0..T-1, or no trial is a default.
        """
        ranks, defaults = np.asarray(rank_T, np.int64), np.asarray(is_default_T, np.bool_)
        if (
            ranks.shape != defaults.shape
            or ranks.ndim != 1
            or not np.array_equal(np.sort(ranks), np.arange(ranks.size))
        ):
            raise ValueError(f"expected ranks 0..T-1, each once, found {ranks!r}")
        if not defaults.any():
            raise ValueError("expected a training of the defaults, found none")
        return cls(ranks, defaults)

    @property
    def num_draws(self) -> int:
        """Number of trials that were drawn at random."""
        return int((~self.is_default_T).sum())

    @property
    def num_defaults(self) -> int:
        """Number of trainings of the defaults."""
        return int(self.is_default_T.sum())


def search_weights(order: Order, size: int) -> Array:
    """Return the probability of each trial to win a search of `size` trials that is drawn from the pool.

    With m draws, the i-th best of them wins with probability ``C(m - i, size - 2) / C(m, size - 1)`` if it beats the
    defaults; the defaults win with probability ``C(m - g, size - 1) / C(m, size - 1)`` if g draws beat
    them. Averaged over the trainings of the defaults. The weights sum to 1.

    Raises:
        ValueError: If the pool has fewer than ``size - 1`` draws.

    Source:
        Hoeffding 1948, *A class of statistics with asymptotically normal distribution* (U-statistics); the weights of
        the best of k are those of Dodge et al. 2019, *Show your work*.
    """
    wins, beaten = _tables(order.num_draws, size - 1)
    draws, defaults, place_M, beats_DM = _places(order)
    weights_T = np.zeros(order.rank_T.size)
    weights_T[draws] = wins[place_M] * beats_DM.mean(0)
    weights_T[defaults] = beaten[beats_DM.sum(1)] / defaults.size
    return weights_T


def deleted_weights(order: Order, size: int) -> Array:
    """Return the weights (R, T) of the pool without each of its trials in turn, for the jackknife.

    The row of a trial that cannot be missed, because it is the only training of the defaults, has the weights of the
    whole pool.

    Raises:
        ValueError: If the pool without a draw has fewer than ``size - 1`` draws.
    """
    wins, beaten = _tables(order.num_draws - 1, size - 1)
    draws, defaults, place_M, beats_DM = _places(order)
    rows = np.zeros((order.rank_T.size, order.rank_T.size))
    # Without a draw, those behind it move up by one place.
    shifted_MM = place_M[None, :] - (place_M[None, :] > place_M[:, None])
    chances_MM = np.append(wins, 0.0)[shifted_MM] * beats_DM.mean(0)
    np.fill_diagonal(chances_MM, 0.0)
    rows[np.ix_(draws, draws)] = chances_MM
    rows[np.ix_(draws, defaults)] = beaten[beats_DM.sum(1)[None, :] - beats_DM.T] / defaults.size
    # Without a training of the defaults, the others count for more.
    num_defaults = defaults.size
    wins, beaten = _tables(order.num_draws, size - 1)
    alone_DT = np.zeros((num_defaults, order.rank_T.size))
    alone_DT[:, draws] = wins[place_M] * beats_DM
    alone_DT[np.arange(num_defaults), defaults] = beaten[beats_DM.sum(1)]
    others_DD = 1.0 - np.eye(num_defaults) if num_defaults > 1 else np.ones((1, 1))
    rows[defaults] = others_DD @ alone_DT / max(num_defaults - 1, 1)
    return rows


def jackknife_form(rows: Array, order: Order) -> Array:
    """Return the matrix F (R, T) with ``V = |F x|^2``: the jackknife variance of the weighted mean of x over the pool.

    ``V = sum_g (n_g - 1) / n_g sum_r (t_r - mean_g)^2`` with t_r the mean without trial r, where the strata g are the
    draws and the trainings of the defaults. For a U-statistic the jackknife is too large on average, never too small.

    Source:
        Efron & Stein 1981, *The jackknife estimate of variance*.
    """
    form = np.empty_like(rows)
    for stratum in (order.is_default_T, ~order.is_default_T):
        number = int(stratum.sum())
        if number:
            form[stratum] = math.sqrt((number - 1) / number) * (rows[stratum] - rows[stratum].mean(0))
    return form


def allocate(weights_C: ArrayLike, counts_C: ArrayLike, number: int) -> list[int]:
    """Return which configuration each of the next `number` seeds retrains, in proportion to the weights.

    Each seed goes to the configuration with the largest ``w / (n + 1/2)``, where n is the number of its seeds so far:
    the divisor method of Webster and Sainte-Lague. Ties go to the first. The variance of ``sum_c w_c mean_c`` is
    smallest if the numbers of seeds are in proportion to the weights.

    Args:
        weights_C: Weight of each configuration.
        counts_C: Number of seeds that it has.
        number: Number of seeds to allocate.
    """
    weights = np.asarray(weights_C, np.float64)
    counts = np.array(counts_C, np.int64)
    chosen = []
    for _ in range(number):
        # Rounded, so that equal weights are ties on every machine.
        best = int(np.argmax((weights / (counts + 0.5)).round(12)))
        counts[best] += 1
        chosen.append(best)
    return chosen


def _places(order: Order) -> tuple[Ints, Ints, Ints, Ints]:
    """Return the numbers of the draws and of the defaults, the place of each draw among the draws, and what it beats.

    The places count from 0; the last value (D, M) is 1 where a draw beats a training of the defaults.
    """
    draws, defaults = np.flatnonzero(~order.is_default_T), np.flatnonzero(order.is_default_T)
    rank_M = order.rank_T[draws]
    place_M = np.empty(draws.size, np.int64)
    place_M[np.argsort(rank_M)] = np.arange(draws.size)
    return draws, defaults, place_M, (rank_M[None, :] < order.rank_T[defaults][:, None]).astype(np.int64)


@lru_cache(maxsize=256)
def _tables(num_draws: int, chosen: int) -> tuple[Array, Array]:
    """Return, for subsets of `chosen` draws, the chance of each place to be the best, and of having none of the g best.

    The first has a value for each place, the second for g = 0..num_draws.
    """
    if chosen < 0 or num_draws < chosen:
        raise ValueError(f"a search with {chosen} draws needs as many, found {num_draws}")
    total = math.comb(num_draws, chosen)
    wins = [math.comb(num_draws - place, chosen - 1) / total if chosen else 0.0 for place in range(1, num_draws + 1)]
    beaten = [math.comb(num_draws - better, chosen) / total for better in range(num_draws + 1)]
    return np.array(wins), np.array(beaten)
