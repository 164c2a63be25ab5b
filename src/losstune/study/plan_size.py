"""The number of trainings that a study asks for, from its settings alone."""

from __future__ import annotations

from losstune.config.schema import Params
from losstune.losses.registry import identical_to
from losstune.statistics import num_control_blocks


def num_degraded(params: Params) -> int:
    """Return the number of blocks, from the first, on which the degraded baseline is trained."""
    if not params.confirm.positive_control:
        return 0
    enough = num_control_blocks(params.report.alpha)
    return enough if params.budget is not None else min(params.confirm.num_blocks, enough)


def num_controls(params: Params) -> int:
    """Return the number of trainings of the identity control and of the positive control."""
    has_control = identical_to(params.baseline, params.loss_names) is not None
    return has_control + num_degraded(params)


def num_trainings(params: Params, budget: int | None = None) -> tuple[int, int | None]:
    """Return the number of trainings of ``tune``, and the most of ``confirm``, with its controls.

    A pooled study tunes one search of each loss. Further ones belong to the rounds of ``confirm``.

    Args:
        params: The settings.
        budget: What a budget in minutes pays for, if known. Otherwise the second number is None.
    """
    num_losses, size = len(params.loss_names), params.tune.trials_per_loss
    if not params.is_pooled:
        return (
            num_losses * params.tune.num_searches * size,
            num_losses * params.confirm.num_blocks + num_controls(params),
        )
    first = num_losses * size
    if params.budget is not None:
        budget = params.budget.trainings or budget
        return first, None if budget is None else max(budget - first, 0)
    rest = (params.tune.num_searches - 1) * size + params.confirm.num_blocks
    return first, num_losses * rest + num_controls(params)
