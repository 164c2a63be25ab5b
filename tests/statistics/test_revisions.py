import math

import numpy as np
import pytest
from scipy import stats

from losstune.statistics.replication import OUTLIER_LEVEL
from losstune.statistics.revisions import (
    MeanError,
    block_error,
    effective_searches,
    revision_errors,
    search_means,
    sum_of_errors,
    t_interval,
    t_p_value,
)
from tests.statistics.layouts import two_way_layout


def test_blocks_go_round():
    assert search_means([1, 10, 2, 20, 3], 2).tolist() == [2.0, 15.0]
    assert search_means([1, 10, 2], 3).tolist() == [1.0, 10.0, 2.0]
    with pytest.raises(ValueError, match=r"^3 searches need as many blocks, found 2$"):
        search_means([1, 2], 3)


@pytest.mark.parametrize(("num_blocks", "num_searches", "expected"), [(16, 2, 2.0), (5, 2, 25 / 13), (3, 3, 3.0)])
def test_effective_searches(num_blocks, num_searches, expected):
    assert effective_searches(num_blocks, num_searches) == pytest.approx(expected)


def test_welch_is_scipys():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(1, 1, 12), rng.normal(0, 3, 7)
    oracle = stats.ttest_ind(ours, theirs, equal_var=False)
    error, mean = sum_of_errors(block_error(ours), block_error(theirs)), ours.mean() - theirs.mean()
    assert t_p_value(mean, error) == pytest.approx(oracle.pvalue)
    assert t_interval(mean, error, confidence=0.9) == pytest.approx(tuple(oracle.confidence_interval(0.9)))


def test_a_comparison_needs_two_blocks_of_each():
    with pytest.raises(ValueError, match=r"^a comparison needs at least 2 blocks a revision, found 1$"):
        block_error([1.0])


def test_without_spread():
    assert sum_of_errors(MeanError(0.0, 3), MeanError(0.0, 5)) == MeanError(0.0, 8)
    error = sum_of_errors(block_error([1.0, 1.0]), block_error([1.0, 1.0, 1.0]))
    assert t_p_value(0.0, error) == 1.0
    assert t_p_value(0.1, error) == 0.0
    # Up to 1e-12 is rounding.
    assert t_p_value(-1e-12, MeanError(1e-12, 3)) == 1.0
    assert t_p_value(1.1e-12, MeanError(1e-12, 3)) == 0.0
    certain = MeanError(3.0, math.inf)
    assert sum_of_errors(certain, MeanError(4.0, math.inf)) == MeanError(5.0, math.inf)
    assert sum_of_errors(MeanError(0.0, 3), MeanError(2.0, 5)) == MeanError(2.0, pytest.approx(5))


def test_a_single_loss_is_a_t_test_over_its_searches():
    # Two blocks of each of four searches.
    values = [0.1, 0.4, 0.3, 0.35, 0.2, 0.5, 0.4, 0.15]
    means = np.mean([values[:4], values[4:]], axis=0)
    (error,) = revision_errors([values], 4)
    oracle = stats.ttest_1samp(means, 0.0)
    assert t_p_value(np.mean(values), error) == pytest.approx(oracle.pvalue)
    assert error.freedom == 3


def test_what_the_losses_share_and_what_is_their_own():
    rng = np.random.default_rng(11)
    blocks_LB = rng.normal(size=(4, 12)) + rng.normal(size=12)
    layout = np.stack([blocks_LB[:, search::3].mean(1) for search in range(3)], axis=1)
    # The interaction of an analysis of variance, and the blocks' means over the losses within searches.
    rest = layout - layout.mean(0) - layout.mean(1, keepdims=True) + layout.mean()
    own, shared_B = (rest**2).sum() / 6, blocks_LB.mean(0)
    shared = np.mean([shared_B[search::3].var(ddof=1) for search in range(3)])
    parts = own / 3, shared / 12
    for error in revision_errors(list(blocks_LB), 3):
        assert error.standard_error == pytest.approx(np.sqrt(sum(parts)))
        assert error.freedom == 6


def test_a_single_block_a_search_leaves_each_loss_its_own():
    values = [[0.0, 1.0], [0.0, 3.0]]
    assert revision_errors(values, 2) == [MeanError(pytest.approx(0.5), 1), MeanError(pytest.approx(1.5), 1)]


def test_one_block_more_than_searches_tells_what_the_losses_share():
    blocks_LB = np.array([[0.1, 0.5, 0.3], [0.2, 0.1, 0.7], [0.4, 0.3, 0.1]])
    layout = np.stack([blocks_LB[:, [0, 2]].mean(1), blocks_LB[:, 1]], axis=1)
    rest = layout - layout.mean(0) - layout.mean(1, keepdims=True) + layout.mean()
    shared = blocks_LB.mean(0)[[0, 2]].var(ddof=1)
    expected = np.sqrt((rest**2).sum() / 2 / (9 / 5) + shared / 3)
    assert revision_errors(list(blocks_LB), 2) == [MeanError(pytest.approx(expected), 1)] * 3


