"""The rules of the decisions of a study, and the random streams of its intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from losstune.config.schema import Params
from losstune.core.seeds import derive_seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules by which losses are decided on.

    Attributes:
        alpha: Level of the tests, over all candidates.
        rope: Half-width of the region of practical equivalence. A smaller difference does not matter in practice.
        power: Power for which the numbers of further blocks are planned.
        num_searches: Independent searches of each loss. Block b retrains the winner of search b modulo `num_searches`.
            1 for a pooled study, whose blocks belong to the pool.
        minimize: Whether a lower score is better.
        anytime: Whether each loss's number of blocks was chosen by its e-process.
    """

    alpha: float
    rope: float
    power: float
    num_searches: int
    minimize: bool = False
    anytime: bool = False

    @classmethod
    def of(cls, params: Params) -> Rules:
        """Return the rules in the settings."""
        return cls(
            alpha=params.report.alpha,
            rope=params.report.rope,
            power=params.report.power,
            num_searches=1 if params.is_pooled else params.tune.num_searches,
            minimize=params.tune.measure.minimize,
            anytime=params.confirm.stopping == "anytime",
        )


def generator_of(params: Params, *coordinates: str) -> np.random.Generator:
    """Return the random stream for one number of the report."""
    # One stream per number, so that adding a loss does not change the intervals of the others.
    return np.random.default_rng(derive_seed(params.study.seed, "report", *coordinates))
