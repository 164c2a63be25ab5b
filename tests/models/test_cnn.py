from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional

from losstune.core.errors import LosstuneError
from losstune.models.cnn import cnn


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("shape", "width", "depth", "last_map"),
    [
        ((1, 8, 8), 16, 2, (2, 2)),
        ((3, 32, 32), 32, 3, (4, 4)),
        ((1, 28, 28), 8, 2, (7, 7)),
        ((3, 64, 64), 8, 2, (8, 8)),  # 16x16 is averaged down
        ((1, 36, 20), 8, 1, (6, 5)),  # 18x10 is averaged down, by 3 and 2
        ((1, 8, 8), 4, 5, (1, 1)),  # nothing left to pool after the third stage
        ((1, 2, 40), 4, 2, (1, 5)),  # one side ends before the other, 10 is averaged down
    ],
)
def test_number_of_parameters(shape, width, depth, last_map):
    channels = [shape[0], *(width * 2**stage for stage in range(depth))]
    convolutions = sum(9 * into * out + 2 * out for into, out in itertools.pairwise(channels))
    head = (channels[-1] * last_map[0] * last_map[1] + 1) * 10
    model = cnn(shape, width, depth, 10)
    assert count(model) == convolutions + head
    assert model(torch.randn(2, *shape)).shape == (2, 10)


def test_computes_what_it_says():
    torch.manual_seed(0)
    model = cnn((2, 7, 6), 3, 2, 4).double().eval()
    state = {name: tensor for name, tensor in model.state_dict().items() if "num_batches" not in name}
    conv1, *norm1, conv2 = list(state.values())[:6]
    norm2, head = list(state.values())[6:10], list(state.values())[10:]
    inputs = torch.randn(3, 2, 7, 6, dtype=torch.float64)
    hidden = inputs
    for conv, (weight, bias, mean, variance) in ((conv1, norm1), (conv2, norm2)):
        hidden = functional.conv2d(hidden, conv, padding=1)
        scale = weight / (variance + 1e-5).sqrt()
        hidden = (hidden - mean[:, None, None]) * scale[:, None, None] + bias[:, None, None]
        hidden = hidden.clamp(min=0)
        hidden = hidden[:, :, : hidden.shape[2] // 2 * 2, : hidden.shape[3] // 2 * 2]
        hidden = hidden.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).amax((3, 5))
    torch.testing.assert_close(model(inputs), hidden.flatten(1) @ head[0].T + head[1])


def test_too_many_channels_are_an_error():
    with pytest.raises(LosstuneError, match="width 16 and depth 10 end in 8,192; at most 4,096"):
        cnn((1, 8, 8), 16, 10, 10)


def plain(shape, width, depth, num_classes):
    """The same network in the textbook's words and order, with the same initial weights."""
    layers, (channels, *sides) = [], shape
    for stage in range(depth):
        out = width * 2**stage
        layers += [nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(), nn.MaxPool2d(2)]
        channels, sides = out, [side // 2 for side in sides]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * sides[0] * sides[1], num_classes))


def first_losses(model, images, labels):
    """Return the losses of 17 steps of SGD in ``channels_last``, as the training loop takes them."""
    model, losses = model.to(memory_format=torch.channels_last).train(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for batch, target in zip(images.split(64), labels.split(64), strict=True):
        loss = functional.cross_entropy(model(batch.contiguous(memory_format=torch.channels_last)), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8)])
def test_it_trains_as_the_plain_network(shape):
    torch.manual_seed(0)
    reference = plain(shape, 16, 2, 10)
    model = cnn(shape, 16, 2, 10)
    model.load_state_dict(reference.state_dict())  # strict: the names are the same
    images, labels = torch.randn(17 * 64, *shape), torch.randint(10, (17 * 64,))
    assert first_losses(model, images, labels) == pytest.approx(first_losses(reference, images, labels), rel=1e-5)


def test_relu_after_pooling_has_the_gradient_of_relu_before_it():
    torch.manual_seed(0)
    reference, model = plain((2, 8, 8), 4, 1, 3).double(), cnn((2, 8, 8), 4, 1, 3).double()
    model.load_state_dict(reference.state_dict())
    images = torch.randn(16, 2, 8, 8, dtype=torch.float64)
    images[:4] = 0.0  # many equal values, which share a maximum
    for network in (reference, model):
        network(images).sin().sum().backward()
    for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
