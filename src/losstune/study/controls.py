"""The controls of a study: trainings beside the blocks whose outcome is known beforehand."""

from __future__ import annotations

from collections.abc import Iterator

from losstune.config.schema import Params
from losstune.core.records import Configuration, Role
from losstune.losses.registry import identical_to
from losstune.study.plan_size import num_degraded

DEGRADED_BY = 0.01
"""Factor on the baseline's learning rate for the positive control."""


def controls_of(params: Params, baseline: Configuration, block: int) -> Iterator[tuple[Role, Configuration]]:
    """Yield role and configuration of the controls in a block.

    Args:
        params: The settings.
        baseline: The configuration of the baseline in this block.
        block: Number of the block, from 0.
    """
    equal_loss = identical_to(params.baseline, params.loss_names)
    if block == 0 and equal_loss is not None:
        yield "control", baseline.model_copy(update={"loss": equal_loss})
    if block < num_degraded(params):
        yield "degraded", baseline.model_copy(update={"learning_rate": DEGRADED_BY * baseline.learning_rate})
