"""What a loss is trained on where the data has soft labels: the distributions, or their modes.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losstune.losses.spec import BoundLoss
from losstune.training.device_data import DeviceData


def train_target(data: DeviceData, loss: BoundLoss, setting: str) -> Tensor:
    """Return the target of every training sample: class indices (N,), or distributions (N, C).

    Args:
        data: The data.
        loss: The loss; one that takes a class for each sample only gets the modes.
        setting: ``training.soft_labels``.
    """
    if data.train_targets is None or setting == "mode" or not loss.takes_distributions:
        return data.train_labels
    return data.train_targets


def class_counts(target: Tensor, num_classes: int) -> Tensor:
    """Return the samples of each class (C,); of distributions, the sum of their probabilities."""
    return torch.bincount(target, minlength=num_classes) if target.ndim == 1 else target.sum(0)


def with_counts(loss: BoundLoss, data: DeviceData, setting: str) -> BoundLoss:
    """Return the loss with the class counts of the training split, if it needs them."""
    return loss.with_counts(class_counts(train_target(data, loss, setting), data.num_classes))
