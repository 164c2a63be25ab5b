"""Try the user's own code on a few samples, before anything trains."""

from __future__ import annotations

import contextlib
import io

import torch

from losstune.config.schema import Params
from losstune.config.settings import OwnSettings
from losstune.core.own_code import is_own
from losstune.losses.registry import get
from losstune.losses.tools.own import require_usable
from losstune.models.own import require_seeded
from losstune.training.augmentation import require_augmentation
from losstune.training.own_metric import check_metric


def check_own(params: Params, input_shape: tuple[int, ...] | None, num_classes: int) -> list[str]:
    """Call every callable of the user's own that a training runs.

    Args:
        params: The study's settings, whose own losses are in use.
        input_shape: Shape of one sample: (C, H, W) or (D,). None if unknown: then only losses are tried.
        num_classes: Number of classes; a guess if the shape is unknown.

    Returns:
        Notes for the user, one sentence each.

    Raises:
        LosstuneError: If one breaks its contract; the message names its key, what was found and what is expected.
    """
    notes: list[str] = []
    printed = io.StringIO()
    with torch.random.fork_rng(devices=[]), contextlib.redirect_stdout(printed):
        for name in params.own_losses:
            require_usable(get(name), num_classes)
            if get(name).assumes_softmax:
                notes.append(f"{name} declares no link, so softmax of its outputs is taken for the probabilities")
        if params.names_model and is_own(params.model.name) and input_shape is not None:
            note = require_seeded(params.model, input_shape, num_classes)
            notes += [note] if note else []
        augmentation = params.training.augmentation
        if isinstance(augmentation, OwnSettings) and input_shape is not None:
            note = require_augmentation(augmentation, input_shape)
            notes += [note] if note else []
        for key, metric in params.tune.own_metrics.items():
            if metric.is_function and input_shape:
                check_metric(metric, num_classes, key)
    return [*notes, *printed_note(printed.getvalue())]


def printed_note(text: str) -> list[str]:
    """Return a note on what own code printed; none if it printed nothing."""
    if not text.strip():
        return []
    first = text.strip().splitlines()[0][:60]
    return [f"the study's own code prints, such as {first!r}; with many trainings, that hides the progress"]
