from __future__ import annotations

import pytest
import torch
from torch import nn

from losstune.core.errors import LosstuneError
from losstune.models.cnn import cnn
from losstune.models.weights import load_weights, weights_as_bytes


@pytest.fixture
def trained():
    torch.manual_seed(1)
    model = cnn((1, 8, 8), 4, 2, 5)
    model(torch.randn(8, 1, 8, 8))  # moves the running statistics
    return model.to(memory_format=torch.channels_last)


def test_come_back_to_the_bit(trained, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(weights_as_bytes(trained))
    torch.manual_seed(2)
    model = cnn((1, 8, 8), 4, 2, 5)
    load_weights(model, path)
    for name, tensor in trained.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)
    images = torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(model.eval()(images), trained.eval()(images))


@pytest.mark.parametrize(
    ("shape", "width", "depth", "message"),
    [
        ((1, 8, 8), 5, 2, "is torch.float32 (4, 1, 3, 3) in the file and torch.float32 (5, 1, 3, 3) in the model"),
        ((1, 8, 8), 4, 3, "it lacks '"),
        ((1, 8, 8), 4, 1, "the model has no '"),
    ],
)
def test_of_another_model_are_an_error(trained, tmp_path, shape, width, depth, message):
    path = tmp_path / "model.safetensors"
    path.write_bytes(weights_as_bytes(trained))
    model = cnn(shape, width, depth, 5)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(LosstuneError) as caught:
        load_weights(model, path)
    assert str(caught.value).startswith(f"{path}: holds the weights of another model: ")
    assert message in str(caught.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("size", [0, 4, 100, -1])
def test_damaged_files_are_an_error(trained, tmp_path, size):
    path = tmp_path / "model.safetensors"
    path.write_bytes(weights_as_bytes(trained)[:size])
    with pytest.raises(LosstuneError, match="not a complete safetensors file"):
        load_weights(trained, path)


def test_missing_files_are_an_error(trained, tmp_path):
    with pytest.raises(LosstuneError, match="cannot be read: No such file"):
        load_weights(trained, tmp_path / "model.safetensors")


def test_a_module_finds_its_version_in_the_state(tmp_path):
    class Versioned(nn.Linear):
        _version = 2

        def _load_from_state_dict(self, state_dict, prefix, local_metadata, *rest):
            assert local_metadata.get("version") == 2
            super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    first, second = Versioned(3, 2), Versioned(3, 2)
    (tmp_path / "w.safetensors").write_bytes(weights_as_bytes(first))
    load_weights(second, tmp_path / "w.safetensors")
    assert torch.equal(first.weight, second.weight)
