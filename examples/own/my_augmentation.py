"""An augmentation of one's own: `training: {augmentation: "my_augmentation.py:colour_jitter"}`."""

import torch
from torch import Tensor


def colour_jitter(images: Tensor, generator: torch.Generator, strength: float = 0.3) -> Tensor:
    """Change brightness and contrast of each image (N, C, H, W), in [0, 1], by up to `strength`.

    All random numbers come from the generator, so that every loss of a block sees the same images.
    """
    brightness, contrast = 1 + strength * (2 * torch.rand(2, len(images), 1, 1, 1, generator=generator) - 1)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    jittered = ((images - mean) * contrast.to(images.device) + mean) * brightness.to(images.device)
    return jittered.clamp(0, 1)
