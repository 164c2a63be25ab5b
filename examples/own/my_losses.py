"""Losses of one's own: `losses: [cross_entropy, "my_losses.py:tilted", "my_losses.py:Margin"]`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import losstune
from losstune import FloatRange


@losstune.loss(tilt=FloatRange(0.05, 0.5, "log"))
def tilted(logits: Tensor, target: Tensor, tilt: float = 0.2) -> Tensor:
    """Tilted cross-entropy, (exp(t CE) - 1) / t: hard samples count more.

    Source: Li et al. 2021, Tilted Empirical Risk Minimization, arXiv:2007.01162 (there per batch, here per sample).
    """
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))  # half precision is too coarse for a loss
    cross_entropy = F.cross_entropy(precise, target, reduction="none")
    # Without the limit, exp() overflows on a sample that is far off.
    return torch.expm1(tilt * cross_entropy.clamp(max=60)) / tilt


@losstune.loss(margin=FloatRange(0.0, 2.0))
class Margin(nn.Module):
    """Cross-entropy with the true class's logit lowered by a margin, as a plain module of torch."""

    def __init__(self, margin: float = 0.5, reduction: str = "mean") -> None:
        super().__init__()
        self.margin, self.reduction = margin, reduction

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, reduced as torch's own losses are."""
        is_true = torch.arange(logits.shape[1], device=logits.device) == target.unsqueeze(1)
        lowered = logits.to(torch.promote_types(logits.dtype, torch.float32)) - self.margin * is_true
        return F.cross_entropy(lowered, target, reduction=self.reduction)
