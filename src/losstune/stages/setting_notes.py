"""Notes on settings of the training that have no effect."""

from __future__ import annotations

from collections.abc import Iterator

from losstune.config.schema import Params
from losstune.training.update_rules import RULES

OF_OPTIMIZERS = ("momentum", "betas")
OF_STEPS = ("step_every", "step_factor")


def setting_notes(params: Params) -> Iterator[str]:
    """Return a line on each setting that has no effect, or that the user's own loop has to read."""
    training, searched = params.training, params.search_space.training
    defaults = type(training)()
    given = {name for name in type(training).model_fields if getattr(training, name) != getattr(defaults, name)}
    given |= searched.keys()
    if training.loop is not None:
        if searched:
            names = ", ".join(f"training.{name}" for name in searched)
            yield f"{names}: searched, so your loop has to apply it, from job.settings"
        return
    for name in OF_OPTIMIZERS:
        if name in given and name not in RULES[training.optimizer].reads:
            yield f"training.{name} has no effect with training.optimizer: {training.optimizer}"
    if "backbone_factor" in searched and params.model.freeze == "backbone":
        yield "search_space.training.backbone_factor has no effect with model.freeze: backbone"
    for name in OF_STEPS:
        if name in given and training.schedule != "step":
            yield f"training.{name} has no effect with training.schedule: {training.schedule}"
