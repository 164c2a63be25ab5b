"""Notes on settings of the training that have no effect."""

from __future__ import annotations

from collections.abc import Iterator

from losstune.config.schema import Params
from losstune.training.update_rules import RULES

OF_OPTIMIZERS = ("momentum", "betas")
OF_STEPS = ("step_every", "step_factor")
OF_THE_LOOP = ("clip_norm", "accumulation", "ema", "sampling", "augmentation", "mixup", "cutmix", "class_weights")


def setting_notes(params: Params) -> Iterator[str]:
    """Return a line on each setting that is given or searched, but not read, and on those that a loop has to read."""
    training, searched = params.training, params.search_space.training
    defaults = type(training)()
    given = {name for name in type(training).model_fields if getattr(training, name) != getattr(defaults, name)}
    given |= searched.keys()
    if training.loop is not None:
        names = dict.fromkeys(f"training.{name}" for name in (*OF_THE_LOOP, *searched) if name in given)
        if names:
            yield f"{', '.join(names)}: losstune's own loop alone applies them; yours has to, from job.settings"
        return
    for name in OF_OPTIMIZERS:
        if name in given and name not in RULES[training.optimizer].reads:
            yield f"training.{name} has no effect with training.optimizer: {training.optimizer}"
    for name in OF_STEPS:
        if name in given and training.schedule != "step":
            yield f"training.{name} has no effect with training.schedule: {training.schedule}"
