from __future__ import annotations

import itertools

import pytest
import torch
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
