"""The residual network for small images."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from losstune.models.initialisation import init_normal
from losstune.models.sides import require_sides

NUM_STAGES = 3
MIN_SIDE = 4
"""Minimum side in pixels; the network halves the side twice."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation, and a shortcut without parameters.

    If the block halves the map, the shortcut takes every second pixel and fills the new channels with zeros
    (option A of He et al. 2016, section 4.2).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.stride = stride
        self.new_channels = out_channels - in_channels

    def forward(self, input_NCHW: Tensor) -> Tensor:
        """Return the block's output, (N, out_channels, H / stride, W / stride), rounded up."""
        output = functional.relu(self.norm1(self.conv1(input_NCHW)), inplace=True)
        output = self.norm2(self.conv2(output))
        shortcut = input_NCHW
        if self.stride > 1:
            shortcut = shortcut[:, :, :: self.stride, :: self.stride]
        if self.new_channels:
            before = self.new_channels // 2
            shortcut = functional.pad(shortcut, (0, 0, 0, 0, before, self.new_channels - before))
        return functional.relu(output + shortcut, inplace=True)


class ResNet(nn.Module):
    """He et al.'s network for CIFAR: three stages of residual blocks, global average pooling, a linear head."""

    def __init__(self, in_channels: int, width: int, depth: int, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        blocks: list[nn.Module] = []
        channels = width
        for stage in range(NUM_STAGES):
            out = width * 2**stage
            for block in range(depth):
                blocks.append(ResidualBlock(channels, out, stride=2 if stage > 0 and block == 0 else 1))
                channels = out
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init_normal(module.weight, mode="fan_out")

    def forward(self, input_NCHW: Tensor) -> Tensor:
        """Return logits (N, num_classes)."""
        output = functional.relu(self.norm(self.conv(input_NCHW)), inplace=True)
        pooled_NC: Tensor = self.blocks(output).mean(dim=(2, 3))
        logits_NC: Tensor = self.head(pooled_NC)
        return logits_NC


def resnet(input_shape: tuple[int, ...], width: int, depth: int, num_classes: int) -> ResNet:
    """Build ResNet-(6 `depth` + 2) for small images: He et al. 2016 (arXiv 1512.03385), section 4.2.

    Width 16 and depth 3 is the paper's ResNet-20 with 0.27 million parameters.

    Args:
        input_shape: (C, H, W) of one sample, at least 4 pixels a side.
        width: Channels of the first stage; the second and third have 2 and 4 times as many.
        depth: Residual blocks per stage, at least 1.
        num_classes: Number of logits.

    Raises:
        LosstuneError: If the images are too small.
    """
    channels, *sides = input_shape
    require_sides("resnet", sides, MIN_SIDE)
    return ResNet(channels, width, depth, num_classes)
