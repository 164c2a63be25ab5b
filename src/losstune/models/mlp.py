"""The multilayer perceptron."""

from __future__ import annotations

from torch import nn

from losstune.models.chain import Chain
from losstune.models.initialisation import init_normal


class Mlp(Chain):
    """The layers of :func:`mlp`."""


def mlp(num_features: int, width: int, depth: int, num_classes: int) -> Mlp:
    """Build a perceptron with `depth` hidden layers of `width` ReLU units; images are flattened.

    Hidden layers are initialised as in He et al. 2015 (arXiv 1502.01852, eq. (10)), so that deep networks train, too.
    The head has torch's default initialisation.

    Args:
        num_features: Number of values in one sample.
        width: Units of each hidden layer.
        depth: Number of hidden layers, at least 1.
        num_classes: Number of logits.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for _ in range(depth):
        linear = nn.Linear(num_features, width)
        init_normal(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU(inplace=True)]
        num_features = width
    return Mlp(*layers, nn.Linear(num_features, num_classes))
