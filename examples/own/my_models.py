"""A small network of one's own: `model: {name: "my_models.py:small_cnn", options: {width: 16}}`."""

from torch import nn


def small_cnn(num_classes: int, input_shape: tuple[int, ...], width: int = 16) -> nn.Module:
    """Return a network from normalised images (N, C, H, W) to logits (N, num_classes)."""
    channels = input_shape[0]
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * width, num_classes),
    )
