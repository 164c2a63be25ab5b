"""Named policies of augmentation, one after another. torchvision is imported only for those that it has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from losstune.core.errors import LosstuneError, in_one_line
from losstune.training.device_data import DeviceData

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""Changes a batch of normalised inputs; all random numbers come from the generator, which is on the CPU."""

NAMES = ("flip", "crop", "trivial_augment", "rand_augment", "auto_augment", "random_erasing", "cutout")
"""All named policies."""

TRANSFORMS = {
    "trivial_augment": "TrivialAugmentWide",
    "rand_augment": "RandAugment",
    "auto_augment": "AutoAugment",
    "random_erasing": "RandomErasing",
}
"""The class of ``torchvision.transforms.v2`` of each policy that is one of torchvision's."""

ON_BYTES = ("trivial_augment", "rand_augment", "auto_augment")
"""Policies with operations on colours, which are defined for bytes of one or three channels."""


def transform_of(name: str, options: dict[str, Any], key: str) -> Callable[[Tensor], Tensor]:
    """Return torchvision's transform of a policy.

    Raises:
        LosstuneError: If it does not take the options.
    """
    from torchvision.transforms import v2

    if name == "auto_augment" and isinstance(options.get("policy"), str):
        options = options | {"policy": _auto_policy(options["policy"], key)}
    try:
        made: Callable[[Tensor], Tensor] = getattr(v2, TRANSFORMS[name])(**options)
    except (TypeError, ValueError) as error:
        raise LosstuneError(f"{key}: {name}: options: {in_one_line(error)}") from None
    return made


def _auto_policy(name: str, key: str) -> Any:
    from torchvision.transforms import v2

    try:
        return v2.AutoAugmentPolicy(name)
    except ValueError:
        known = ", ".join(policy.value for policy in v2.AutoAugmentPolicy)
        raise LosstuneError(f"{key}: auto_augment: policy: found {name!r}, expected one of {known}") from None


def per_image(transform: Callable[[Tensor], Tensor], data: DeviceData, *, on_bytes: bool) -> Augment:
    """Apply a transform of torchvision to every image by itself.

    Its random numbers come from torch's global generator, which gets a seed from the training's stream for each batch.
    So the images do not depend on the loss, the device or dropout.
    """

    def augment(images: Tensor, generator: torch.Generator) -> Tensor:
        seed = int(torch.randint(2**62, (), generator=generator))
        given = (data.as_stored(images) * 255).round().to(torch.uint8) if on_bytes else images
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            changed = torch.stack([transform(image) for image in given])
        return data.from_stored(changed.to(images.dtype) / 255) if on_bytes else changed

    return augment


def cutout(images: Tensor, generator: torch.Generator, size: float = 0.5) -> Tensor:
    """Set a square of each image (N, C, H, W) to 0, the mean after normalisation.

    The centre is drawn uniformly from the pixels, and the square is cut off at the border.

    Args:
        images: A batch of normalised images.
        generator: Source of the random numbers.
        size: Side of the square as a fraction of the shorter side of the image.

    Source:
        DeVries and Taylor 2017, arXiv 1708.04552; 16 of 32 pixels for CIFAR-10.
    """
    num, _, height, width = images.shape
    side = max(1, round(size * min(height, width)))
    centres = [torch.randint(extent, (num, 1), generator=generator) for extent in (height, width)]
    rows, columns = (
        (torch.arange(extent) >= centre - side // 2) & (torch.arange(extent) < centre - side // 2 + side)
        for extent, centre in zip((height, width), centres, strict=True)
    )
    covered = (rows[:, :, None] & columns[:, None, :]).unsqueeze(1).to(images.device)
    return images.masked_fill(covered, 0.0)


def in_turn(policies: Sequence[Augment]) -> Augment:
    """Apply the policies in their order."""

    def augment(images: Tensor, generator: torch.Generator) -> Tensor:
        for policy in policies:
            images = policy(images, generator)
        return images

    return augment