def test_a_gamble_is_set_apart():
    values = np.random.default_rng(5).normal(0, 0.001, size=(9, 12))
    gamble = values[4] + np.tile([0.0, 0.2, -0.1], 4)
    errors = revision_errors([*values[:4], gamble, *values[5:]], 3)
    means = [gamble[search::3].mean() for search in range(3)]
    assert errors[4] == MeanError(pytest.approx(np.std(means, ddof=1) / np.sqrt(3)), 2)
    assert errors[0].standard_error < 0.001


@pytest.mark.parametrize(("num_losses", "num_searches"), [(3, 2), (4, 3), (5, 4)])
def test_the_outward_test_is_the_f_test_of_nested_models(num_losses, num_searches):
    """Whether one loss more is set apart, against statsmodels: the two-way layout with and without that loss's row."""
    scores = np.random.default_rng(6).normal(0, 1, (num_losses, num_searches))
    wild = np.random.default_rng(7).normal(0, 1, num_searches)

    decisions = []
    for scale in np.geomspace(1, 300, 120):
        values = scores.copy()
        values[0] += scale * wild
        without = [two_way_layout(np.delete(values, loss, axis=0)) for loss in range(num_losses)]
        apart = min(range(num_losses), key=lambda loss: without[loss].ssr)
        rest = without[apart]
        extra = (two_way_layout(values).ssr - rest.ssr) / (num_searches - 1)
        p_value = stats.f.sf(extra / (rest.ssr / rest.df_resid), num_searches - 1, rest.df_resid)
        # Two blocks of each search that agree: the means of the searches are the layout.
        errors = revision_errors(list(np.tile(values, 2)), num_searches)
        is_apart = len({error.standard_error for error in errors}) > 1
        assert is_apart == (p_value * num_losses < OUTLIER_LEVEL), scale
        pooled = rest if is_apart else two_way_layout(values)
        expected = np.sqrt(pooled.mse_resid / num_searches), min(pooled.df_resid, num_searches)
        alike = errors[apart - 1]
        assert (alike.standard_error, alike.freedom) == pytest.approx(expected)
        decisions.append(is_apart)
    assert {*decisions} == {False, True}


def test_a_loss_with_fewer_blocks_is_less_sure():
    values = np.random.default_rng(6).normal(size=(5, 12))
    errors = revision_errors([values[0][:7], *values[1:]], 2)
    # Four blocks of one search and three of the other are worth 49/25 searches. The variances are told by seven blocks.
    common = values[:, :7]
    layout = np.stack([common[:, search::2].mean(1) for search in (0, 1)], axis=1)
    rest = layout - layout.mean(0) - layout.mean(1, keepdims=True) + layout.mean()
    mean_B = common.mean(0)
    shared = sum(mean_B[search::2].var() * len(mean_B[search::2]) for search in (0, 1)) / 5
    own = (rest**2).sum() / 4
    assert errors[0] == MeanError(pytest.approx(np.sqrt(own / (49 / 25) + shared / 7)), 4)
    assert errors[1] == MeanError(pytest.approx(np.sqrt(own / 2 + shared / 12)), 4)


@pytest.mark.parametrize(
    ("scores", "num_searches", "message"),
    [
        ([], 2, "found 0 and 2"),
        ([[1.0, 2.0]], 1, "found 1 and 1"),
        ([[1.0, np.nan]], 2, "finite"),
        ([[1.0, 2.0]], 3, "3 searches need as many blocks"),
    ],
)
def test_bad_layouts(scores, num_searches, message):
    with pytest.raises(ValueError, match=message):
        revision_errors(scores, num_searches)


@pytest.mark.parametrize("num_losses", [2, 4, 13])
@pytest.mark.parametrize("shared", [0.0, 1.0, 5.0])
@pytest.mark.parametrize("luck", [0.2, 1.0])
def test_a_difference_of_nothing_is_found_at_the_level(num_losses, shared, luck):
    """Two searches of eight blocks: luck of the search, what the losses share in a block, and a part of their own."""
    rng = np.random.default_rng(3)
    num_studies = 400
    found = 0
    for _ in range(num_studies):
        blocks_LB = np.tile(rng.normal(0, luck, (num_losses, 2)), 8)
        blocks_LB += rng.normal(0, shared, 16) + rng.normal(0, 1, (num_losses, 16))
        error = revision_errors(list(blocks_LB), 2)[0]
        found += t_p_value(blocks_LB[0].mean(), error) <= 0.05
    # Three standard errors of so many studies above 0.05.
    assert found / num_studies <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / num_studies)
