"""Check that the model fits the data, before the first training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from losstune.config.data import FILES
from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from losstune.core.own_code import is_own
from losstune.data import prepared
from losstune.data.manifest import Manifest
from losstune.losses.registry import get
from losstune.models.fitting import require_fit, require_weights
from losstune.stages.layout import PREPARED
from losstune.stages.own_checks import check_own
from losstune.study.search import Space

DIGITS_SHAPE = (1, 8, 8)
SOME_CLASSES = 10
"""Assumed if the data is not prepared. Whether a model fits does not depend on the number of classes."""
GUESSED = f"; it was tried with {SOME_CLASSES} classes, as the data is not prepared yet"


def require_model(params: Params, spaces: Mapping[str, Space], input_shape: tuple[int, ...], num_classes: int) -> None:
    """Raise if the model cannot be trained on the data or with one of the losses.

    Args:
        params: The study's settings.
        spaces: Search spaces of its losses, with the hyperparameters that the study fixes.
        input_shape: Shape of one sample: (C, H, W) or (D,).
        num_classes: Number of classes.

    Raises:
        LosstuneError: The message names the key, what was found and what is expected.
    """
    heads = {name: get(name).bind(space.fixed).head_options(num_classes) for name, space in spaces.items()}
    require_fit(params.model, input_shape, num_classes, batch_size=params.training.batch_size, heads=heads)


def pretrained_notes(params: Params, input_shape: tuple[int, ...], num_classes: int) -> list[str]:
    """Return what ``model.weights`` loads, and what is unusual about ``model.freeze``, one sentence each.

    Raises:
        LosstuneError: If the file is not one of this architecture.
    """
    if not params.names_model:
        return []
    model = params.model
    if model.weights is not None:
        return [require_weights(model, input_shape, num_classes)]
    if model.freeze != "none" and not is_own(model.name):
        return ["the layers of model.freeze keep their random weights, because model.weights is null"]
    return []


def check_model(params: Params, spaces: Mapping[str, Space], folder: Path, source: str = "params.yaml") -> list[str]:
    """Check the model and the user's own code before a stage runs.

    Without prepared data, and if the settings give no shape either, only losses are tried.

    Returns:
        Notes for the user, one sentence each.

    Raises:
        LosstuneError: As :func:`require_model` and :func:`check_own`, with the name of the file first.
    """
    known = known_input(params, folder)
    shape, num_classes, where = known or (None, SOME_CLASSES, GUESSED)
    try:
        if shape is not None and params.names_model:
            require_model(params, spaces, shape, num_classes)
            pretrained_notes(params, shape, num_classes)
        return check_own(params, shape, num_classes)
    except LosstuneError as error:
        raise LosstuneError(f"{source}: {error}{where}") from None


def known_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of the prepared data; None if there is none."""
    try:
        return prepared.read_manifest(folder / PREPARED)
    except LosstuneError:
        return None


def known_input(params: Params, folder: Path) -> tuple[tuple[int, ...], int, str] | None:
    """Return a sample's shape, the number of classes, and their source if they may be out of date.

    None if only the data itself gives them.
    """
    side = params.data.image_size
    if params.data.name == "digits":
        return DIGITS_SHAPE, SOME_CLASSES, ""
    manifest = known_manifest(folder)
    if manifest is not None and manifest.name == params.data.name and manifest.has_samples:
        if side is not None:
            return (manifest.input_shape[0], side, side), manifest.num_classes, ""
        return manifest.input_shape, manifest.num_classes, f"; the shape comes from {PREPARED}"
    return None if side is None or params.data.name == FILES else ((3, side, side), SOME_CLASSES, "")
