"""The size of a loss's gradient relative to cross-entropy, which its learning rate has to compensate.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from losstune.losses.spec import BoundLoss

NUM_DRAWS = 256


def gradient_scale(loss: BoundLoss, num_classes: int, spread: float = 0.0) -> float:
    """Return the mean of |dL/dz_y| relative to cross-entropy's, a positive number.

    At ``spread=0``, the untrained network that favours no class, it is |dL/dz_y| / (1 - 1/C) at z = 0. A loss on
    normalised logits has no usable gradient there; with a spread its scale is that of a network which has just
    been initialised.

    Args:
        loss: With its hyperparameters; class frequencies don't matter.
        num_classes: C, at least 2.
        spread: Standard deviation of the logits, which are drawn from a normal distribution, always the same.
    """
    generator = torch.Generator().manual_seed(0)
    num_draws = NUM_DRAWS if spread else 1
    z_NC = spread * torch.randn(num_draws, num_classes, generator=generator, dtype=torch.float64)
    target_N = torch.arange(num_draws) % num_classes
    z_NC.requires_grad_()
    pulls = []
    for losses_N in (loss(z_NC, target_N), F.cross_entropy(z_NC, target_N, reduction="none")):
        (gradient_NC,) = torch.autograd.grad(losses_N.sum(), z_NC)
        pulls.append(gradient_NC.gather(1, target_N.unsqueeze(1)).abs().mean().item())
    return pulls[0] / pulls[1]


def learning_rate_divisor(loss: BoundLoss, num_classes: int) -> float:
    """Return by how much to divide SGD's learning rate for a loss that pulls harder than cross-entropy; 1 at least.

    It is the root mean square of the whole gradient relative to cross-entropy's, at logits from a standard normal
    distribution, about a new network's. A loss that pulls weaker there is left alone: most such losses are bounded,
    and pull harder once the network has moved. So is a loss for a normalised head, whose logits are cosines and far
    from that distribution. Both were found by ``benchmarks/centring.py``.
    """
    if loss.spec.head == "normalised":
        return 1.0
    generator = torch.Generator().manual_seed(0)
    z_NC = torch.randn(NUM_DRAWS, num_classes, generator=generator, dtype=torch.float64).requires_grad_()
    target_N = torch.arange(NUM_DRAWS) % num_classes
    sizes = []
    for losses_N in (loss(z_NC, target_N), F.cross_entropy(z_NC, target_N, reduction="none")):
        (gradient_NC,) = torch.autograd.grad(losses_N.sum(), z_NC)
        sizes.append(gradient_NC.square().sum(1).mean().sqrt().item())
    return max(1.0, sizes[0] / sizes[1])
