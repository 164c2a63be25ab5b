from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from losstune.config.settings import ModelSettings
from losstune.core.errors import LosstuneError
from losstune.losses.registry import get, registry
from losstune.models import adapt_head, build_model
from losstune.models.heads import CosineLinear


def network_of(name, **options):
    torch.manual_seed(3)
    network = build_model(ModelSettings(name=name, width=8, depth=1), (3, 32, 32), 7)
    return adapt_head(network, 7, **({"normalised": False, "initial_bias": None} | options)).eval()


@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet", "torchvision:resnet18"])
def test_a_normalised_head_gives_cosines_of_the_same_weights(name):
    plain, normalised = network_of(name), network_of(name, normalised=True)
    features = []
    linear = [module for module in plain.modules() if isinstance(module, nn.Linear)][-1]
    linear.register_forward_pre_hook(lambda module, inputs: features.append(inputs[0]))
    images = torch.randn(4, 3, 32, 32)
    plain(images)
    expected_NC = torch.cosine_similarity(features[0][:, None], linear.weight[None], dim=2)
    torch.testing.assert_close(normalised(images), expected_NC)
    assert sum(isinstance(module, CosineLinear) for module in normalised.modules()) == 1


@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet", "torchvision:resnet18"])
def test_a_bias_is_set_and_nothing_else(name):
    plain, biased = network_of(name).state_dict(), network_of(name, initial_bias=-2.5).state_dict()
    changed = [key for key in plain if not torch.equal(plain[key], biased[key])]
    assert len(changed) == 1
    assert changed[0].endswith("bias")
    assert (biased[changed[0]] == -2.5).all()


def test_dropout_is_drawn_in_training_only_and_changes_no_weight():
    plain, dropping = network_of("mlp"), network_of("mlp", dropout=0.5)
    images = torch.randn(64, 3, 32, 32)
    assert torch.equal(dropping(images), plain(images))
    dropping.train()
    torch.manual_seed(5)
    first_NC = dropping(images)
    torch.manual_seed(5)
    assert torch.equal(dropping(images), first_NC)
    assert not torch.equal(dropping(images), first_NC)
    # What is kept is scaled up, so that the mean over masks is the plain output.
    mean_NC = torch.stack([dropping(images) for _ in range(4000)]).mean(0)
    torch.testing.assert_close(mean_NC, plain(images), atol=0.1, rtol=0)


def test_a_decayed_head_has_the_gradient_of_the_penalised_loss():
    network = network_of("mlp", decay=0.03).train()
    images, target_N = torch.randn(16, 3, 32, 32), torch.arange(16) % 7
    nn.functional.cross_entropy(network(images), target_N).backward()
    found = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}
    plain = network_of("mlp").train()
    head = [module for module in plain.modules() if isinstance(module, nn.Linear)][-1]
    penalty = 0.03 / 2 * head.weight.square().sum()
    (nn.functional.cross_entropy(plain(images), target_N) + penalty).backward()
    for (name, parameter), wanted in zip(found.items(), plain.parameters(), strict=True):
        torch.testing.assert_close(parameter, wanted.grad, msg=name)
    assert head.weight.grad.abs().max() > 0


def test_a_regularised_head_keeps_the_names_of_its_weights():
    assert network_of("resnet", dropout=0.3).state_dict().keys() == network_of("resnet").state_dict().keys()


def test_what_a_loss_asks_for_reaches_the_head():
    plain = {"normalised": False, "initial_bias": None, "dropout": 0.0, "decay": 0.0}
    assert get("cross_entropy").bind().head_options(7) == plain
    assert get("dropout").bind({"rate": 0.4}).head_options(7) == plain | {"dropout": 0.4}
    assert get("final_layer_l2").bind({"lam": 0.01}).head_options(7) == plain | {"decay": 0.01}
    assert get("cosface").bind().head_options(7) == plain | {"normalised": True}


def test_a_model_without_a_linear_head_is_refused_only_where_one_is_needed():
    network = nn.Sequential(nn.Conv2d(3, 7, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert adapt_head(network, 7, normalised=False, initial_bias=-1.0) is network
    with pytest.raises(LosstuneError, match="needs a linear last layer"):
        adapt_head(network, 7, normalised=True, initial_bias=None)


def test_one_loss_per_class_starts_every_sigmoid_at_one_over_c():
    biased = {name: spec.initial_bias for name, spec in registry().items() if spec.initial_bias}
    assert list(biased) == ["sigmoid_bce"]
    bias = get("sigmoid_bce").initial_bias(10)
    assert 1 / (1 + math.exp(-bias)) == pytest.approx(0.1)
    assert np.isfinite(get("sigmoid_bce").initial_bias(2))
