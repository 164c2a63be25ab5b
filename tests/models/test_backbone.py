"""A network in two parts gives what the network gives."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from losstune.config.settings import ModelSettings
from losstune.core.errors import LosstuneError
from losstune.losses.registry import get
from losstune.models import adapt_head, build_model
from losstune.models.backbone import features_of, split

SMALL = [("mlp", (3, 16, 16)), ("mlp", (7,)), ("cnn", (1, 8, 8)), ("resnet", (3, 16, 16)), ("resnet9", (3, 16, 16))]
TORCHVISION = [("resnet18", 32), ("mobilenet_v3_small", 32), ("convnext_tiny", 32), ("vgg11", 32), ("vit_b_16", 32)]
TIMM = [("resnet18", 32), ("vit_tiny_patch16_224", 32), ("convnext_atto", 32)]


def check(name, shape, loss="cross_entropy"):
    torch.manual_seed(0)
    network = build_model(ModelSettings(name=name, width=4, depth=1), shape, 5)
    network = adapt_head(network, 5, **get(loss).bind().head_options(5)).eval()
    inputs = torch.randn(3, *shape)
    with torch.no_grad():
        logits = network(inputs)
        features = features_of(network, inputs, 5)
        parts = split(copy.deepcopy(network), 5)
        assert features.ndim == 2
        assert torch.equal(parts.backbone(inputs), features)
        assert torch.equal(parts.head(features), logits)
        assert torch.equal(network(inputs), logits), "features_of leaves the network as it is"


@pytest.mark.parametrize(("name", "shape"), SMALL)
@pytest.mark.parametrize("loss", ["cross_entropy", "cosface", "dropout"])
def test_the_parts_of_built_in_models_are_the_model(name, shape, loss):
    check(name, shape, loss)


@pytest.mark.integration
@pytest.mark.parametrize(("builder", "side"), TORCHVISION)
def test_the_parts_of_torchvisions_models_are_the_model(builder, side):
    check(f"torchvision:{builder}", (3, side, side))


@pytest.mark.integration
@pytest.mark.parametrize(("name", "side"), TIMM)
def test_the_parts_of_timms_models_are_the_model(name, side):
    pytest.importorskip("timm")
    check(f"timm:{name}", (3, side, side))


def test_a_network_without_a_linear_last_layer_has_no_parts():
    network = nn.Sequential(nn.Conv2d(3, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for cut in (lambda: split(network, 5), lambda: features_of(network, torch.ones(1, 3, 4, 4), 5)):
        with pytest.raises(LosstuneError, match=r"model\.name: this model has no linear last layer"):
            cut()


def test_a_network_that_is_one_layer_has_no_backbone():
    with pytest.raises(LosstuneError, match="this model is one linear layer"):
        split(nn.Linear(4, 5), 5)


def test_a_network_that_computes_with_the_outputs_of_its_last_layer_is_refused():
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 5), nn.LogSoftmax(1))
    with pytest.raises(LosstuneError, match=r"not those of its last linear layer \(1\)"):
        features_of(network, torch.ones(2, 4), 5)
