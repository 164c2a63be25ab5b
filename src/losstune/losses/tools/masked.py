"""Contract tests of masked classes: a logit of minus infinity for a class other than the true one.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losstune.losses.spec import BoundLoss
from losstune.losses.tools.cases import Outcomes, batch, gradient

FAR = -1e8
"""A logit low enough for every loss to be within :data:`WITHIN` of its limit; the slowest converges as 1/z."""

WITHIN = 1e-5


def masked(loss: BoundLoss, num_classes: int) -> Outcomes:
    """Value, gradient and probabilities equal the limit, or the value is infinite, as declared; nothing is NaN."""
    logits_NC, target_N = batch(num_classes)
    masked_N = (target_N + 1) % num_classes
    one_hot_NC = torch.nn.functional.one_hot(target_N, num_classes).double()
    targets = [target_N]
    if loss.spec.soft_targets and num_classes > 2:
        targets.append(0.7 * one_hot_NC + 0.3 * one_hot_NC.roll(-1, 1))  # the class before the true one
    for target in targets:
        for dtype in (torch.float64, torch.float32):
            yield from _at(loss, logits_NC.to(dtype), target, masked_N)


def _at(loss: BoundLoss, logits_NC: Tensor, target: Tensor, masked_N: Tensor) -> Outcomes:
    index_N1 = masked_N.unsqueeze(1)
    hidden_NC = logits_NC.scatter(1, index_N1, -torch.inf)
    low_NC = logits_NC.double().scatter(1, index_N1, FAR)
    losses_N, wanted_N = loss(hidden_NC, target), loss(low_NC, target)
    declared, published = loss.spec.properties.masked, loss.hyperparameters == loss.spec.defaults
    where = f"masked, {'hard' if target.ndim == 1 else 'soft'} targets, {logits_NC.dtype}: "
    found_NC, limit_NC = loss.probabilities(hidden_NC), loss.probabilities(low_NC)
    yield _near(found_NC, limit_NC), f"{where}the probabilities are the limit"
    if declared == "infinite" and (published or bool(losses_N.isinf().any())):
        grows = bool((wanted_N > 1e3).all())
        yield (grows and bool((losses_N == torch.inf).all()), f"{where}declared infinite, found {losses_N[0]:g}")
        return
    yield _near(losses_N, wanted_N), f"{where}the value {losses_N[0]:g} is the limit {wanted_N[0]:g}"
    gradient_NC, limit_NC = gradient(loss, hidden_NC, target), gradient(loss, low_NC, target)
    yield _near(gradient_NC, limit_NC), f"{where}the gradient is the limit"
    if published and masked_N.max() > 1:  # with two classes, only one is left, and nothing can be learnt
        flat = bool(limit_NC.abs().max() < 100 * WITHIN)
        yield (flat == (declared == "flat"), f"{where}declared {declared}, largest gradient {limit_NC.abs().max():.2g}")


def _near(found: Tensor, wanted: Tensor) -> bool:
    error = (found.double() - wanted).abs() / (1 + wanted.abs().max())
    return bool((error < (WITHIN if found.dtype == torch.float64 else 10 * WITHIN)).all())
