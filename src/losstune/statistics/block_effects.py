"""Means of configurations that were trained in blocks, where a block's seed moves the scores of all losses alike.

Shape suffixes: N trainings, C configurations, G groups of configurations (losses), B blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from losstune.statistics.moderation import Variance, moderated
from losstune.statistics.paired import Array
from losstune.statistics.pooling import Ints

BLOCK_RATIO = 1.0
"""Working ratio of the variance of the block effects to the residual variance. Any ratio gives unbiased means."""
MOST_RATIO = 10.0
"""Largest estimate of this ratio. Without a limit, a few blocks could suggest that there is no residual variance."""


@dataclass(frozen=True, slots=True)
class BlockFit:
    """Estimated means of configurations.

    Attributes:
        mean_C: Mean score of each configuration.
        map_CN: The linear map from the scores to `mean_C`.
        own_G: Residual variance of each group.
        shared: Variance of the block effects.
        freedom: Degrees of freedom of the residuals of all groups together.
        group_N: Group of each training.
        block_N: Block of each training.
    """

    mean_C: Array
    map_CN: Array
    own_G: list[Variance]
    shared: float
    freedom: float
    group_N: Ints
    block_N: Ints

    def variance_of(self, coefficients_N: Array) -> Variance:
        """Return the variance of ``sum_n a_n score_n``.

        ``V = sum_g s_g^2 sum_{n in g} a_n^2 + s_shared^2 sum_b (sum_{n in b} a_n)^2``; a paired difference has
        coefficients that cancel within a block. The degrees of freedom are Satterthwaite's over the groups, and never
        more than the residuals have, because moderated variances share what they borrow.
        """
        squares_G = np.bincount(self.group_N, coefficients_N**2, minlength=len(self.own_G))
        parts_G = squares_G * np.array([own.value for own in self.own_G])
        block_B = np.bincount(self.block_N, coefficients_N)
        value = float(parts_G.sum() + self.shared * (block_B**2).sum())
        spread = float((parts_G**2 / np.array([own.freedom for own in self.own_G])).sum())
        return Variance(value, min(value**2 / spread, self.freedom) if spread > 0.0 else np.inf)


def fit_blocks(scores_N: ArrayLike, configuration_N: ArrayLike, group_N: ArrayLike, block_N: ArrayLike) -> BlockFit:
    """Estimate the means of configurations with random block effects.

    ``score = mean_c + block_b + rest``: generalised least squares with the working ratio :data:`BLOCK_RATIO` of the
    variances, so that a block with many losses corrects each of them for the luck of its seed. The residual variances
    of the groups are moderated, see :func:`losstune.statistics.moderation.moderated`.

    The variances are unbiased whatever their true ratio is: the squares of the residuals and the squares within
    configurations both have an expectation that is linear in the residual variance and in that of the block effects.

    Args:
        scores_N: The scores.
        configuration_N: Number of each training's configuration, 0..C-1; a configuration belongs to one group.
        group_N: Number of its group, 0..G-1.
        block_N: Number of its block, from 0.

    Source:
        Henderson 1975, *Best linear unbiased estimation and prediction under a selection model*.
    """
    scores, configurations = np.asarray(scores_N, np.float64), np.asarray(configuration_N, np.int64)
    groups, blocks = np.asarray(group_N, np.int64), np.asarray(block_N, np.int64)
    numbers, count_C, num_blocks = np.arange(scores.size), np.bincount(configurations), int(blocks.max()) + 1
    # Without the means, which follow from them, the block effects solve a system of B equations.
    in_block_CB = np.zeros((count_C.size, num_blocks))
    np.add.at(in_block_CB, (configurations, blocks), 1.0)
    share_CB = in_block_CB / count_C[:, None]
    within_BN = -share_CB[configurations].T
    within_BN[blocks, numbers] += 1.0
    system_BB = np.diag(in_block_CB.sum(0) + 1.0 / BLOCK_RATIO) - in_block_CB.T @ share_CB
    effect_BN = np.asarray(np.linalg.solve(system_BB, within_BN), np.float64)
    map_CN = -share_CB @ effect_BN
    map_CN[configurations, numbers] += 1.0 / count_C[configurations]

    # Centred, because a score near 1 with differences near 1e-3 would lose digits in the squares.
    centre = float(scores.mean())
    centred_N = scores - centre
    corrected_N = centred_N - (effect_BN @ centred_N)[blocks]
    # Summed in the order of the trainings, so that identical losses have the same means to the last bit.
    mean_C = np.bincount(configurations, corrected_N) / count_C
    square_N = (corrected_N - mean_C[configurations]) ** 2
    within_N = centred_N - (np.bincount(configurations, centred_N) / count_C)[configurations]
    # E[square_n] = own_n s^2 + from_blocks_n s_block^2: the diagonals of P P' and P Z Z' P', where P maps the scores to
    # the residuals and Z has a column for each block.
    from_blocks_N = (effect_BN**2).sum(0) / BLOCK_RATIO**2
    own_N = 1.0 - map_CN[configurations, numbers] - effect_BN[blocks, numbers] - BLOCK_RATIO * from_blocks_N
    total = float((within_N**2).sum()) / max(scores.size - count_C.size, 1)
    residual = _residual_variance(float(square_N.sum()), total, float(own_N.sum()), float(from_blocks_N.sum()))
    shared = max(0.0, total - residual)
    expected_N = own_N + (shared / residual if residual > 0.0 else 0.0) * from_blocks_N
    sums_G = [np.bincount(groups, values_N) for values_N in (square_N, expected_N, own_N)]
    own = [Variance(float(s / max(e, 1e-12)), float(free)) for s, e, free in zip(*sums_G, strict=True)]
    return BlockFit(
        mean_C=mean_C + centre,
        map_CN=map_CN,
        own_G=moderated(own, most_prior=np.inf),
        shared=shared,
        freedom=float(sums_G[2].sum()),
        group_N=groups,
        block_N=blocks,
    )


def _residual_variance(squares: float, total: float, own: float, from_blocks: float) -> float:
    """Return s^2 from ``squares = own s^2 + from_blocks s_block^2`` and ``total = s^2 + s_block^2``."""
    if own - from_blocks <= 1e-6 * own:  # a single loss: nothing tells the two apart
        return squares / max(own + BLOCK_RATIO * from_blocks, 1e-12)
    return min(max((squares - total * from_blocks) / (own - from_blocks), total / (1.0 + MOST_RATIO)), total)
