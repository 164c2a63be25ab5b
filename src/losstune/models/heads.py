"""A network's last layer as a loss needs it: normalised, or started from a given bias."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losstune.errors import LosstuneError


class CosineLinear(nn.Module):
    """The cosines of the angles between features and the classes' weight vectors.

    Attributes:
        weight: (C, D); its rows' lengths don't matter.
    """

    def __init__(self, weight: Tensor) -> None:
        """Take the initial weights, (C, D)."""
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone())

    def forward(self, features: Tensor) -> Tensor:
        """Return cosines (N, C), in [-1, 1], for features (N, D)."""
        return F.linear(F.normalize(features, dim=1), F.normalize(self.weight, dim=1))


def adapt_head(
    network: nn.Module, num_classes: int, *, normalised: bool, initial_bias: float | None
) -> nn.Module:
    """Change the last layer of a new network in place; no random number is drawn, no other weight touched.

    A last layer that is not linear, as in SqueezeNet, keeps its bias: a ReLU behind it would cut a negative one.

    Args:
        network: Whose last linear layer gives the logits.
        num_classes: Number of logits.
        normalised: Whether the layer is replaced by one that gives cosines, from the same weights.
        initial_bias: That the layer's bias is set to; None leaves it.

    Raises:
        LosstuneError: If the last layer is to be replaced and is not linear.
    """
    if not normalised and initial_bias is None:
        return network
    name = next(
        (
            name
            for name, module in reversed(list(network.named_modules()))
            if isinstance(module, nn.Linear) and module.out_features == num_classes
        ),
        None,
    )
    if name is None:
        if normalised:
            raise LosstuneError(
                "model.name: the loss needs a linear last layer to normalise, and this model has none; "
                "choose another model or leave the loss out"
            )
        return network
    parent_name, _, attribute = name.rpartition(".")
    layer = network.get_submodule(name)
    assert isinstance(layer, nn.Linear)
    if normalised:
        setattr(network.get_submodule(parent_name), attribute, CosineLinear(layer.weight))
    elif layer.bias is not None and initial_bias is not None:
        with torch.no_grad():
            layer.bias.fill_(initial_bias)
    return network
