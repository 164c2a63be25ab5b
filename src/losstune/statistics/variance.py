"""Components of variance of the scores: loss, search, hyperparameters, seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from losstune.statistics.paired import finite


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Variances of a score by source, in squared units of the score; none is negative.

    Attributes:
        loss: Variance between the losses' true means.
        search: Variance between the winners of one loss's searches.
        hyperparameters: Variance between the configurations of one search, without the seeds' contribution.
        seed_shared: Variance from a block's seed that all losses share; pairing removes it.
        seed_own: The residual: the interaction of seed and loss. It limits the precision of a paired comparison.
    """

    loss: float
    search: float
    hyperparameters: float
    seed_shared: float
    seed_own: float


def components_of_variance(blocks_LSB: ArrayLike, trials: Mapping[str, ArrayLike]) -> Components:
    """Split the variance of scores by source, by the method of moments.

    The layout has L losses by S searches by B blocks per search, with one score per cell, ``x_lsb = mu + loss_l +
    search_ls + seed_sb + rest_lsb``. Its mean squares have the expectations ``MS_rest = s_own``, ``MS_seed = s_own + L
    s_shared``, ``MS_loss:search = s_own + B s_search`` and ``MS_loss = s_own + B s_search + S B s_loss``. A search's
    trials differ in configuration and seed, so the pooled variance within a search, minus s_own and s_shared, is that
    of the hyperparameters. Negative estimates are set to zero.

    Args:
        blocks_LSB: Scores (L, S, B) of the winners; L, S and B at least 2.
        trials: Scores of each search's trials, on the same split as the blocks; searches with one trial are ignored.

    Raises:
        ValueError: If the layout is too small or a value is not finite.

    Source:
        Searle, Casella & McCulloch 1992, *Variance components*, chapter 4 (ANOVA estimators).
    """
    x_LSB = np.asarray(blocks_LSB, dtype=np.float64)
    if x_LSB.ndim != 3 or min(x_LSB.shape) < 2 or not np.isfinite(x_LSB).all():
        raise ValueError(f"expected finite scores (L, S, B) with L, S, B >= 2, found shape {x_LSB.shape}")
    num_losses, num_searches, num_blocks = x_LSB.shape
    mean, loss_L, search_S = x_LSB.mean(), x_LSB.mean((1, 2)), x_LSB.mean((0, 2))
    cell_LS, seed_SB = x_LSB.mean(2), x_LSB.mean(0)
    rest = x_LSB - cell_LS[:, :, None] - seed_SB + search_S[:, None]
    interaction = cell_LS - loss_L[:, None] - search_S + mean
    freedom_rest = (num_losses - 1) * num_searches * (num_blocks - 1)
    ms_rest = float((rest**2).sum()) / freedom_rest
    ms_seed = num_losses * float(((seed_SB - search_S[:, None]) ** 2).sum()) / (num_searches * (num_blocks - 1))
    ms_search = num_blocks * float((interaction**2).sum()) / ((num_losses - 1) * (num_searches - 1))
    ms_loss = num_searches * num_blocks * float(((loss_L - mean) ** 2).sum()) / (num_losses - 1)
    seed_shared = max(0.0, (ms_seed - ms_rest) / num_losses)
    squares, freedom = 0.0, 0
    for scores in trials.values():
        scores_n = finite(scores)
        if scores_n.size > 1:
            squares += float(((scores_n - scores_n.mean()) ** 2).sum())
            freedom += scores_n.size - 1
    within = squares / freedom if freedom else 0.0
    return Components(
        loss=max(0.0, (ms_loss - ms_search) / (num_searches * num_blocks)),
        search=max(0.0, (ms_search - ms_rest) / num_blocks),
        hyperparameters=max(0.0, within - seed_shared - ms_rest),
        seed_shared=seed_shared,
        seed_own=ms_rest,
    )
