"""Random changes of a batch of images, on the device: flips and crops, or the user's own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from losstune.config.settings import OwnSettings
from losstune.core.errors import LosstuneError
from losstune.core.own_code import load
from losstune.training.device_data import DeviceData

KEY = "training.augmentation"

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""Changes a batch of normalised inputs; all random numbers come from the generator, which is on the CPU."""


def augmentation_of(setting: str | OwnSettings, data: DeviceData) -> Augment | None:
    """Return the function that ``training.augmentation`` names; None for ``none``.

    A user's own function, ``augment(images, generator, **options) -> images``, gets images in [0, 1] if they are stored
    as bytes, else in stored units, and returns as many of the same shape and type.

    Raises:
        LosstuneError: If there is no such function.
    """
    if setting == "none":
        return None
    if isinstance(setting, str):
        return lambda images, generator: augment(images, setting, generator)
    own, options, reference = load(setting.name, KEY), dict(setting.options), setting.name

    def augment_as_stored(images: Tensor, generator: torch.Generator) -> Tensor:
        given = data.as_stored(images)
        changed = own(given, generator, **options)
        if not isinstance(changed, Tensor) or changed.shape != images.shape or changed.dtype != images.dtype:
            raise LosstuneError(
                f"{KEY}: {reference} returned {describe(changed)}, expected {describe(given)} as it was given"
            )
        return data.from_stored(changed)

    return augment_as_stored


def describe(value: object) -> str:
    """Return type and shape of a tensor, or the type of another value, for messages."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    return "nothing" if value is None else f"a value of type {type(value).__name__}"


def augment(images: Tensor, augmentation: str, generator: torch.Generator) -> Tensor:
    """Flip and shift the images of a batch (N, C, H, W) independently at random.

    ``crop`` pads each side by an eighth with zeros (the mean, after normalisation) and crops at random; ``flip``
    mirrors left to right with probability 1/2; ``flip_crop`` does both. The draws come from `generator`, which is on
    the CPU for every device, and depend only on the batch's shape. Features (N, D) are returned unchanged.
    """
    if images.dim() != 4:
        return images
    num, _, height, width = images.shape
    rows = torch.arange(height).expand(num, height)
    columns = torch.arange(width).expand(num, width)
    if "flip" in augmentation:
        mirrored = torch.rand(num, generator=generator) < 0.5
        columns = torch.where(mirrored[:, None], width - 1 - columns, columns)
    if "crop" in augmentation:
        pad = max(1, width // 8)
        images = nn.functional.pad(images, (pad, pad, pad, pad))
        rows = rows + torch.randint(0, 2 * pad + 1, (num, 1), generator=generator)
        columns = columns + torch.randint(0, 2 * pad + 1, (num, 1), generator=generator)
    rows, columns = rows.to(images.device), columns.to(images.device)
    sample = torch.arange(num, device=images.device)
    picked = images[sample[:, None, None], :, rows[:, :, None], columns[:, None, :]]  # (N, H, W, C)
    return picked.permute(0, 3, 1, 2)
