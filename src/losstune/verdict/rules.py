"""The rules by which a study is judged, and the random streams of its intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from losstune.config.schema import Params
from losstune.core.seeds import derive_seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How decisions are drawn.

    Attributes:
        alpha: Level of the tests, over all candidates together.
        rope: A smaller difference makes no practical difference.
        power: That the numbers of blocks still needed are for.
        num_searches: Independent searches of each loss. Blocks go round: block b retrains the winner of search b modulo
            `num_searches`.
        anytime: Whether each loss's number of blocks was chosen by its e-process.
    """

    alpha: float
    rope: float
    power: float
    num_searches: int
    anytime: bool = False

    @classmethod
    def of(cls, params: Params) -> Rules:
        """Return the rules that the settings state."""
        return cls(
            alpha=params.report.alpha,
            rope=params.report.rope,
            power=params.report.power,
            num_searches=params.tune.num_searches,
            anytime=params.confirm.stopping == "anytime",
        )


def generator_of(params: Params, *coordinates: str) -> np.random.Generator:
    """Return the random stream for one number of the report."""
    # A stream for each number: adding a loss to the study leaves the intervals of the others as they were.
    return np.random.default_rng(derive_seed(params.study.seed, "report", *coordinates))
