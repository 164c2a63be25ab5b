"""Where the spread of the scores comes from: the loss, its hyperparameters, the seed."""

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
        loss: Between the winners' true means.
        hyperparameters: Between the configurations of one search, without what their seeds contribute.
        seed_shared: Of a block's seed, as far as it moves all losses alike; pairing removes it.
        seed_own: What is left: how a seed meets a loss. It is what a comparison has to overcome.
    """

    loss: float
    hyperparameters: float
    seed_shared: float
    seed_own: float


def components_of_variance(blocks_LB: ArrayLike, trials: Mapping[str, ArrayLike]) -> Components:
    """Split the variance of scores by its sources, by the method of moments.

    From the two-way layout of L losses by B blocks, with one score a cell, ``x_lb = mu + loss_l + seed_b + rest_lb``:
    the mean squares are unbiased for ``MS_rest = s_own``, ``MS_block = s_own + L s_shared`` and ``MS_loss = s_own + B
    s_loss``. A search's trials differ in configuration and seed, so the pooled variance within a loss, minus s_own and
    s_shared, is that of the hyperparameters. An estimate below zero counts as zero.

    Args:
        blocks_LB: Scores (L, B) of the winners, L and B at least 2.
        trials: Scores of a search's trials by loss, on the same split as the blocks; losses with one trial are passed
            over.

    Raises:
        ValueError: If the layout is too small or a value is not finite.

    Source:
        Searle, Casella & McCulloch 1992, *Variance components*, section 4.3 (ANOVA estimators).
    """
    blocks_LB = np.asarray(blocks_LB, dtype=np.float64)
    if blocks_LB.ndim != 2 or min(blocks_LB.shape) < 2 or not np.isfinite(blocks_LB).all():
        raise ValueError(f"expected finite scores (L, B) with L, B >= 2, found shape {blocks_LB.shape}")
    num_losses, num_blocks = blocks_LB.shape
    mean = blocks_LB.mean()
    loss_L, block_B = blocks_LB.mean(1) - mean, blocks_LB.mean(0) - mean
    rest_LB = blocks_LB - mean - loss_L[:, None] - block_B[None, :]
    ms_loss = num_blocks * float(loss_L @ loss_L) / (num_losses - 1)
    ms_block = num_losses * float(block_B @ block_B) / (num_blocks - 1)
    ms_rest = float((rest_LB**2).sum()) / ((num_losses - 1) * (num_blocks - 1))
    seed_shared = max(0.0, (ms_block - ms_rest) / num_losses)
    squares, freedom = 0.0, 0
    for scores in trials.values():
        scores_n = finite(scores)
        if scores_n.size > 1:
            squares += float(((scores_n - scores_n.mean()) ** 2).sum())
            freedom += scores_n.size - 1
    within = squares / freedom if freedom else 0.0
    return Components(
        loss=max(0.0, (ms_loss - ms_rest) / num_blocks),
        hyperparameters=max(0.0, within - seed_shared - ms_rest),
        seed_shared=seed_shared,
        seed_own=ms_rest,
    )
