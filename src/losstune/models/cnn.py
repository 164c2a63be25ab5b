"""A small convolutional network that trains on digits in a third of a second on one CPU core."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losstune.core.errors import LosstuneError
from losstune.models.chain import Chain

MAX_HEAD_SIDE = 8
"""Larger feature maps are average-pooled to at most this side before the head, which limits the head's size."""

MAX_CHANNELS = 4096


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution with padding and without bias.

    Attributes:
        copies: How often a CPU in float32 reads the input channels, each for an equal share of the output channels. The
            result is the same but for rounding. For a single input channel, oneDNN has a better algorithm for groups:
            it takes 1.2 times less, and computes the same to the last bit beside the groups of other networks.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, bias=False)
        self.copies = 2 if in_channels == 1 and out_channels % 2 == 0 else 1

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (the name in torch)
        """Return a map (N, C, H, W)."""
        if self.copies == 1 or input.device.type != "cpu" or input.dtype != torch.float32:
            return super().forward(input)
        copied = input.expand(-1, self.copies, -1, -1).contiguous(memory_format=torch.channels_last)
        return F.conv2d(copied, self.weight, padding=1, groups=self.copies)


class Cnn(Chain):
    """The layers of :func:`cnn`."""

    num_head = 2

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (the name in torch)
        """Return logits (N, num_classes)."""
        map_NCHW = input
        for layer in self.body:
            map_NCHW = layer(map_NCHW)
        return self.head(in_channels_last(map_NCHW) if self.training else map_NCHW)


def in_channels_last(map_NCHW: Tensor) -> Tensor:
    """Return a map whose gradient will lie in memory as it does itself on a CPU.

    The flattened map's gradient does not. Batch normalisation is several times slower for maps and gradients in
    different formats.
    """
    if map_NCHW.requires_grad and map_NCHW.device.type == "cpu":
        map_NCHW.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))  # type: ignore[no-untyped-call]
    return map_NCHW


def cnn(input_shape: tuple[int, ...], width: int, depth: int, num_classes: int) -> Cnn:
    """Build `depth` stages of 3x3 convolution, batch normalisation, 2x2 max pooling and ReLU, and a linear head.

    ReLU and max pooling give the same in either order; after it, ReLU has a quarter of the values.

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
        kernel = (min(2, height), min(2, width_px))
        pooling = [nn.MaxPool2d(kernel)] if kernel != (1, 1) else []
        layers += [Conv3x3(channels, out), nn.BatchNorm2d(out), *pooling, nn.ReLU(inplace=True)]
        channels, height, width_px = out, height // kernel[0], width_px // kernel[1]
    kernel = (-(-height // MAX_HEAD_SIDE), -(-width_px // MAX_HEAD_SIDE))
    if kernel != (1, 1):
        # Not adaptive pooling: its gradient is not deterministic on a GPU.
        layers.append(nn.AvgPool2d(kernel, ceil_mode=True))
        height, width_px = -(-height // kernel[0]), -(-width_px // kernel[1])
    return Cnn(*layers, nn.Flatten(), nn.Linear(channels * height * width_px, num_classes))
