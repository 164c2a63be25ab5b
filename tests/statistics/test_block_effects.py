from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.anova import anova_lm

from losstune.statistics import BlockFit, Variance, fit_blocks
from losstune.statistics.block_effects import BLOCK_RATIO, MOST_RATIO
from tests.statistics.layouts import two_way_layout


def complete(num_losses, num_blocks):
    """Configuration, group and block of a layout with one configuration a loss, trained in all blocks."""
    groups = np.repeat(np.arange(num_losses), num_blocks)
    return groups, groups, np.tile(np.arange(num_blocks), num_losses)


def scattered(num_losses, num_blocks):
    """A layout where each loss trains three configurations, most often the first, in different blocks."""
    which = [np.resize(np.roll([0, 1, 0, 2], loss), num_blocks) for loss in range(num_losses)]
    configurations = np.concatenate([3 * loss + numbers for loss, numbers in enumerate(which)])
    _, groups, blocks = complete(num_losses, num_blocks)
    return configurations, groups, blocks


def simulated(rng, layout, own_G=1.0, shared=1.0):
    """Scores whose true means are all 0."""
    _, groups, blocks = layout
    sd_G = np.sqrt(np.broadcast_to(own_G, groups.max() + 1))
    return sd_G[groups] * rng.normal(size=groups.size) + np.sqrt(shared) * rng.normal(size=blocks.max() + 1)[blocks]


def indicators(numbers):
    return np.eye(numbers.max() + 1)[numbers]


@st.composite
def layouts(draw):
    """Any layout in which some configuration has two blocks, and some block has two losses."""
    num_losses, num_blocks = draw(st.integers(2, 4)), draw(st.integers(3, 6))
    which = draw(
        st.lists(
            st.lists(st.integers(0, 2), min_size=num_blocks, max_size=num_blocks),
            min_size=num_losses,
            max_size=num_losses,
        )
    )
    labels = [(loss, number) for loss, numbers in enumerate(which) for number in numbers]
    configurations = np.array([sorted(set(labels)).index(label) for label in labels])
    _, groups, blocks = complete(num_losses, num_blocks)
    return configurations, groups, blocks


@given(layouts(), st.integers(0, 100))
@settings(deadline=None)
def test_the_means_are_those_of_generalised_least_squares(layout, seed):
    configurations, groups, blocks = layout
    if np.bincount(configurations).max() == 1:
        return  # nothing to estimate a variance from
    scores = np.random.default_rng(seed).normal(0.9, 0.1, groups.size)
    x, z = indicators(configurations), indicators(blocks)
    inverse = np.linalg.inv(np.eye(groups.size) + BLOCK_RATIO * z @ z.T)
    expected_map = np.linalg.solve(x.T @ inverse @ x, x.T @ inverse)
    fit = fit_blocks(scores, configurations, groups, blocks)
    assert fit.map_CN == pytest.approx(expected_map, abs=1e-10)
    assert fit.mean_C == pytest.approx(expected_map @ scores, abs=1e-10)


def test_complete_layouts_give_plain_means_and_the_residual_of_a_two_way_anova():
    rng = np.random.default_rng(1)
    scores_LB = rng.normal(0.0, 0.1, (4, 8)) + rng.normal(0.0, 0.3, 8) + np.arange(4)[:, None]
    fit = fit_blocks(scores_LB.ravel(), *complete(4, 8))
    assert fit.mean_C == pytest.approx(scores_LB.mean(1))
    residual = anova_lm(two_way_layout(scores_LB))["mean_sq"]["Residual"]
    assert [own.value for own in fit.own_G] == pytest.approx([residual] * 4)
    assert fit.shared == pytest.approx(scores_LB.var(axis=1, ddof=1).mean() - residual)


def test_two_losses_in_the_same_blocks_are_a_paired_comparison():
    rng = np.random.default_rng(2)
    scores_LB = rng.normal(0.0, 0.1, (2, 10)) + rng.normal(0.0, 0.1, 10)
    fit = fit_blocks(scores_LB.ravel(), *complete(2, 10))
    found = fit.variance_of(fit.map_CN[1] - fit.map_CN[0])
    assert found.value == pytest.approx((scores_LB[1] - scores_LB[0]).var(ddof=1) / 10)
    assert found.freedom == pytest.approx(9, rel=0.15)


def test_a_constant_moves_the_means_and_nothing_else():
    layout = scattered(3, 8)
    scores = 1e-3 * simulated(np.random.default_rng(3), layout)
    fit, moved = fit_blocks(scores, *layout), fit_blocks(scores + 50.0, *layout)
    assert moved.mean_C - 50.0 == pytest.approx(fit.mean_C, abs=1e-12)
    assert moved.shared == pytest.approx(fit.shared, rel=1e-6)
    assert [own.value for own in moved.own_G] == pytest.approx([own.value for own in fit.own_G], rel=1e-6)


def test_a_block_that_is_easier_for_all_losses_changes_no_difference_of_complete_layouts():
    layout = complete(3, 6)
    scores = simulated(np.random.default_rng(4), layout)
    fit, moved = fit_blocks(scores, *layout), fit_blocks(scores + 5.0 * (layout[2] == 2), *layout)
    assert np.diff(moved.mean_C) == pytest.approx(np.diff(fit.mean_C))


