from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from losstune.statistics import components_of_variance


def draw(rng, num_losses, num_searches, num_blocks, sd_loss, sd_search, sd_seed, sd_own):
    """Scores (L, S, B) with these standard deviations by source."""
    shape = num_losses, num_searches, num_blocks
    return (
        rng.normal(0, sd_loss, (num_losses, 1, 1))
        + rng.normal(0, sd_search, (num_losses, num_searches, 1))
        + rng.normal(0, sd_seed, (1, num_searches, num_blocks))
        + rng.normal(0, sd_own, shape)
    )


def test_components_agree_with_nested_regressions_in_statsmodels():
    rng = np.random.default_rng(0)
    scores = draw(rng, 5, 3, 4, 1.0, 0.7, 2.0, 0.5)
    long = pd.DataFrame(
        [
            (f"l{loss}", f"s{search}", f"s{search}b{block}", value)
            for (loss, search, block), value in np.ndenumerate(scores)
        ],
        columns=["loss", "search", "block", "y"],
    )

    def left(formula):
        """What the model leaves unexplained, as a sum of squares."""
        return smf.ols(formula, data=long).fit().ssr

    whole = left("y ~ block + loss:search")
    own = whole / (4 * 3 * 3)
    seeds = (left("y ~ loss:search") - whole) / 9
    searches = (left("y ~ block + loss") - whole) / 8
    losses = (left("y ~ block") - left("y ~ block + loss")) / 4
    trials = {"a": rng.normal(0, 5, 30), "b": rng.normal(9, 5, 20), "c": [3.0]}
    found = components_of_variance(scores, trials)
    assert found.seed_own == pytest.approx(own)
    assert found.seed_shared == pytest.approx((seeds - own) / 5)
    assert found.search == pytest.approx((searches - own) / 4)
    assert found.loss == pytest.approx(max(0.0, (losses - searches) / 12))
    pooled = (29 * np.var(trials["a"], ddof=1) + 19 * np.var(trials["b"], ddof=1)) / 48
    assert found.hyperparameters == pytest.approx(pooled - found.seed_own - found.seed_shared)


def test_components_are_unbiased_and_never_negative():
    rng = np.random.default_rng(1)
    truth = np.array([1.0, 0.64, 9.0, 4.0, 0.25])
    found = []
    for _ in range(300):
        scores = draw(rng, 12, 4, 5, 1.0, 0.8, 2.0, 0.5)
        trials = {str(i): rng.normal(0, np.sqrt(9 + 4.25), 12) for i in range(12)}
        c = components_of_variance(scores, trials)
        found.append((c.loss, c.search, c.hyperparameters, c.seed_shared, c.seed_own))
    np.testing.assert_allclose(np.mean(found, axis=0), truth, rtol=0.1)
    same = components_of_variance(np.ones((3, 2, 2)), {"a": [1.0, 1.0]})
    assert {same.loss, same.search, same.hyperparameters, same.seed_shared, same.seed_own} == {0.0}


@pytest.mark.parametrize(
    "blocks", [np.ones((1, 2, 2)), np.ones((2, 1, 2)), np.ones((2, 2, 1)), np.ones((2, 2)), np.full((2, 2, 2), np.inf)]
)
def test_a_layout_that_is_too_small_is_refused(blocks):
    with pytest.raises(ValueError, match=r"^expected finite scores \(L, S, B\) with L, S, B >= 2, found shape \("):
        components_of_variance(blocks, {})


def test_the_smallest_layout_and_searches_of_one_trial():
    found = components_of_variance([[[1.0, 2.0], [4.0, 4.0]], [[0.0, 5.0], [3.0, 9.0]]], {"a": [1.0], "b": [7.0]})
    # With L = S = B = 2 every contrast has one degree of freedom, or two within the searches.
    assert found.seed_own == pytest.approx(((4 / 2) ** 2 + (6 / 2) ** 2) / 2)
    assert found.hyperparameters == 0.0
