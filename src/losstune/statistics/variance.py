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
        loss: Between the losses' true means.
        search: Between the winners of one loss's searches: the luck of the search.
        hyperparameters: Between the configurations of one search, without what their seeds contribute.
        seed_shared: Of a block's seed, as far as it moves all losses alike; pairing removes it.
        seed_own: What is left: how a seed meets a loss. It is what a comparison has to overcome.
    """

    loss: float
    search: float
    hyperparameters: float
    seed_shared: float
    seed_own: float


def components_of_variance(blocks_LSB: ArrayLike, trials: Mapping[str, ArrayLike]) -> Components:
    """Split the variance of scores by its sources, by the method of moments.

    From the layout of L losses by S searches by B blocks of each, with one score a cell, ``x_lsb = mu + loss_l +
    search_ls + seed_sb + rest_lsb``, the mean squares are unbiased for ``MS_rest = s_own``, ``MS_seed = s_own + L
    s_shared``, ``MS_loss:search = s_own + B s_search`` and ``MS_loss = s_own + B s_search + S B s_loss``. A search's
    trials differ in configuration and seed, so the pooled variance within a search, minus s_own and s_shared, is that
    of the hyperparameters. An estimate below zero counts as zero.

    Args:
        blocks_LSB: Scores (L, S, B) of the winners, all at least 2.
        trials: Scores of each search's trials, on the same split as the blocks; searches with one trial are passed
            over.

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
    ms_seed = (
        num_losses * float(((seed_SB - search_S[:, None]) ** 2).sum()) / (num_searches * (num_blocks - 1))
    )
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