def test_a_configuration_is_corrected_for_the_luck_of_its_blocks():
    # Block 2 is one better. Loss 0 trained its second configuration in it alone, and both of loss 1 are equal.
    configurations, groups, blocks = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 0, 0, 1, 1, 1]), np.tile([0, 1, 2], 2)
    fit = fit_blocks([0.0, 0.0, 1.0, 0.0, 0.0, 1.0], configurations, groups, blocks)
    assert 0.0 < fit.mean_C[1] - fit.mean_C[0] < 1.0


def test_identical_losses_have_identical_means_and_own_variances():
    configurations, groups, blocks = scattered(1, 16)
    number = configurations.max() + 1
    scores = simulated(np.random.default_rng(5), (configurations, groups, blocks))
    copies = 9
    fit = fit_blocks(
        np.tile(scores, copies),
        np.concatenate([configurations + copy * number for copy in range(copies)]),
        np.repeat(np.arange(copies), groups.size),
        np.tile(blocks, copies),
    )
    assert len(set(map(tuple, fit.mean_C.reshape(copies, number).tolist()))) == 1


def fit_with(own_G, shared, freedom, groups, blocks):
    return BlockFit(np.zeros(0), np.zeros((0, 0)), own_G, shared, freedom, np.array(groups), np.array(blocks))


def test_the_variance_of_a_sum_is_that_of_the_model():
    rng, groups, blocks = np.random.default_rng(6), [0, 0, 0, 1, 1, 2], [0, 1, 2, 0, 2, 2]
    own = [Variance(0.5, 4.0), Variance(2.0, 7.0), Variance(1.0, 3.0)]
    fit, a = fit_with(own, 0.7, 100.0, groups, blocks), rng.normal(size=6)
    z = indicators(np.array(blocks))
    covariance = np.diag([own[group].value for group in groups]) + 0.7 * z @ z.T
    found = fit.variance_of(a)
    assert found.value == pytest.approx(a @ covariance @ a)
    parts = [own[group].value * (a[np.array(groups) == group] ** 2).sum() for group in range(3)]
    expected = found.value**2 / sum(part**2 / variance.freedom for part, variance in zip(parts, own, strict=True))
    assert found.freedom == pytest.approx(expected)
    assert fit_with(own, 0.7, 5.0, groups, blocks).variance_of(a).freedom == 5.0


def test_a_known_variance_has_infinite_degrees_of_freedom():
    fit = fit_with([Variance(1.0, np.inf)], 0.0, 3.0, [0, 0], [0, 1])
    assert fit.variance_of(np.ones(2)) == Variance(2.0, np.inf)


@pytest.mark.parametrize("shared", [0.0, 0.3, 1.0, 4.0])
@pytest.mark.parametrize("layout", [complete(2, 12), scattered(2, 12), scattered(6, 12)], ids=["2", "2x3", "6x3"])
def test_the_variances_are_unbiased_and_intervals_cover_whatever_the_block_effects(layout, shared):
    rng, repeats = np.random.default_rng(7), 300
    weights = np.zeros(layout[0].max() + 1)
    for loss, sign in ((0, -1.0), (1, 1.0)):
        own = np.unique(layout[0][layout[1] == loss])
        weights[own] = sign * np.array([0.5, 0.3, 0.2] if own.size > 1 else [1.0])
    covered, own_variances, variances, differences = [], [], [], []
    for _ in range(repeats):
        fit = fit_blocks(simulated(rng, layout, shared=shared), *layout)
        variance = fit.variance_of(weights @ fit.map_CN)
        reach = stats.t.ppf(0.95, variance.freedom) * np.sqrt(variance.value)
        covered.append(abs(weights @ fit.mean_C) <= reach)
        differences.append(weights @ fit.mean_C)
        variances.append(variance.value)
        own_variances.append(np.mean([own.value for own in fit.own_G]))
    assert np.mean(own_variances) == pytest.approx(1.0, abs=0.12)
    assert np.mean(variances) / np.mean(np.square(differences)) == pytest.approx(1.0, abs=0.3)
    assert np.mean(covered) == pytest.approx(0.9, abs=0.05)


def test_an_unstable_loss_keeps_its_variance_and_raises_the_others_little():
    rng, layout = np.random.default_rng(8), complete(6, 40)
    fit = fit_blocks(simulated(rng, layout, own_G=[1.0, 1.0, 1.0, 1.0, 1.0, 100.0]), *layout)
    assert fit.own_G[5].value == pytest.approx(100.0, rel=0.6)
    # A seventh of its noise counts as an effect of the block, which is 100 / 49 in the others' variance.
    assert all(own.value < 2.0 * (1.0 + 100.0 / 49.0) for own in fit.own_G[:5])


def test_a_single_loss_has_a_variance_too():
    configurations, groups, blocks = complete(1, 8)
    scores = np.random.default_rng(9).normal(size=8)
    fit = fit_blocks(scores, configurations, groups, blocks)
    assert fit.mean_C == pytest.approx([scores.mean()])
    assert fit.variance_of(fit.map_CN[0]).value == pytest.approx(scores.var(ddof=1) / 8)


def test_blocks_alone_never_explain_all_variance():
    # Two losses that move together exactly.
    fit = fit_blocks(np.tile([0.0, 1.0, 2.0, 3.0], 2), *complete(2, 4))
    assert min(own.value for own in fit.own_G) > 0.0
    assert fit.shared <= MOST_RATIO / (1.0 + MOST_RATIO) * np.var([0.0, 1.0, 2.0, 3.0], ddof=1) + 1e-12
