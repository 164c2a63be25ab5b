"""Variances of many comparisons, each from few degrees of freedom, shrunk towards what they have in common.

Shape suffixes: G groups, each with a variance of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from losstune.statistics.paired import Array

OUTLIER_LEVEL = 0.05
"""Probability that one of several groups with equal variance is wrongly treated as an outlier."""
MOST_PRIOR_FREEDOM = 10.0
"""Most degrees of freedom that a group borrows from the others. A group with nine times the variance of the others then
counts with a third of it or more, also if nothing shows it."""
_SMALLEST = 1e-14


@dataclass(frozen=True, slots=True)
class Variance:
    """An estimated variance.

    Attributes:
        value: The variance.
        freedom: Degrees of freedom of the estimate; infinite if it is known.
    """

    value: float
    freedom: float


def moderated(
    variances: Sequence[Variance],
    *,
    most_prior: float = MOST_PRIOR_FREEDOM,
    most_own: float = math.inf,
    may_lower: bool = True,
) -> list[Variance]:
    """Return the variances after empirical Bayes moderation, which makes tests with few degrees of freedom stable.

    The true variances are assumed to follow a scaled inverse chi-squared distribution with location s_0^2 and d_0
    degrees of freedom, both fitted by the moments of the log variances. The moderated variance is ``(d_0 s_0^2 + d s^2)
    / (d_0 + d)`` with ``d_0 + d`` degrees of freedom, where d_0 is at most `most_prior`. It never has more degrees of
    freedom than all groups together; a single group keeps its own.

    A group whose variance is far above the others' would raise all of them, and would itself be lowered. Outward
    testing sets such outliers apart, up to a third of the groups: they keep their own variance. See
    :func:`losstune.statistics.replication.search_errors` for the test.

    Args:
        variances: At least one; a group without degrees of freedom gets the others' common variance.
        most_prior: Most degrees of freedom that a group borrows.
        most_own: Most degrees of freedom that a group's own variance counts with in the result. It does not change the
            moderated variance.
        may_lower: Whether a group may get less than its own variance. Not where groups differ much in truth, because a
            variance that is too low makes false claims. The degrees of freedom then are Satterthwaite's for the
            weighted sum: ``d_0 + d`` if both variances are equal, and no more than d if the group's own is far larger,
            because the others then say nothing about it.

    Source:
        Smyth 2004, *Linear models and empirical Bayes methods for assessing differential expression*, section 6;
        Phipson et al. 2016, *Robust hyperparameter estimation protects against hypervariable genes*, for the outliers.
    """
    value_G = np.maximum([variance.value for variance in variances], _SMALLEST)
    freedom_G = np.array([variance.freedom for variance in variances])
    known = [group for group in range(len(variances)) if freedom_G[group] > 1e-6]
    if not known:
        raise ValueError("expected a variance with at least some degrees of freedom, found none")
    apart = _outliers(value_G, freedom_G, known)
    alike = [group for group in known if group not in apart]
    prior, location = _prior(value_G[alike], freedom_G[alike])
    most = float(freedom_G[alike].sum())
    prior = min(prior, most_prior)
    found = []
    for group, (value, freedom) in enumerate(zip(value_G, freedom_G, strict=True)):
        if group in apart:
            found.append(Variance(float(value), float(min(freedom, most_own))))
        elif group not in known:
            found.append(Variance(float(location), float(min(prior, most))))
        else:
            # A group borrows from others: a single one has nothing to borrow.
            allowed = prior if may_lower else min(prior, most - freedom)
            share = freedom / (allowed + freedom)
            borrowed, own = (1.0 - share) * location, share * value
            if may_lower:
                moderate = Variance(borrowed + own, prior + freedom)
            else:
                spread = (borrowed**2 / allowed if allowed > 0.0 else 0.0) + own**2 / min(freedom, most_own)
                moderate = Variance(max(borrowed + own, value), (borrowed + own) ** 2 / spread)
            # All groups together have no more than the sum of their degrees of freedom.
            found.append(Variance(float(moderate.value), float(min(moderate.freedom, most))))
    return found


def _prior(value_G: Array, freedom_G: Array) -> tuple[float, float]:
    """Return d_0, which is infinite if the variances differ by chance alone, and s_0^2."""
    common = float((freedom_G * value_G).sum() / freedom_G.sum())
    if value_G.size < 2:
        return math.inf, common
    half_G = freedom_G / 2.0
    logs_G = np.log(value_G) - scipy.special.digamma(half_G) + np.log(half_G)
    excess = float(logs_G.var(ddof=1) - scipy.special.polygamma(1, half_G).mean())
    if excess <= 0.0:
        return math.inf, common
    half = _inverse_trigamma(excess)
    return 2.0 * half, float(np.exp(logs_G.mean() + scipy.special.digamma(half) - math.log(half)))


def _inverse_trigamma(value: float) -> float:
    # trigamma(x) is between 1/x and 1/x + 1/x^2.
    found = scipy.optimize.brentq(
        lambda x: float(scipy.special.polygamma(1, x)) - value, 0.5 / value, 2.0 / value + 2.0 / math.sqrt(value)
    )
    return float(found)


def _outliers(value_G: Array, freedom_G: Array, groups: Sequence[int]) -> set[int]:
    rest, taken, num_apart = list(groups), list[int](), 0
    for _ in range(len(groups) // 3):
        worst = max(rest, key=lambda group: value_G[group])
        others = [group for group in rest if group != worst]
        freedom = float(freedom_G[others].sum())
        common = float((freedom_G[others] * value_G[others]).sum()) / freedom
        chance = float(scipy.special.fdtrc(freedom_G[worst], freedom, value_G[worst] / common))
        if chance * len(rest) < OUTLIER_LEVEL:
            num_apart = len(taken) + 1
        rest, taken = others, [*taken, worst]
    return set(taken[:num_apart])
