"""What a network takes from given weights: against plain copies of tensors, timm's first layer, and torch's streams."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from losstune.config.settings import ModelSettings
from losstune.core.errors import LosstuneError
from losstune.losses.registry import get
from losstune.models import build_model, build_network
from losstune.models.fitting import require_weights
from losstune.models.pretrained import with_channels

CNN = {"name": "cnn", "width": 4, "depth": 2}
SHAPE = (3, 8, 8)


def state_of(network):
    return {name: value.numpy().copy() for name, value in network.state_dict().items()}


def network_of(settings, *, seed=1, shape=SHAPE, num_classes=5):
    torch.manual_seed(seed)
    return build_model(ModelSettings(**settings), shape, num_classes)


def loaded(settings, weights, *, seed=2, shape=SHAPE, num_classes=5, head=None):
    torch.manual_seed(seed)
    return build_network(ModelSettings(**settings), shape, num_classes, head or {}, weights)


def sentence(path, *, shape=SHAPE, num_classes=5, **settings):
    return require_weights(ModelSettings(**(CNN | {"weights": str(path)} | settings)), shape, num_classes)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module.", "backbone."])
def test_all_but_the_last_layer_come_from_the_file(prefix):
    given = network_of(CNN)
    weights = {prefix + name: value for name, value in state_of(given).items()} | {"criterion.weight": np.zeros(3)}
    plain, found = network_of(CNN, seed=2).state_dict(), loaded(CNN, weights).state_dict()
    for name, value in found.items():
        source = plain if name.startswith("9.") else given.state_dict()
        assert torch.equal(value, source[name]), name
    assert not torch.equal(found["9.weight"], given.state_dict()["9.weight"])


@pytest.mark.parametrize("loss", ["cross_entropy", "arcface", "dropout", "sigmoid_bce"])
def test_no_loss_draws_other_random_numbers_because_of_weights(loss):
    weights, head = state_of(network_of(CNN)), get(loss).bind().head_options(5)
    with_weights = loaded(CNN, weights, head=head)
    after = torch.rand(3)
    without = loaded(CNN, None, head=head)
    assert torch.equal(after, torch.rand(3))
    assert torch.equal(with_weights.get_submodule("9").weight, without.get_submodule("9").weight)
    assert torch.equal(with_weights.get_submodule("0").weight, torch.from_numpy(weights["0.weight"]))


def test_weights_in_read_only_memory_are_copied():
    weights = state_of(network_of(CNN))
    for value in weights.values():
        value.setflags(write=False)
    with torch.no_grad():
        loaded(CNN, weights).get_submodule("0").weight.zero_()
    assert weights["0.weight"].any()


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_the_first_convolution_is_adapted_as_timm_does(channels):
    adapt_input_conv = pytest.importorskip("timm.models").adapt_input_conv
    weight = torch.randn(6, 3, 5, 5)
    torch.testing.assert_close(with_channels(weight, channels), adapt_input_conv(channels, weight))


def test_gray_images_get_what_a_colour_image_of_equal_channels_gets():
    given = network_of({"name": "torchvision:resnet18"}, shape=(3, 96, 96)).eval()
    gray = loaded({"name": "torchvision:resnet18"}, state_of(given), shape=(1, 96, 96)).eval()
    images = torch.randn(2, 1, 96, 96)
    torch.testing.assert_close(gray.conv1(images), given.conv1(images.expand(2, 3, 96, 96)), rtol=1e-4, atol=1e-5)


def test_what_is_loaded_and_what_is_not_is_one_sentence(tmp_path):
    network = network_of(CNN)
    state = {name: value for name, value in network.state_dict().items() if name != "1.bias"} | {"x.y": torch.ones(2)}
    state["5.bias"] = torch.zeros(2)
    torch.save(state, tmp_path / "w.pt")
    found = sentence(tmp_path / "w.pt", shape=(1, 8, 8))
    # By hand: convolutions 1*4*9 and 4*8*9, batch normalisation 2*4 and 2*8; without a bias of 4 and one of 8.
    share = (36 + 288 + 8 + 16 - 4 - 8) / (36 + 288 + 8 + 16)
    assert f"{share:.1%} of the parameters of 'cnn' below its last layer; the last layer (9) is new;" in found
    assert "; 0.weight is adapted from 3 to 1 channels;" in found
    assert "; new, because of another shape in the file: 5.bias (2, here 8);" in found
    assert "; new, because the file lacks them: 1.bias; not used from the file: x.y" in found


def test_the_small_first_convolution_of_a_resnet_stays_new_and_is_reported(tmp_path):
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "w.pth")
    name = {"name": "torchvision:resnet18"}
    found = sentence(tmp_path / "w.pth", **name, shape=(3, 32, 32))
    assert "conv1.weight (64x3x7x7, here 64x3x3x3) - a ResNet for small images" in found
    found = sentence(tmp_path / "w.pth", **name, shape=(3, 96, 96))
    assert found.endswith("below its last layer; the last layer (fc) is new")


def test_layers_that_the_file_lacks_are_not_frozen_at_random_weights(tmp_path):
    torch.save(
        {name: value for name, value in network_of(CNN).state_dict().items() if name != "1.bias"}, tmp_path / "w.pt"
    )
    for freeze in ("backbone", ("0", "1"), ("1.bias",)):
        with pytest.raises(LosstuneError, match=r"w\.pt has no weights that fit 1\.bias, which would stay random"):
            sentence(tmp_path / "w.pt", freeze=freeze)
    assert "lacks them: 1.bias" in sentence(tmp_path / "w.pt", freeze=("0",))
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "w.pth")
    settings = {"name": "torchvision:resnet18", "freeze": "backbone"}
    with pytest.raises(
        LosstuneError, match=r"fit conv1\.weight, which would stay random - a ResNet for small images has"
    ):
        sentence(tmp_path / "w.pth", **settings, shape=(3, 32, 32))
    sentence(tmp_path / "w.pth", **settings, shape=(3, 96, 96))


@pytest.mark.parametrize("settings", [{"width": 8}, {"name": "mlp"}, {"name": "resnet"}])
def test_the_file_of_another_architecture_is_an_error(settings, tmp_path):
    torch.save(network_of(CNN).state_dict(), tmp_path / "w.pt")
    with pytest.raises(
        LosstuneError, match=r"expected at least 50%: the file has 0.weight, .* and \d+ more, the model"
    ):
        sentence(tmp_path / "w.pt", **settings)


def test_the_check_of_a_large_network_makes_no_weights(tmp_path):
    torch.save(torchvision.models.densenet121().state_dict(), tmp_path / "w.pt")
    state = torch.random.get_rng_state()
    found = sentence(tmp_path / "w.pt", name="torchvision:densenet121", shape=(3, 64, 64))
    assert "100.0%" in found
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_model_of_the_users_own_takes_weights(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def build(num_classes, input_shape):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(192, 6), nn.ReLU(), nn.Linear(6, num_classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    given = nn.Sequential(nn.Flatten(), nn.Linear(192, 6), nn.ReLU(), nn.Linear(6, 100))
    torch.save(given.state_dict(), "w.pt")
    assert "100.0% of the parameters of 'mine.py:build'" in sentence("w.pt", name="mine.py:build", width=16, depth=2)
    found = loaded({"name": "mine.py:build"}, state_of(given))
    assert torch.equal(found.get_submodule("1").weight, given.get_submodule("1").weight)
