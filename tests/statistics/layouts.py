"""Linear models of scores by loss and search, fitted by statsmodels."""

from typing import Any

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf


def two_way_layout(values_LS: np.ndarray) -> Any:
    """Fit the scores by an effect of each loss and one of each search."""
    long = [(f"l{loss}", f"s{search}", value) for (loss, search), value in np.ndenumerate(values_LS)]
    return smf.ols("y ~ loss + search", pd.DataFrame(long, columns=["loss", "search", "y"])).fit()
