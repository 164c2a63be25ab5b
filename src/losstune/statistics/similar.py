"""Predict an effect in a new study from those in similar ones, and choose a few effects that probably hold the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product, starmap
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Effects(NamedTuple):
    """One effect in S studies.

    Attributes:
        values_S: Its estimates.
        errors_S: Their standard errors.
        similarity_SS: Similarity of the studies, from 0 to 1, with ones on the diagonal. It and its powers, entry by
            entry, are positive semi-definite, as for exponentials of distances.
    """

    values_S: Array
    errors_S: Array
    similarity_SS: Array


@dataclass(frozen=True, slots=True)
class Spread:
    """How effects vary over studies.

    Attributes:
        shared: Standard deviation of what similar studies have in common.
        own: Standard deviation of what each study has for itself.
        power: Similarities count with this power: below 1, studies that are less similar inform each other, too.
    """

    shared: float
    own: float
    power: float = 1.0


class Prediction(NamedTuple):
    """Mean and standard deviation of an effect in a new study."""

    mean: float
    sd: float


SHARED = (0.25, 0.5, 1.0, 2.0)
OWN = (0.1, 0.3, 1.0, 2.0)
POWER = (1.0, 0.5, 0.25)
"""The spreads that :func:`fit_spread` compares, in the units of the effects."""


def fit_spread(effects: Sequence[Effects], default: Spread) -> Spread:
    """Return the spread of :data:`SHARED`, :data:`OWN` and :data:`POWER` with the highest likelihood of all effects.

    The effects share the spread and are otherwise independent; each has the mean 0 before it was ever measured.

    Args:
        effects: Each with its studies.
        default: What to return without any.
    """
    if not any(len(effect.values_S) for effect in effects):
        return default
    # Ties go to the smaller spreads, which come first.
    return max(starmap(Spread, product(SHARED, OWN, POWER)), key=lambda one: _likelihood(effects, one))


def predict(effect: Effects, similarity_S: ArrayLike, spread: Spread) -> Prediction:
    """Predict an effect in a new study.

    The effect in study s is ``f_s + e_s``. The ``f`` are normal with mean 0 and covariance ``shared^2 K_st``, with the
    similarities K to a power, so similar studies inform each other; ``e_s`` is normal with the standard deviation
    ``own``. Without a similar study, the prediction is the prior: mean 0, and the spread of both parts.

    Args:
        effect: Its estimates in earlier studies; possibly none.
        similarity_S: Similarity of the new study to each of them.
        spread: Of effects over studies.

    Source:
        Rasmussen & Williams 2006, *Gaussian processes for machine learning*, equations 2.25 and 2.26.
    """
    prior = spread.shared**2 + spread.own**2
    if not len(effect.values_S):
        return Prediction(0.0, math.sqrt(prior))
    with_new = spread.shared**2 * np.asarray(similarity_S, dtype=float) ** spread.power
    weights = np.linalg.solve(_covariance(effect, spread), with_new)
    variance = prior - float(weights @ with_new)
    return Prediction(float(weights @ effect.values_S), math.sqrt(max(variance, 0.0)))


def cover_best(
    draws_DL: ArrayLike, allowed: Sequence[int], number: int, margin: float, given: Sequence[int] = ()
) -> list[int]:
    """Choose columns so that a draw's highest value is probably within `margin` of one of them.

    Each step adds the column that raises the share of covered draws most; ties go to the higher mean. The share is
    submodular in the set, so the greedy choice reaches at least 63% of what the best set of this size does.

    Args:
        draws_DL: Draws of all columns from their joint distribution.
        allowed: Columns that may be chosen; the others count only as rivals.
        number: Of columns to choose; fewer if there are not as many.
        margin: A column covers a draw if it is at most this far below the highest value.
        given: Columns that are there anyway: what they cover needs no other.

    Source:
        Nemhauser, Wolsey & Fisher 1978, *An analysis of approximations for maximizing submodular set functions*.
    """
    draws = np.asarray(draws_DL, dtype=float)
    near_DL = draws >= draws.max(axis=1, keepdims=True) - margin
    means, open_D = draws.mean(axis=0), ~near_DL[:, list(given)].any(axis=1)
    chosen: list[int] = []
    while len(chosen) < min(number, len(allowed)):
        rest = [column for column in allowed if column not in chosen]
        best = max(rest, key=lambda column: (int(near_DL[open_D, column].sum()), means[column]))
        open_D &= ~near_DL[:, best]
        chosen.append(best)
    return chosen


def _covariance(effect: Effects, spread: Spread) -> Array:
    return spread.shared**2 * effect.similarity_SS**spread.power + np.diag(spread.own**2 + effect.errors_S**2)


def _likelihood(effects: Sequence[Effects], spread: Spread) -> float:
    """Return the log-likelihood of all effects, but for a constant."""
    total = 0.0
    for effect in effects:
        root = np.linalg.cholesky(_covariance(effect, spread))
        whitened = np.linalg.solve(root, effect.values_S)
        total -= float(np.log(np.diag(root)).sum()) + float(whitened @ whitened) / 2.0
    return total
