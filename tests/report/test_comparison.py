from __future__ import annotations

import pytest

from losstune.report.comparison import blocks_needed, outcome_of
from losstune.report.results import Difference


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
    given = difference(**settings, p_holm=0.5 if p_holm is None else p_holm).model_copy(
        update={"p_holm": p_holm}
    )
    assert outcome_of(given, alpha=0.05, rope=0.005, noise_floor=noise_floor) == expected


def needed(mean, *, num_blocks=10, num_candidates=1, noise_floor=None, sd=0.01):
    return blocks_needed(
        difference(mean, sd=sd),
        num_blocks=num_blocks,
        num_candidates=num_candidates,
        alpha=0.05,
        rope=0.005,
        power=0.8,
        noise_floor=noise_floor,
    )


def test_blocks_needed_takes_the_nearer_way():
    # To differ: 4 (1.960 + 0.842)^2 + 1.92 = 33.3, so 34 in all. The mean lies on the ROPE's border: no other way.
    assert needed(0.005) == 34 - 10
    # To match: 4 (1.645 + 1.282)^2 + 1.35 = 35.6, so 36 in all. A difference of zero is never shown.
    assert needed(0.0) == 36 - 10
    # To match: 6.25 (1.645 + 0.842)^2 + 1.35 = 40.0; to differ takes 100 (1.960 + 0.842)^2, some 800.
    assert needed(0.001) == 40 - 10
    assert needed(0.005, num_candidates=13) > needed(0.005)


def test_blocks_needed_is_one_at_least():
    assert needed(0.01, num_blocks=500) == 1


def test_noise_floor_closes_the_way_to_a_difference():
    assert needed(0.01, noise_floor=0.009) is not None
    assert needed(0.01, noise_floor=0.011) is None
    assert needed(0.001, noise_floor=0.011) == needed(0.001)
