"""Mixup and CutMix: a batch mixed with itself, shifted by one sample.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from losstune.config.settings import TrainingSettings


@dataclass(frozen=True, slots=True)
class Target:
    """The target of a batch: class indices (N,), or distributions (N, C).

    Attributes:
        own: Target of the samples.
        other: Target of the samples that are mixed in; None if none are.
        share: Share of `own` in the mixed samples, in [0, 1].
    """

    own: Tensor
    other: Tensor | None = None
    share: float = 1.0


def mixed(
    inputs: Tensor, target: Tensor, settings: TrainingSettings, generator: torch.Generator
) -> tuple[Tensor, Target]:
    """Mix a batch with itself, as ``torchvision.transforms.v2.MixUp`` and ``CutMix`` do.

    One share lambda is drawn from Beta(alpha, alpha) for the whole batch, and each sample is mixed with its neighbour.
    Mixup returns lambda x_i + (1 - lambda) x_j. CutMix (images only) replaces a rectangle of about 1 - lambda of the
    area, and lambda becomes the exact rest. With both, each batch has one of them, with probability 1/2.

    Args:
        inputs: Samples (N, ...).
        target: Their classes (N,) or distributions (N, C).
        settings: ``mixup`` and ``cutmix`` are the alphas; 0 for none.
        generator: Source of the random numbers, on the CPU, so that they do not depend on the device.

    Source:
        Zhang et al. 2018, arXiv 1710.09412; Yun et al. 2019, arXiv 1905.04899.
    """
    draws = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    is_mixup = settings.mixup > 0 and (settings.cutmix == 0 or draws.random() < 0.5)
    alpha = settings.mixup if is_mixup else settings.cutmix
    share = float(draws.beta(alpha, alpha))
    others, other = inputs.roll(1, 0), target.roll(1, 0)
    if is_mixup:
        return torch.lerp(others, inputs, share), Target(target, other, share)
    height, width = inputs.shape[-2:]
    row, column = int(draws.integers(height)), int(draws.integers(width))
    half = 0.5 * math.sqrt(1.0 - share)
    top, bottom = max(row - int(half * height), 0), min(row + int(half * height), height)
    left, right = max(column - int(half * width), 0), min(column + int(half * width), width)
    result = inputs.clone()
    result[..., top:bottom, left:right] = others[..., top:bottom, left:right]
    return result, Target(target, other, 1.0 - (bottom - top) * (right - left) / (height * width))
