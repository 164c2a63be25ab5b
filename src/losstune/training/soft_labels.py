"""What a loss is trained on where the data has soft labels: the distributions, or their modes.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losstune.losses.spec import BoundLoss


def train_target(labels_N: Tensor, targets_NC: Tensor | None, loss: BoundLoss, setting: str) -> Tensor:
    """Return what a loss is trained on: class indices (N,), or distributions (N, C).

    Args:
        labels_N: Classes of the training samples; of soft labels, the modes.
        targets_NC: Their soft labels; None if every sample has one class.
        loss: The loss; one that takes a class for each sample only gets the modes.
        setting: ``training.soft_labels``.
    """
    if targets_NC is None or setting == "mode" or not loss.takes_distributions:
        return labels_N
    return targets_NC


def class_counts(target: Tensor, num_classes: int) -> Tensor:
    """Return the samples of each class (C,); of distributions, the sum of their probabilities."""
    return torch.bincount(target, minlength=num_classes) if target.ndim == 1 else target.sum(0)
