"""What the settings of a training may be if a training loop of the user's own trains."""

from __future__ import annotations

from collections.abc import Container

from losstune.config.settings import TrainingSettings

OF_OUR_LOOP = ("mixup", "cutmix", "class_weights", "clip_norm", "accumulation", "ema", "patience", "sampling")
"""Settings that only losstune's own loop applies."""


def require_own_loop(training: TrainingSettings, searched: Container[str]) -> None:
    """Reject what only losstune's own loop does, so that no setting is without effect.

    Args:
        training: The settings.
        searched: Names of settings that have a search range.

    Raises:
        ValueError: If there is such a setting.
    """
    advice = "which a training.loop of your own would not see; do it in the loop, and leave the key out"
    for name in (*OF_OUR_LOOP, "backbone_factor"):
        if name in searched:
            raise ValueError(f"search_space.training.{name}: found a range, {advice}")
    defaults = TrainingSettings()
    found = {
        name: getattr(training, name) for name in OF_OUR_LOOP if getattr(training, name) != getattr(defaults, name)
    }
    if isinstance(training.augmentation, tuple):
        found["augmentation"] = training.augmentation_label
    for name, value in found.items():
        raise ValueError(f"training.{name}: found {value}, {advice}")
