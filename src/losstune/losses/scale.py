"""The size of a loss's gradient relative to cross-entropy, for which the learning rate must compensate.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from losstune.losses.spec import BoundLoss

NUM_DRAWS = 256


def gradient_scale(loss: BoundLoss, num_classes: int, spread: float = 0.0) -> float:
    """Return the mean of |dL/dz_y| relative to cross-entropy's, a positive number.

    With ``spread=0``, an untrained network that favours no class, it is |dL/dz_y| / (1 - 1/C) at z = 0. A loss on
    normalised logits has no usable gradient there; with a spread above 0, the scale is that of a newly initialised
    network.

    Args:
        loss: The loss with its hyperparameters; class frequencies have no effect.
        num_classes: C, at least 2.
        spread: Standard deviation of the logits, which are drawn from a normal distribution with a fixed seed.
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
    """Return the divisor of SGD's learning rate for a loss with larger gradients than cross-entropy; at least 1.

    It is the root mean square of the gradient relative to cross-entropy's, at logits from a standard normal
    distribution, which resemble those of a new network. A loss with smaller gradients gets 1: most such losses are
    bounded, and have larger gradients later in training. A loss for a normalised head also gets 1, because its logits
    are cosines, which that distribution does not describe. ``benchmarks/centring.py`` showed both.
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
