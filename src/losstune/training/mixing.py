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
from losstune.training.policies import Draws


@dataclass(frozen=True, slots=True)
class Target:
    """The target of a batch: class indices (N,), or distributions (N, C).

    Attributes:
        own: Target of the samples.
        other: Target of the samples that are mixed in; None if none are.
        share: Share of `own` in the mixed samples, in [0, 1]; None without others.
    """

    own: Tensor
    other: Tensor | None = None
    share: Tensor | None = None


def draw(shape: torch.Size, settings: TrainingSettings, generator: torch.Generator) -> Draws:
    """Draw how a batch is mixed.

    With CutMix, these are the share of a sample's own target, that of its own values outside the rectangle, and the
    rectangle (H, W). Without it, there is one share for both.

    Args:
        shape: Shape of the batch (N, ...).
        settings: ``mixup`` and ``cutmix`` are the alphas; 0 for none.
        generator: Source of the random numbers, on the CPU, so that they do not depend on the device.
    """
    draws = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    is_mixup = settings.mixup > 0 and (settings.cutmix == 0 or draws.random() < 0.5)
    alpha = settings.mixup if is_mixup else settings.cutmix
    share = float(draws.beta(alpha, alpha))
    if not settings.cutmix:
        return (torch.tensor(share, dtype=torch.float64),)
    height, width = shape[-2:]
    is_other_HW = torch.zeros(height, width, dtype=torch.bool)
    if is_mixup:
        return torch.tensor(share, dtype=torch.float64), torch.tensor(share, dtype=torch.float64), is_other_HW
    row, column = int(draws.integers(height)), int(draws.integers(width))
    half = 0.5 * math.sqrt(1.0 - share)
    top, bottom = max(row - int(half * height), 0), min(row + int(half * height), height)
    left, right = max(column - int(half * width), 0), min(column + int(half * width), width)
    is_other_HW[top:bottom, left:right] = True
    rest = 1.0 - (bottom - top) * (right - left) / (height * width)
    return torch.tensor(rest, dtype=torch.float64), torch.ones((), dtype=torch.float64), is_other_HW


def apply(inputs: Tensor, target: Tensor, settings: TrainingSettings, draws: Draws) -> tuple[Tensor, Target]:
    """Mix a batch with itself, as ``torchvision.transforms.v2.MixUp`` and ``CutMix`` do.

    One share lambda is drawn from Beta(alpha, alpha) for the whole batch, and each sample is mixed with its neighbour.
    Mixup returns lambda x_i + (1 - lambda) x_j. CutMix (images only) replaces a rectangle of about 1 - lambda of the
    area, and lambda becomes the exact rest. With both, each batch has one of them, with probability 1/2.

    Args:
        inputs: Samples (N, ...).
        target: Their classes (N,) or distributions (N, C).
        settings: ``mixup`` and ``cutmix`` are the alphas; 0 for none.
        draws: From :func:`draw`, on the device of the inputs.

    Source:
        Zhang et al. 2018, arXiv 1710.09412; Yun et al. 2019, arXiv 1905.04899.
    """
    others, mixed_target = inputs.roll(1, 0), Target(target, target.roll(1, 0), draws[0])
    if settings.mixup:
        share = draws[1 if settings.cutmix else 0]
        inputs = torch.lerp(others, inputs, share.to(inputs.dtype))
    if settings.cutmix:
        inputs = torch.where(draws[2], others, inputs)
    return inputs, mixed_target
