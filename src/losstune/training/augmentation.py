"""Random changes of a batch of images, on the device: flips and crops, or the user's own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from losstune.config.settings import OwnSettings, PolicySettings
from losstune.core.errors import LosstuneError, in_one_line
from losstune.core.own_code import is_own, load
from losstune.training.device_data import DeviceData
from losstune.training.policies import (
    ON_BYTES,
    TRANSFORMS,
    Augment,
    Drawn,
    Draws,
    cutout,
    in_turn,
    per_image,
    transform_of,
)

KEY = "training.augmentation"
NUM_SAMPLES = 4

Setting = str | OwnSettings | tuple[PolicySettings, ...]


def augmentation_of(setting: Setting, data: DeviceData) -> Augment | None:
    """Return the function that ``training.augmentation`` names. A list is applied in its order.

    It is None for ``none``, and for flips and crops of samples that are no images.

    A user's own function, ``augment(images, generator, **options) -> images``, gets images in [0, 1] if they are stored
    as bytes, else in stored units, and returns as many of the same shape and type.

    Raises:
        LosstuneError: If there is no such function.
    """
    if setting == "none" or (isinstance(setting, str) and len(data.input_shape) != 3):
        return None
    if isinstance(setting, str):
        return flip_and_crop(setting)
    if isinstance(setting, tuple):
        return in_turn([_policy(policy, data) for policy in setting])
    return _on_stored(setting, data)


def _on_stored(setting: OwnSettings, data: DeviceData) -> Augment:
    own = _own(setting)
    return lambda images, generator: data.from_stored(own(data.as_stored(images), generator))


def _policy(policy: PolicySettings, data: DeviceData) -> Augment:
    name, options = policy.name, policy.options
    if is_own(name):
        return _on_stored(OwnSettings(name=name, options=options), data)
    if name in TRANSFORMS:
        return per_image(transform_of(name, options, KEY), data, on_bytes=name in ON_BYTES)
    if name == "cutout":
        return cutout(**options)
    return flip_and_crop(name)


def require_policies(policies: Sequence[PolicySettings], input_shape: tuple[int, ...], dtype: str) -> list[str]:
    """Try a list of policies on a few samples.

    Args:
        policies: The list.
        input_shape: Shape of one sample.
        dtype: Type of the stored samples, ``"uint8"`` or ``"float32"``.

    Returns:
        Notes, one sentence each.

    Raises:
        LosstuneError: If one does not fit the samples, does not take its options, or as :func:`require_augmentation`.
    """
    notes = []
    for policy in policies:
        found = f"{KEY}: {policy.name}"
        if is_own(policy.name):
            note = require_augmentation(OwnSettings(name=policy.name, options=policy.options), input_shape)
            notes += [note] if note else []
            continue
        if len(input_shape) != 3:
            raise LosstuneError(f"{found} takes images, found samples of {input_shape[0]} features")
        if policy.name in ON_BYTES and (dtype != "uint8" or input_shape[0] not in {1, 3}):
            raise LosstuneError(
                f"{found} takes images of one or three channels stored as bytes, found {input_shape[0]} of {dtype}"
            )
        if policy.name in {"flip", "crop"} and policy.options:
            raise LosstuneError(f"{found} takes no options, found {', '.join(policy.options)}")
        images = torch.zeros(NUM_SAMPLES, *input_shape)
        try:
            if policy.name in TRANSFORMS:
                given = images.to(torch.uint8) if policy.name in ON_BYTES else images
                transform_of(policy.name, policy.options, KEY)(given[0])
            elif policy.name == "cutout":
                cutout(**policy.options)(images, torch.Generator().manual_seed(0))
        except LosstuneError:
            raise
        except Exception as error:
            raise LosstuneError(f"{found}: options: {type(error).__name__}: {in_one_line(error)}") from None
    return notes


def require_augmentation(setting: OwnSettings, input_shape: tuple[int, ...]) -> str | None:
    """Try a user's own augmentation on a few samples.

    Returns:
        A note if it ignores the generator.

    Raises:
        LosstuneError: If it raises, returns something else than it was given, or values that are not finite, or draws
            random numbers besides those of the generator.
    """
    own, found = _own(setting), f"{KEY}: {setting.name}"
    samples = torch.rand(NUM_SAMPLES, *input_shape, generator=torch.Generator().manual_seed(0))
    changed = []
    for seed in (1, 1, 2):
        try:
            changed.append(own(samples.clone(), torch.Generator().manual_seed(seed)))
        except LosstuneError:
            raise
        except Exception as error:
            raise LosstuneError(f"{found} raises: {type(error).__name__}: {in_one_line(error)}") from None
        if not bool(changed[-1].isfinite().all()):
            raise LosstuneError(f"{found} returned NaN or infinite values, expected finite ones")
    first, again, other = changed
    if not torch.equal(first, again):
        raise LosstuneError(
            f"{found} draws other numbers with the same generator, so that losses could not be paired; pass "
            "generator=generator to every random function of torch"
        )
    if torch.equal(first, other):
        return f"{setting.name} gives the same images for every generator: it augments nothing at random"
    return None


def _own(setting: OwnSettings) -> Augment:
    own = load(setting.name, KEY)

    def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
        changed = own(images, generator, **setting.options)
        if not isinstance(changed, Tensor) or changed.shape != images.shape or changed.dtype != images.dtype:
            raise LosstuneError(
                f"{KEY}: {setting.name} returned {describe(changed)}, expected {describe(images)} as it was given"
            )
        return changed

    return augmented


def describe(value: object) -> str:
    """Return type and shape of a tensor, or the type of another value, for messages."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    return "nothing" if value is None else f"a value of type {type(value).__name__}"


def flip_and_crop(augmentation: str) -> Drawn:
    """Flip and shift the images of a batch (N, C, H, W) independently at random.

    ``crop`` pads each side by an eighth with zeros (the mean, after normalisation) and crops at random; ``flip``
    mirrors left to right with probability 1/2; ``flip_crop`` does both.
    """
    flips, crops = "flip" in augmentation, "crop" in augmentation

    def draw(shape: torch.Size, generator: torch.Generator) -> Draws:
        num, pad = shape[0], _padding(shape)
        mirrored = [torch.rand(num, generator=generator) < 0.5] if flips else []
        shifts = [torch.randint(0, 2 * pad + 1, (num, 1), generator=generator) for _ in range(2)] if crops else []
        return *mirrored, *shifts

    def apply(images: Tensor, draws: Draws) -> Tensor:
        num, _, height, width = images.shape
        rows = torch.arange(height, device=images.device).expand(num, height)
        columns = torch.arange(width, device=images.device).expand(num, width)
        if flips:
            columns = torch.where(draws[0][:, None], width - 1 - columns, columns)
        if crops:
            pad = _padding(images.shape)
            images = nn.functional.pad(images, (pad, pad, pad, pad))
            rows, columns = rows + draws[-2], columns + draws[-1]
        sample = torch.arange(num, device=images.device)
        picked = images[sample[:, None, None], :, rows[:, :, None], columns[:, None, :]]  # (N, H, W, C)
        return picked.permute(0, 3, 1, 2)

    return Drawn(flips + 2 * crops, draw, apply)


def _padding(shape: torch.Size) -> int:
    return max(1, shape[-1] // 8)
