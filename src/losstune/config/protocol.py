"""The keys ``protocol`` and ``budget`` of ``params.yaml``: how a study spends its trainings, and how many."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from losstune.config.settings import Int, Number, Section
from losstune.config.tune import TuneSettings

Protocol = Literal["pooled", "replicated"]

FEWEST_DRAWS = 14
"""Fewest random configurations of a pool for a claim: with fewer, unreliable searches may look reliable by chance."""


class BudgetSettings(Section):
    """What a study may spend: trainings, or minutes on this machine."""

    trainings: Annotated[Int, Field(ge=1, le=10_000_000)] | None = None
    minutes: Annotated[Number, Field(gt=0.0)] | None = None

    def __str__(self) -> str:
        """Return ``400 trainings`` or ``30 minutes``."""
        return f"{self.trainings} trainings" if self.minutes is None else f"{self.minutes:g} minutes"

    @model_validator(mode="after")
    def _names_one(self) -> BudgetSettings:
        if (self.trainings is None) == (self.minutes is None):
            found = "both" if self.trainings is not None else "neither"
            raise ValueError(f"expected one of trainings and minutes, found {found}, such as {{trainings: 400}}")
        return self


def not_pooled_because(
    protocol: Protocol, budget: BudgetSettings | None, tune: TuneSettings, stopping: str
) -> str | None:
    """Return the setting because of which searches are not pooled, such as ``tune.sampler: tpe``; None if they are.

    A pool holds enough independent draws from one distribution, every one of them trained to the end.
    """
    num_draws = tune.num_searches * (tune.trials_per_loss - 1)
    is_small = tune.trials_per_loss < 2 or (budget is None and num_draws < FEWEST_DRAWS)
    for key, found, applies in (
        ("protocol", protocol, protocol == "replicated"),
        ("tune.sampler", tune.sampler, tune.sampler == "tpe"),
        ("tune.scheduler", tune.scheduler, tune.scheduler == "asha"),
        ("confirm.stopping", stopping, stopping == "anytime"),
        ("tune", f"{tune.num_searches} searches of {tune.trials_per_loss} trials", is_small),
    ):
        if applies:
            return f"{key}: {found}"
    return None
