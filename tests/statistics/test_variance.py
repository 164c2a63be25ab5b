from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats.anova import anova_lm

from losstune.statistics import components_of_variance


def test_components_agree_with_the_anova_of_statsmodels():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 1, (5, 1)) + rng.normal(0, 2, (1, 8)) + rng.normal(0, 0.5, (5, 8))
    long = pd.DataFrame(
        [(f"l{i}", f"b{j}", scores[i, j]) for i in range(5) for j in range(8)], columns=["loss", "block", "y"]
    )
    table = anova_lm(smf.ols("y ~ loss + block", data=long).fit())
    squares = table["mean_sq"]
    trials = {"a": rng.normal(0, 5, 30), "b": rng.normal(9, 5, 20), "c": [3.0]}
    found = components_of_variance(scores, trials)
    assert found.seed_own == pytest.approx(squares["Residual"])
    assert found.seed_shared == pytest.approx((squares["block"] - squares["Residual"]) / 5)
    assert found.loss == pytest.approx((squares["loss"] - squares["Residual"]) / 8)
    pooled = (29 * np.var(trials["a"], ddof=1) + 19 * np.var(trials["b"], ddof=1)) / 48
    assert found.hyperparameters == pytest.approx(pooled - found.seed_own - found.seed_shared)


def test_components_are_unbiased_and_never_negative():
    rng = np.random.default_rng(1)
    truth = np.array([1.0, 9.0, 4.0, 0.25])
    found = []
    for _ in range(300):
        scores = rng.normal(0, 1, (12, 1)) + rng.normal(0, 2, (1, 12)) + rng.normal(0, 0.5, (12, 12))
        trials = {str(i): rng.normal(0, np.sqrt(9 + 4.25), 12) for i in range(12)}
        c = components_of_variance(scores, trials)
        found.append((c.loss, c.hyperparameters, c.seed_shared, c.seed_own))
    np.testing.assert_allclose(np.mean(found, axis=0), truth, rtol=0.1)
    same = components_of_variance(np.ones((3, 3)), {"a": [1.0, 1.0]})
    assert (same.loss, same.hyperparameters, same.seed_shared, same.seed_own) == (0.0, 0.0, 0.0, 0.0)


def test_a_layout_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="L, B >= 2"):
        components_of_variance([[1.0, 2.0]], {})
