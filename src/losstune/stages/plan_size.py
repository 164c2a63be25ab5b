"""The number of trainings that a study asks for, from its settings alone."""

from __future__ import annotations

from losstune.config.schema import Params
from losstune.losses.registry import identical_to
from losstune.statistics import num_control_blocks


def num_degraded(params: Params) -> int:
    """Return the number of blocks, from the first, on which the degraded baseline is trained."""
    confirm = params.confirm
    return min(confirm.num_blocks, num_control_blocks(params.report.alpha)) if confirm.positive_control else 0


def num_trainings(params: Params) -> tuple[int, int]:
    """Return the number of trainings of ``tune``, and the most of ``confirm``, with its controls."""
    num_losses = len(params.loss_names)
    has_control = identical_to(params.baseline, params.loss_names) is not None
    return (
        num_losses * params.tune.num_searches * params.tune.trials_per_loss,
        num_losses * params.confirm.num_blocks + has_control + num_degraded(params),
    )
