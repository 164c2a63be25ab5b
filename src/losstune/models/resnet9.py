"""ResNet-9, the network for fast training on CIFAR-10."""

from __future__ import annotations

from torch import Tensor, nn

from losstune.models.initialisation import init_normal
from losstune.models.sides import require_sides

MIN_SIDE = 8
"""Minimum side in pixels; the network halves the side three times."""

SCALE = 0.125
"""Factor of the logits in the published network, applied to the features here. Max pooling makes them large."""


class Residual(nn.Module):
    """Two convolutions, and a shortcut that adds the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*_convolution(channels, channels), *_convolution(channels, channels))

    def forward(self, input_NCHW: Tensor) -> Tensor:
        """Return a map of the same shape."""
        output: Tensor = input_NCHW + self.convolutions(input_NCHW)
        return output


class ResNet9(nn.Module):
    """Four convolutional stages, two of them with a residual block, global max pooling, a linear head."""

    def __init__(self, in_channels: int, width: int, num_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution(in_channels, width),
            *_pooled(width, 2 * width),
            Residual(2 * width),
            *_pooled(2 * width, 4 * width),
            *_pooled(4 * width, 8 * width),
            Residual(8 * width),
        )
        self.head = nn.Linear(8 * width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init_normal(module.weight, mode="fan_out")

    def forward(self, input_NCHW: Tensor) -> Tensor:
        """Return logits (N, num_classes)."""
        features_NC: Tensor = self.layers(input_NCHW).amax(dim=(2, 3))
        logits_NC: Tensor = self.head(SCALE * features_NC)
        return logits_NC


def resnet9(input_shape: tuple[int, ...], width: int, num_classes: int) -> ResNet9:
    """Build the ResNet-9 of David Page's entry to DAWNBench (https://myrtle.ai/learn/how-to-train-your-resnet/).

    Width 64 is the published network with 6.57 million parameters. Here, the last layer has a bias.

    Args:
        input_shape: (C, H, W) of one sample, at least 8 pixels a side.
        width: Channels of the first convolution; the later stages have 2, 4 and 8 times as many.
        num_classes: Number of logits.

    Raises:
        LosstuneError: If the images are too small.
    """
    channels, *sides = input_shape
    require_sides("resnet9", sides, MIN_SIDE)
    return ResNet9(channels, width, num_classes)


def _convolution(in_channels: int, out_channels: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def _pooled(in_channels: int, out_channels: int) -> tuple[nn.Module, ...]:
    # ReLU and max pooling give the same in either order; after it, ReLU has a quarter of the values.
    convolution, norm, relu = _convolution(in_channels, out_channels)
    return convolution, norm, nn.MaxPool2d(2), relu
