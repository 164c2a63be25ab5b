"""Random flips and crops of a batch of images, on the device."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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
