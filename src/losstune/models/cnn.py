"""A small convolutional network that trains on digits in a third of a second on one CPU core."""

from __future__ import annotations

from torch import nn

from losstune.core.errors import LosstuneError

MAX_HEAD_SIDE = 8
"""Larger feature maps are average-pooled to at most this side before the head, which limits the head's size."""

MAX_CHANNELS = 4096


def cnn(input_shape: tuple[int, ...], width: int, depth: int, num_classes: int) -> nn.Sequential:
    """Build `depth` stages of 3x3 convolution, batch normalisation, ReLU and 2x2 max pooling, and a linear head.

    The first stage has `width` channels; each later stage doubles them. A side of one pixel is not pooled further.
    The head reads every position of the last map. On 8x8 digits this gains half a percentage point of accuracy over
    global average pooling, at no cost in time.

    Args:
        input_shape: (C, H, W) of one sample.
        width: Channels of the first stage.
        depth: Stages, at least 1.
        num_classes: Number of logits.

    Raises:
        LosstuneError: If the last stage would have more than 4096 channels.
    """
    channels, height, width_px = input_shape
    num_last = width * 2 ** (depth - 1)
    if num_last > MAX_CHANNELS:
        raise LosstuneError(
            f"model: 'cnn' doubles its channels every stage, so width {width} and depth {depth} end in "
            f"{num_last:,}; at most {MAX_CHANNELS:,} are allowed"
        )
    layers: list[nn.Module] = []
    for stage in range(depth):
        out = width * 2**stage
        # Batch normalisation has its own bias, so the convolution needs none.
        layers += [nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
        kernel = (min(2, height), min(2, width_px))
        if kernel != (1, 1):
            layers.append(nn.MaxPool2d(kernel))
        channels, height, width_px = out, height // kernel[0], width_px // kernel[1]
    kernel = (-(-height // MAX_HEAD_SIDE), -(-width_px // MAX_HEAD_SIDE))
    if kernel != (1, 1):
        # Not adaptive pooling: its gradient is not deterministic on a GPU.
        layers.append(nn.AvgPool2d(kernel, ceil_mode=True))
        height, width_px = -(-height // kernel[0]), -(-width_px // kernel[1])
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width_px, num_classes))
