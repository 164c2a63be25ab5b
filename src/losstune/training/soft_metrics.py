"""Metrics against soft labels. For one-hot rows they are accuracy and NLL.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losstune.training.metrics import NLL_EPSILON


@torch.no_grad()
def expected_accuracy(probabilities_NC: Tensor, targets_NC: Tensor) -> Tensor:
    """Return mean_n t_{n,k_n} with k_n = argmax_k p_nk: the accuracy for labels drawn from the distributions."""
    predicted_N1 = probabilities_NC.argmax(dim=1, keepdim=True)
    return targets_NC.double().gather(1, predicted_N1).mean()


@torch.no_grad()
def soft_nll(probabilities_NC: Tensor, targets_NC: Tensor) -> Tensor:
    """Return mean_n -sum_k t_nk log max(p_nk, epsilon), in nats, with epsilon as in the NLL."""
    logs_NC = probabilities_NC.double().clamp(min=NLL_EPSILON).log()
    return -(targets_NC.double() * logs_NC).sum(dim=1).mean()
