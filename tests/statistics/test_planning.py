"""How many blocks: closed forms worked out by hand, and the power that studies of that size have."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats

from losstune import statistics


@pytest.mark.parametrize(("alpha", "effect"), [(0.05, 0.7), (0.05 / 13, 1.0)])
def test_planned_blocks_have_the_power_that_was_asked_for(alpha, effect):
    rng, num_studies = np.random.default_rng(11), 250
    num_blocks = int(statistics.blocks_to_differ(effect, 1.0, alpha=alpha, power=0.8))
    # Student's t stands in for the sign flips, which are slow at this many studies and as powerful here.
    found = sum(stats.ttest_1samp(rng.normal(effect, 1.0, num_blocks), 0.0).pvalue <= alpha for _ in range(num_studies))
    assert stats.binomtest(found, num_studies, 0.8).pvalue > 1e-3


def test_blocks_to_differ_in_closed_form():
    # (1.959964 + 0.841621)^2 * 4 + 1.959964^2 / 2 = 31.396 + 1.921
    assert statistics.blocks_to_differ(0.5, 1.0, alpha=0.05, power=0.8) == 34
    assert statistics.blocks_to_differ(-0.5, 1.0, alpha=0.05, power=0.8) == 34
    # However clear the difference, 6 blocks are the fewest whose sign flips reach 5%, and 10 for 5% / 13.
    assert statistics.blocks_to_differ(9.0, 1e-9, alpha=0.05, power=0.8) == 6
    # 2 / 2^5 = 0.0625 is enough for five blocks, and 0.0624 isn't.
    assert statistics.blocks_to_differ(9.0, 1e-9, alpha=0.0625, power=0.8) == 5
    assert statistics.blocks_to_differ(9.0, 1e-9, alpha=0.0624, power=0.8) == 6
    assert statistics.blocks_to_differ(9.0, 1e-9, alpha=0.05 / 13, power=0.8) == 10
    assert statistics.blocks_to_differ(0.0, 1.0, alpha=0.05, power=0.8) == math.inf


def test_blocks_to_match_in_closed_form():
    # (1.644854 + 0.841621)^2 / 0.25 + 1.644854^2 / 2 = 24.730 + 1.353
    assert statistics.blocks_to_match(0.5, 1.0, rope=1.0, alpha=0.05, power=0.8) == 27
    # At zero both bounds must hold: (1.644854 + 1.281552)^2 + 1.353 = 8.564 + 1.353
    assert statistics.blocks_to_match(0.0, 1.0, rope=1.0, alpha=0.05, power=0.8) == 10
    assert statistics.blocks_to_match(0.0, 0.0, rope=1.0, alpha=0.05, power=0.8) == 5
    # 1 / 2^4 = 0.0625, one-sided.
    assert statistics.blocks_to_match(0.0, 0.0, rope=1.0, alpha=0.0625, power=0.8) == 4
    assert statistics.blocks_to_match(0.0, 0.0, rope=1.0, alpha=0.0624, power=0.8) == 5
    assert statistics.blocks_to_match(-0.5, 1.0, rope=1.0, alpha=0.05, power=0.8) == 27
    assert statistics.blocks_to_match(1.0, 1.0, rope=1.0, alpha=0.05, power=0.8) == math.inf


@pytest.mark.parametrize("alpha", [0.2, 0.01, 0.001])
@pytest.mark.parametrize("mean", [0.3, 0.9, -0.2])
def test_the_formulas_at_other_levels(mean, alpha):
    """With quantiles of the standard library's normal distribution."""
    z = NormalDist().inv_cdf
    differ = ((z(1 - alpha / 2) + z(0.9)) * 1.3 / mean) ** 2 + z(1 - alpha / 2) ** 2 / 2
    assert statistics.blocks_to_differ(mean, 1.3, alpha=alpha, power=0.9) == max(
        math.ceil(differ), math.ceil(math.log2(2 / alpha))
    )
    match = ((z(1 - alpha) + z(0.9)) * 1.3 / (2 - abs(mean))) ** 2 + z(1 - alpha) ** 2 / 2
    assert statistics.blocks_to_match(mean, 1.3, rope=2.0, alpha=alpha, power=0.9) == max(
        math.ceil(match), math.ceil(math.log2(1 / alpha))
    )
