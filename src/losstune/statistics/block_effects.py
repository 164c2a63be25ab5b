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


@dataclass(frozen=True, slots=True)
class BlockFit:
    """Estimated means of configurations.

    Attributes:
        mean_C: Mean score of each configuration.
        map_CN: The linear map from the scores to `mean_C`.
        own_G: Residual variance of each group.
        shared: Variance of the block effects.
        group_N: Group of each training.
        block_N: Block of each training.
    """

    mean_C: Array
    map_CN: Array
    own_G: list[Variance]
    shared: float
    group_N: Ints
    block_N: Ints

    def variance_of(self, coefficients_N: Array) -> Variance:
        """Return the variance of ``sum_n a_n score_n``.

        ``V = sum_g s_g^2 sum_{n in g} a_n^2 + s_shared^2 sum_b (sum_{n in b} a_n)^2``; a paired difference has
        coefficients that cancel within a block. The degrees of freedom are Satterthwaite's over the groups.
        """
        squares_G = np.bincount(self.group_N, coefficients_N**2, minlength=len(self.own_G))
        parts_G = squares_G * np.array([own.value for own in self.own_G])
        block_B = np.bincount(self.block_N, coefficients_N)
        value = float(parts_G.sum() + self.shared * (block_B**2).sum())
        spread = float((parts_G**2 / np.array([own.freedom for own in self.own_G])).sum())
        return Variance(value, value**2 / spread if spread > 0.0 else np.inf)


def fit_blocks(scores_N: ArrayLike, configuration_N: ArrayLike, group_N: ArrayLike, block_N: ArrayLike) -> BlockFit:
    """Estimate the means of configurations with random block effects.

    ``score = mean_c + block_b + rest``: generalised least squares with the working ratio :data:`BLOCK_RATIO` of the
    variances, so that a block with many losses corrects each of them for the luck of its seed. The residual variances
    of the groups are moderated, see :func:`losstune.statistics.moderation.moderated`. The variance of the block effects
    is the variance within configurations minus the residual variance.

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
    number, num_configurations, num_blocks = scores.size, int(configurations.max()) + 1, int(blocks.max()) + 1
    design = np.zeros((number, num_configurations + num_blocks))
    design[np.arange(number), configurations] = 1.0
    design[np.arange(number), num_configurations + blocks] = 1.0
    normal = design.T @ design
    effects = np.arange(num_configurations, num_configurations + num_blocks)
    normal[effects, effects] += 1.0 / BLOCK_RATIO
    solution = np.asarray(np.linalg.solve(normal, design.T), np.float64)
    # Centred, because a score near 1 with differences near 1e-3 would lose digits in the squares.
    centre = float(scores.mean())
    fitted = solution @ (scores - centre)
    residual_N = scores - centre - design @ fitted
    free_N = 1.0 - np.einsum("nc,cn->n", design, solution)
    squares_G, free_G = np.bincount(groups, residual_N**2), np.bincount(groups, free_N)
    own = [Variance(float(s / max(f, 1e-12)), float(f)) for s, f in zip(squares_G, free_G, strict=True)]
    count_C = np.bincount(configurations)
    within_N = scores - (np.bincount(configurations, scores) / count_C)[configurations]
    total = float((within_N**2).sum()) / max(int((count_C - 1).sum()), 1)
    common = float(squares_G.sum() / max(free_G.sum(), 1e-12))
    return BlockFit(
        mean_C=fitted[:num_configurations] + centre,
        map_CN=solution[:num_configurations],
        own_G=moderated(own, most_prior=np.inf),
        shared=max(0.0, total - common),
        group_N=groups,
        block_N=blocks,
    )
