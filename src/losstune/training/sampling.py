"""The order of the samples in an epoch: ``training.sampling``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from losstune.training.device_data import DeviceData


def order_of(sampling: str, data: DeviceData, generator: torch.Generator) -> Callable[[], Tensor]:
    """Return a function that draws the indices of an epoch's samples.

    ``uniform`` permutes them. ``balanced`` draws as many with replacement, each class equally often on average, as
    ``torch.utils.data.WeightedRandomSampler`` does with weights of 1 over the size of a sample's class.

    Args:
        sampling: The setting.
        data: The data.
        generator: On the CPU; the same for all losses of a block.
    """
    if sampling == "uniform":
        return lambda: torch.randperm(data.num_train, generator=generator)
    labels = data.train_labels.cpu()
    weights = (1.0 / torch.bincount(labels).double())[labels]
    return lambda: torch.multinomial(weights, data.num_train, replacement=True, generator=generator)
