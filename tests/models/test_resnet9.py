"""The ResNet-9 against its published size, and against the same network written out."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from losstune.config.settings import ModelSettings
from losstune.core.errors import LosstuneError
from losstune.models import build_model


def build(shape=(3, 32, 32), width=8, num_classes=10):
    torch.manual_seed(0)
    return build_model(ModelSettings(name="resnet9", width=width, depth=3), shape, num_classes)


def test_width_64_has_the_published_number_of_parameters():
    convolutions = [(3, 64), (64, 128), (128, 128), (128, 128), (128, 256), (256, 512), (512, 512), (512, 512)]
    expected = sum(9 * before * after + 2 * after for before, after in convolutions) + 512 * 10
    assert expected == 6_573_120, "published, https://myrtle.ai/learn/how-to-train-your-resnet-8-bag-of-tricks/"
    found = sum(parameter.numel() for parameter in build(width=64).parameters())
    assert found == expected + 10, "here, the last layer has a bias"


def test_it_computes_what_is_written_out_here():
    network = build().eval()
    weights = [value for name, value in network.named_parameters() if value.ndim == 4]

    def convolution(number, images):
        # A new batch normalisation divides by sqrt(1 + 1e-5) in evaluation mode.
        return F.relu(F.conv2d(images, weights[number], padding=1) / (1 + 1e-5) ** 0.5)

    with torch.no_grad():
        images = torch.randn(2, 3, 32, 32)
        hidden = F.max_pool2d(convolution(1, convolution(0, images)), 2)
        hidden = hidden + convolution(3, convolution(2, hidden))
        hidden = F.max_pool2d(convolution(4, hidden), 2)
        hidden = F.max_pool2d(convolution(5, hidden), 2)
        hidden = hidden + convolution(7, convolution(6, hidden))
        hidden = F.max_pool2d(hidden, 4).flatten(1)
        expected = 0.125 * hidden @ network.head.weight.T + network.head.bias
        torch.testing.assert_close(network(images), expected)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (4, 33, 17)])
def test_takes_images_of_any_size_from_8_pixels(shape):
    network = build(shape).to(memory_format=torch.channels_last)
    logits = network(torch.randn(2, *shape).contiguous(memory_format=torch.channels_last))
    assert logits.shape == (2, 10)
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_smaller_images_are_an_error():
    with pytest.raises(LosstuneError, match="'resnet9' needs images of at least 8x8 pixels, found 7x9"):
        build((3, 7, 9))
