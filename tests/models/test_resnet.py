from __future__ import annotations

import pytest
import torch

from losstune.core.errors import LosstuneError
from losstune.models.resnet import ResidualBlock, resnet


@pytest.mark.parametrize(("depth", "published"), [(3, 0.27e6), (5, 0.46e6), (7, 0.66e6), (9, 0.85e6), (18, 1.7e6)])
def test_is_as_large_as_published(depth, published):
    # He et al. 2016, table 6: ResNet-20 to ResNet-110.
    model = resnet((3, 32, 32), 16, depth, 10)
    found = sum(parameter.numel() for parameter in model.parameters())
    assert found == pytest.approx(published, rel=0.03)
    convolutions = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(convolutions) + 1 == 6 * depth + 2


@pytest.mark.parametrize(("channels", "width", "depth", "classes"), [(3, 16, 3, 10), (1, 5, 1, 7)])
def test_number_of_parameters(channels, width, depth, classes):
    w = width
    stem = 9 * channels * w + 2 * w
    first = depth * 2 * (9 * w * w + 2 * w)
    second = (9 * w * 2 * w + 4 * w) + (2 * depth - 1) * (9 * 4 * w * w + 4 * w)
    third = (9 * 2 * w * 4 * w + 8 * w) + (2 * depth - 1) * (9 * 16 * w * w + 8 * w)
    expected = stem + first + second + third + (4 * w + 1) * classes
    model = resnet((channels, 8, 8), width, depth, classes)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


def test_shortcut_halves_the_map_and_fills_up_with_zeros():
    block = ResidualBlock(3, 8, stride=2).eval()
    torch.nn.init.zeros_(block.conv2.weight)  # only the shortcut is left
    inputs = torch.rand(2, 3, 7, 6)
    output = block(inputs)
    assert output.shape == (2, 8, 4, 3)
    torch.testing.assert_close(output[:, 2:5], inputs[:, :, ::2, ::2])
    assert not output[:, :2].any()
    assert not output[:, 5:].any()


def test_too_small_images_are_an_error():
    with pytest.raises(LosstuneError, match="'resnet' needs images of at least 4x4 pixels, found 3x8"):
        resnet((1, 3, 8), 4, 1, 10)
