from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from losstune import statistics
from losstune.verdict.comparison import blocks_needed, compare, decide
from losstune.verdict.numbers import Difference
from losstune.verdict.rules import Rules


def difference(mean, half_width=0.004, p_holm=0.01, sd=0.01):
    return Difference(
        mean=mean,
        median=mean,
        sd=sd,
        low=mean - 1.2 * half_width,
        high=mean + 1.2 * half_width,
        equivalence_low=mean - half_width,
        equivalence_high=mean + half_width,
        p_value=p_holm / 3,
        p_blocks=p_holm / 3,
        p_holm=p_holm,
        p_wilcoxon=p_holm / 3,
        bca_low=mean - half_width,
        bca_high=mean + half_width,
        median_low=mean - half_width,
        median_high=mean + half_width,
        probability_better=0.8,
        probability_low=0.6,
        probability_high=0.9,
        effect_size=mean / sd,
    )


@pytest.mark.parametrize(
    ("settings", "noise_floor", "expected"),
    [
        ({"mean": 0.02}, None, "better"),
        ({"mean": 0.02}, 0.019, "better"),
        ({"mean": 0.02}, 0.02, "undecided"),
        ({"mean": -0.02}, 0.019, "worse"),
        ({"mean": -0.02}, 0.03, "undecided"),
        # As the interval leaves out zero at p = alpha, too.
        ({"mean": 0.02, "p_holm": 0.05}, None, "better"),
        ({"mean": -0.02, "p_holm": 0.05}, None, "worse"),
        ({"mean": 0.02, "p_holm": 0.0501}, None, "undecided"),
        ({"mean": 0.02, "p_holm": None}, None, "undecided"),
        # Within the ROPE, significant or not: it makes no practical difference.
        ({"mean": 0.0009}, None, "equivalent"),
        ({"mean": -0.0009, "p_holm": 1.0}, None, "equivalent"),
        ({"mean": 0.0011}, None, "better"),
        ({"mean": -0.0011, "p_holm": 1.0}, None, "undecided"),
    ],
)
def test_outcome(settings, noise_floor, expected):
    p_holm = settings.pop("p_holm", 0.01)
    given = difference(**settings, p_holm=0.5 if p_holm is None else p_holm).model_copy(update={"p_holm": p_holm})
    assert decide(given, alpha=0.05, rope=0.005, noise_floor=noise_floor) == expected


RULES = Rules(alpha=0.05, rope=0.005, power=0.8, num_searches=2)


def needed(mean, *, num_blocks=10, num_candidates=1, sd=0.01, search_sd=0.0):
    given = difference(mean, sd=sd).model_copy(update={"search_sd": search_sd, "search_freedom": 14.0})
    return blocks_needed(given, num_blocks=num_blocks, num_candidates=num_candidates, rules=RULES)


def test_blocks_needed_takes_the_nearer_way():
    # Blocks come five a search. To differ: 4 (1.960 + 0.842)^2 + 1.92 = 33.3, so 35 in all. The mean lies on the ROPE's
    # border: no other way.
    assert needed(0.005) == 35 - 10
    # To match: 4 (1.645 + 1.282)^2 + 1.35 = 35.6, so 40 in all. A difference of zero is never shown.
    assert needed(0.0) == 40 - 10
    # To match: 6.25 (1.645 + 0.842)^2 + 1.35 = 40.0; to differ takes 100 (1.960 + 0.842)^2, some 800.
    assert needed(0.001) == 40 - 10
    assert needed(0.005, num_candidates=13) > needed(0.005)


def test_blocks_needed_are_another_search_s_at_least():
    assert needed(0.01, num_blocks=500) == 250
    # Three blocks are two of one search and one of the other: the next search has two.
    assert needed(0.02, num_blocks=3, sd=0.001) == 2 * 3 - 3


def test_lucky_searches_need_more_of_them():
    # 2 (0.01 (1.960 + 0.842) / 0.005)^2 = 62.8 searches of five blocks, and the blocks alone would have sufficed at 7.
    assert 63 * 5 - 10 <= needed(0.005, search_sd=0.01) <= 65 * 5 - 10


def compared(scores, num_searches=2):
    rules = Rules(alpha=0.05, rope=0.005, power=0.8, num_searches=num_searches)
    others = [loss for loss in scores if loss != "base"]
    return compare(scores, "base", others, rules, lambda _: np.random.default_rng(0))


def test_the_larger_p_value_and_the_wider_interval_count():
    rng = np.random.default_rng(0)
    base = rng.normal(0.9, 0.01, 16)
    # One search of each is better by two points, the other not at all: the blocks agree, the searches don't.
    luck = np.where(np.arange(16) % 2, 0.02, 0.0)
    found = compared({"base": base, "lucky": base + luck + 0.001, "alike": base + rng.normal(0, 0.001, 16)})
    lucky = found["lucky"]
    paired = statistics.paired_difference(base + luck + 0.001, base, alpha=0.05, rng=np.random.default_rng(0))
    assert lucky.p_blocks == paired.p_value < 0.001
    assert lucky.p_search > 0.05
    assert lucky.p_value == lucky.p_search
    assert lucky.low == lucky.search_low < 0.0 < paired.low
    assert lucky.high == lucky.search_high > paired.high
    assert decide(lucky, alpha=0.05, rope=0.005, noise_floor=None) == "undecided"


def test_searches_with_unequal_blocks_weigh_less():
    base = [0.9, 0.9, 0.9]
    three = compared({"base": base, "a": [0.91, 0.93, 0.91], "b": [0.90, 0.91, 0.90]})["a"]
    # Two blocks of one search and one of the other are worth 9/5 searches.
    (error, _) = statistics.search_errors([[0.01, 0.03], [0.0, 0.01]])
    assert three.search_sd == pytest.approx(error.variance**0.5)
    assert three.search_freedom == error.freedom == 2
    spread = (2 * error.variance / (9 / 5)) ** 0.5
    reach = stats.t.ppf(0.975, 2) * spread
    assert three.search_high == pytest.approx(np.mean([0.01, 0.03, 0.01]) + reach)


def test_a_loss_that_stopped_early_is_held_against_as_many_blocks_of_the_baseline():
    base = [0.90, 0.91, 0.92, 0.90, 0.80, 0.80]
    found = compared({"base": base, "short": [0.92, 0.93, 0.94, 0.92], "long": [0.9, 0.92, 0.92, 0.9, 0.8, 0.8]})
    assert found["short"].mean == pytest.approx(0.02)
    expected = statistics.search_errors([[0.02, 0.02], [0.0, 0.005]])[0]
    assert found["short"].search_sd == pytest.approx(expected.variance**0.5)
