"""The multilayer perceptron."""

from __future__ import annotations

from torch import nn

from losstune.models.initialisation import init_normal


def mlp(num_features: int, width: int, depth: int, num_classes: int) -> nn.Sequential:
    """Build a perceptron of `depth` hidden layers of `width` ReLU units; images are flattened.

    Hidden layers start as in He et al. 2015 (arXiv 1502.01852, eq. (10)), so that deep ones train too; the
    head starts as torch starts every linear layer.

    Args:
        num_features: Numbers in one sample.
        width: Units of each hidden layer.
        depth: Hidden layers, at least 1.
        num_classes: Number of logits.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for _ in range(depth):
        linear = nn.Linear(num_features, width)
        init_normal(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU(inplace=True)]
        num_features = width
    return nn.Sequential(*layers, nn.Linear(num_features, num_classes))
