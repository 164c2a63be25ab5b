"""Named policies of augmentation, one after another. torchvision is imported only for those that it has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from losstune.core.errors import LosstuneError, in_one_line
from losstune.training.device_data import DeviceData

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""Changes a batch of normalised inputs; all random numbers come from the generator, which is on the CPU."""

Draws = tuple[Tensor, ...]
"""Random numbers, in tensors whose shapes are always the same."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """An augmentation whose random numbers can be drawn ahead, for a whole epoch.

    Attributes:
        num: Number of tensors that hold the numbers of a batch.
        draw: Draws the numbers for a batch of this shape, on the CPU.
        apply: Changes a batch by its numbers, on the device of both, without waiting for the device.
    """

    num: int
    draw: Callable[[torch.Size, torch.Generator], Draws]
    apply: Callable[[Tensor, Draws], Tensor]

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw the numbers of a batch and change it."""
        return self.apply(images, tuple(values.to(images.device) for values in self.draw(images.shape, generator)))


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


def cutout(size: float = 0.5) -> Drawn:
    """Set a square of each image (N, C, H, W) to 0, the mean after normalisation.

    The centre is drawn uniformly from the pixels, and the square is cut off at the border.

    Args:
        size: Side of the square as a fraction of the shorter side of the image.

    Source:
        DeVries and Taylor 2017, arXiv 1708.04552; 16 of 32 pixels for CIFAR-10.
    """

    def draw(shape: torch.Size, generator: torch.Generator) -> Draws:
        return tuple(torch.randint(extent, (shape[0], 1), generator=generator) for extent in shape[-2:])

    def apply(images: Tensor, draws: Draws) -> Tensor:
        sides = images.shape[-2:]
        side = max(1, round(size * min(sides)))
        rows, columns = (
            (places >= centre - side // 2) & (places < centre - side // 2 + side)
            for places, centre in zip(
                (torch.arange(extent, device=images.device) for extent in sides), draws, strict=True
            )
        )
        return images.masked_fill((rows[:, :, None] & columns[:, None, :]).unsqueeze(1), 0.0)

    return Drawn(2, draw, apply)


def in_turn(policies: Sequence[Augment]) -> Augment:
    """Apply the policies in their order."""
    drawn = [policy for policy in policies if isinstance(policy, Drawn)]
    if len(drawn) == len(policies):
        return _drawn_in_turn(drawn)

    def augment(images: Tensor, generator: torch.Generator) -> Tensor:
        for policy in policies:
            images = policy(images, generator)
        return images

    return augment


def _drawn_in_turn(policies: Sequence[Drawn]) -> Drawn:
    def draw(shape: torch.Size, generator: torch.Generator) -> Draws:
        return tuple(values for policy in policies for values in policy.draw(shape, generator))

    def apply(images: Tensor, draws: Draws) -> Tensor:
        rest = iter(draws)
        for policy in policies:
            images = policy.apply(images, tuple(islice(rest, policy.num)))
        return images

    return Drawn(sum(policy.num for policy in policies), draw, apply)
