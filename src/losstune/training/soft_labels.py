"""What a loss is trained on where the data has soft labels: the distributions, or their modes.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losstune.losses.spec import BoundLoss, LossSpec


def takes_soft_labels(spec: LossSpec, num_classes: int) -> bool:
    """Return whether a loss can be trained on distributions over so many classes.

    A plain function of the user's own does not say. It can, if one-hot rows give what their classes give, and
    distributions a finite number for each sample.
    """
    if spec.has_properties:
        return spec.soft_targets
    loss, labels_N = spec.bind(), torch.arange(num_classes)
    logits_NC = torch.linspace(-2.0, 2.0, num_classes**2).view(num_classes, num_classes).sin()
    hot_NC = torch.eye(num_classes)
    try:
        with torch.random.fork_rng(devices=[]):
            state = torch.get_rng_state()  # a seed would change the streams of GPUs, too
            expected_N = loss(logits_NC, labels_N)
            torch.set_rng_state(state)
            found_N = loss(logits_NC, hot_NC)
            soft_N = loss(logits_NC, 0.5 * hot_NC + 0.5 / num_classes)
            is_finite = soft_N.shape == expected_N.shape and bool(torch.isfinite(soft_N).all())
            return is_finite and torch.allclose(found_N, expected_N, rtol=1e-4, atol=1e-5)
    except Exception:  # of any type, from code of the user's own
        return False


def train_target(labels_N: Tensor, targets_NC: Tensor | None, loss: BoundLoss, setting: str) -> Tensor:
    """Return what a loss is trained on: class indices (N,), or distributions (N, C).

    Args:
        labels_N: Classes of the training samples; of soft labels, the modes.
        targets_NC: Their soft labels; None if every sample has one class.
        loss: The loss; one that takes a class for each sample only gets the modes, see :func:`takes_soft_labels`.
        setting: ``training.soft_labels``.
    """
    if targets_NC is None or setting == "mode" or not takes_soft_labels(loss.spec, targets_NC.shape[1]):
        return labels_N
    return targets_NC


def class_counts(target: Tensor, num_classes: int) -> Tensor:
    """Return the samples of each class (C,); of distributions, the sum of their probabilities."""
    return torch.bincount(target, minlength=num_classes) if target.ndim == 1 else target.sum(0)
