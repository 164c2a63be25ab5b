"""Anytime-valid tests on paired blocks: a test after every block and a stop at any time are valid.

Shape suffixes: B blocks.

The evidence is an e-process of the sign test. Under the null hypothesis the probability that it ever reaches 1/alpha
is at most alpha (Ville's inequality), under any stopping rule. Only the signs of the differences count, so the only
assumption on their distribution is that blocks are independent. Ties are dropped.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np
import scipy
from numpy.typing import ArrayLike

from losstune.statistics.paired import Array, PairedDifference, finite, paired_difference

Decision = Literal["higher", "lower", "equivalent"]


def e_value_two_sided(num_higher: int, num_lower: int) -> float:
    """Return the e-value against the null hypothesis "higher and lower are equally likely".

    ``E = 2^n S! F! / (n+1)!`` with S blocks higher, F lower, n = S + F: the mean of the likelihood ratio
    ``p^S (1-p)^F / (1/2)^n`` over p uniform on [0, 1]. Eight blocks of equal sign reach 1/0.05.

    Source:
        Ville 1939; Robbins 1970, *Statistical methods related to the law of the iterated logarithm*.
    """
    num_blocks = num_higher + num_lower
    log_e = num_blocks * math.log(2.0) + float(scipy.special.betaln(num_higher + 1, num_lower + 1))
    return _exp(log_e)


@lru_cache(maxsize=2**14)
def e_value_one_sided(num_higher: int, num_lower: int) -> float:
    """Return the e-value against the null hypothesis "higher is at most as likely as lower".

    It is the mean of the same likelihood ratio over p uniform on [1/2, 1]: ``2^(n+1) B(S+1, F+1) P(p > 1/2)`` with p
    from the Beta(S+1, F+1) distribution. It increases in S, so it is valid for every p up to 1/2.
    """
    num_blocks = num_higher + num_lower
    log_e = (
        (num_blocks + 1) * math.log(2.0)
        + float(scipy.special.betaln(num_higher + 1, num_lower + 1))
        + float(scipy.stats.beta.logsf(0.5, num_higher + 1, num_lower + 1))
    )
    return _exp(log_e)


def num_control_blocks(alpha: float) -> int:
    """Return the fewest blocks at which either test finds, at `alpha`, a loss worse that is worse in every block."""
    blocks, wanted = 1, 1.0 / alpha
    while True:
        evidence = 2.0**blocks / (blocks + 1)
        if math.isclose(
            evidence, wanted, rel_tol=1e-9
        ):  # on a tie, use that function's rounding; only then, because loading SciPy takes time
            evidence = e_value_two_sided(0, blocks)
        if evidence >= wanted:
            return blocks
        blocks += 1


def first_decision(
    differences_B: ArrayLike, *, alpha: float, num_candidates: int, rope: float, every: int = 1
) -> tuple[Decision | None, int]:
    """Return the first decision of the e-processes and the block at which they make it.

    After each block, or each `every` blocks, the decision is, in this order: ``equivalent`` if one-sided e-processes
    against both bounds show at `alpha` that the median difference is within the ROPE; ``higher`` or ``lower`` if the
    two-sided e-process reaches ``num_candidates / alpha``, the Bonferroni bound over all candidates.

    Returns:
        The decision and the number of blocks it took; None and the total number of blocks if there is none.
    """
    rounded_B = finite(differences_B).round(12)
    above_low, below_high = _running_signs(rounded_B, -rope), _running_signs(-rounded_B, -rope)
    about_zero = _running_signs(rounded_B, 0.0)
    for block in range(rounded_B.size):
        num_blocks = block + 1
        if num_blocks % every:
            continue
        if min(e_value_one_sided(*above_low[block]), e_value_one_sided(*below_high[block])) >= 1.0 / alpha:
            return "equivalent", num_blocks
        num_higher, num_lower = about_zero[block]
        if e_value_two_sided(num_higher, num_lower) >= num_candidates / alpha:
            return ("higher" if num_higher > num_lower else "lower"), num_blocks
    return None, rounded_B.size


def sign_bounds(differences_B: ArrayLike, *, alpha: float) -> tuple[float, float, float, float]:
    """Return bounds of the median difference that hold after every block: a confidence sequence.

    Returns:
        The lower and upper two-sided bounds at 1 - alpha: every median that :func:`e_value_two_sided` does not reject
        at alpha is between them. Then the lower and upper one-sided bounds, each at 1 - alpha, from
        :func:`e_value_one_sided`. All are order statistics, and infinite while there are too few blocks.
    """
    sorted_B = np.sort(finite(differences_B).round(12))

    def bound(sorted_values: list[float], two_sided: bool) -> float:
        # The largest value such that a median there is rejected, because too few blocks are at or below it.
        e_value = e_value_two_sided if two_sided else e_value_one_sided
        num_blocks, found = len(sorted_values), -math.inf
        for num_below in range(num_blocks // 2 + 1):
            if e_value(num_blocks - num_below, num_below) < 1.0 / alpha:
                break
            found = sorted_values[num_below]
        return found

    values, mirrored = sorted_B.tolist(), (-sorted_B[::-1]).tolist()
    return bound(values, True), -bound(mirrored, True), bound(values, False), -bound(mirrored, False)


def anytime_difference(
    scores_B: ArrayLike, baseline_B: ArrayLike, *, alpha: float, rng: np.random.Generator
) -> PairedDifference:
    """Compare two losses over blocks whose number depends on the data.

    As :func:`losstune.statistics.paired_difference`, but valid at a data-dependent number of blocks: `low`, `high`,
    `equivalence_low` and `equivalence_high` are the bounds of :func:`sign_bounds` on the median, and `p_value` is one
    over the largest two-sided e-value after any block. The bootstrap intervals and `p_wilcoxon` are computed as there
    and are only descriptive.
    """
    fixed = paired_difference(scores_B, baseline_B, alpha=alpha, rng=rng)
    differences_B = (finite(scores_B) - finite(baseline_B)).round(12)
    largest = max(e_value_two_sided(*counts) for counts in _running_signs(differences_B, 0.0))
    low, high, equivalence_low, equivalence_high = sign_bounds(differences_B, alpha=alpha)
    return replace(
        fixed,
        low=low,
        high=high,
        equivalence_low=equivalence_low,
        equivalence_high=equivalence_high,
        p_value=min(1.0, 1.0 / largest),
    )


def _running_signs(differences_B: Array, median: float) -> list[tuple[int, int]]:
    """Return, after each block, the numbers of blocks so far above and below `median`."""
    higher_B, lower_B = np.cumsum(differences_B > median), np.cumsum(differences_B < median)
    return list(zip(higher_B.tolist(), lower_B.tolist(), strict=True))


def _exp(log_e: float) -> float:
    return math.exp(min(log_e, 700.0))  # 700: just below the largest float64
