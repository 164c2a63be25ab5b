"""The last layer as a loss needs it: normalised, regularised, or with a given initial bias."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losstune.core.errors import LosstuneError


class CosineLinear(nn.Module):
    """A layer that returns the cosines of the angles between features and the classes' weight vectors.

    Attributes:
        weight: Weights (C, D); the norms of the rows have no effect.
    """

    def __init__(self, weight: Tensor) -> None:
        """Copy the initial weights (C, D)."""
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone())

    def forward(self, features: Tensor) -> Tensor:
        """Return cosines (N, C), in [-1, 1], for features (N, D)."""
        return F.linear(F.normalize(features, dim=1), F.normalize(self.weight, dim=1))


class _Decayed(torch.autograd.Function):
    """The identity on the weights; the backward pass adds the gradient of their penalty."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, decay: float) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.decay = decay
        return weight.view_as(weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (weight,) = ctx.saved_tensors
        return gradient + ctx.decay * weight, None


class RegularisedLinear(nn.Module):
    """A linear layer with dropout on its features, or with an L2 penalty decay/2 * |W|^2.

    The penalty acts only through the gradient; the reported loss does not include it.

    Attributes:
        weight: Weights (C, D).
        bias: Bias (C,), or None.
        dropout: Probability that a feature is set to 0 in training.
        decay: Factor of half the sum of squared weights, without the bias.
    """

    def __init__(self, layer: nn.Linear, dropout: float, decay: float) -> None:
        """Use the parameters of `layer`."""
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.dropout, self.decay = dropout, decay

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (N, C) for features (N, D)."""
        weight: Tensor = self.weight
        if self.training and self.decay:
            weight = _Decayed.apply(weight, self.decay)
        return F.linear(F.dropout(features, self.dropout, self.training), weight, self.bias)


def head_of(network: nn.Module, num_classes: int) -> str | None:
    """Return the name of the last linear layer, which gives the logits; None if the network has none.

    Example:
        >>> head_of(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), 3)
        '2'
    """
    linear = (nn.Linear, CosineLinear, RegularisedLinear)
    names = [
        name
        for name, module in network.named_modules()
        if isinstance(module, linear) and module.weight.shape[0] == num_classes
    ]
    return names[-1] if names else None


def adapt_head(
    network: nn.Module,
    num_classes: int,
    *,
    normalised: bool = False,
    initial_bias: float | None = None,
    dropout: float = 0.0,
    decay: float = 0.0,
) -> nn.Module:
    """Change the last layer of a new network in place, without drawing random numbers or changing other weights.

    A last layer that is not linear, as in SqueezeNet, keeps its bias: a ReLU after it would clip a negative one.

    Args:
        network: The network; its last linear layer gives the logits.
        num_classes: Number of logits.
        normalised: Whether to replace the layer by :class:`CosineLinear` with the same weights.
        initial_bias: Value of the layer's bias; None leaves it unchanged.
        dropout: Dropout on the layer's features, see :class:`RegularisedLinear`.
        decay: Weight decay of the layer, in addition to the optimiser's.

    Raises:
        LosstuneError: If the last layer must be replaced and is not linear.
    """
    replaced = normalised or dropout > 0 or decay > 0
    if not replaced and initial_bias is None:
        return network
    name = head_of(network, num_classes)
    if name is None:
        if replaced:
            raise LosstuneError(
                "model.name: the loss needs a linear last layer, but this model has none; "
                "choose another model or remove the loss"
            )
        return network
    parent_name, _, attribute = name.rpartition(".")
    layer = network.get_submodule(name)
    assert isinstance(layer, nn.Linear)
    if normalised:
        setattr(network.get_submodule(parent_name), attribute, CosineLinear(layer.weight))
    elif replaced:
        setattr(network.get_submodule(parent_name), attribute, RegularisedLinear(layer, dropout, decay))
    elif layer.bias is not None and initial_bias is not None:
        with torch.no_grad():
            layer.bias.fill_(initial_bias)
    return network
