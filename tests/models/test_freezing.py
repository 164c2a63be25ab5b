"""Frozen layers: no gradient, and batch statistics and dropout that training does not change."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load
from torch import nn
from torch.nn import functional as F

from losstune.config.settings import ModelSettings
from losstune.core.errors import LosstuneError
from losstune.core.seeds import derive_seed
from losstune.losses.registry import get
from losstune.models import build_network
from losstune.models.freezing import freeze
from losstune.training.loop import train
from tests.small import digits_arrays, small_task


def network_of(what, head="4"):
    torch.manual_seed(0)
    layers = [nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 3)]
    network = nn.Sequential(*layers)
    freeze(network, what, head)
    return network


def step(network, seed=0):
    """A step with SGD in training mode; return the outputs before it."""
    torch.manual_seed(seed)
    network.train()
    inputs = torch.randn(16, 6, generator=torch.Generator().manual_seed(seed))
    outputs = network(inputs)
    outputs.square().sum().backward()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
                parameter.grad = None
    return outputs


def changed(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for seed in range(2):
        step(network, seed)
    return {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}


def test_with_a_frozen_backbone_the_last_layer_alone_learns_from_features_of_a_prediction():
    network = network_of("backbone")
    expected = network_of("none").eval()(torch.randn(16, 6, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(step(network), expected)
    assert changed(network) == {"4.weight", "4.bias"}
    assert [name for name, parameter in network.named_parameters() if parameter.requires_grad] == ["4.weight", "4.bias"]


def test_dropout_of_the_last_layer_itself_stays():
    head = get("dropout").bind({"rate": 0.5}).head_options(10)
    settings = ModelSettings(name="mlp", width=8, depth=1, freeze="backbone")
    torch.manual_seed(0)
    network = build_network(settings, (6,), 10, head).train()
    inputs = torch.randn(4, 6)
    assert not torch.equal(network(inputs), network(inputs))
    network.eval()
    assert torch.equal(network(inputs), network(inputs))


def test_named_layers_are_frozen_with_their_statistics():
    assert changed(network_of(("0", "1"))) == {"4.weight", "4.bias"}
    everything = {"0.weight", "0.bias", "1.weight", "1.bias", "4.weight", "4.bias"}
    statistics = {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert changed(network_of(("0",))) == (everything | statistics) - {"0.weight", "0.bias"}
    assert changed(network_of(("0.bias",))) == (everything | statistics) - {"0.bias"}
    assert changed(network_of("none")) == everything | statistics


def test_a_copy_keeps_what_is_frozen():
    network = network_of("backbone")
    other = copy.deepcopy(network)
    del network
    assert changed(other) == {"4.weight", "4.bias"}


@pytest.mark.parametrize(
    ("what", "head", "message"),
    [
        (("layer1",), "4", "found 'layer1', which is no layer of this model (its outermost layers: 0, 1, 4)"),
        (("0.wieght",), "4", "found '0.wieght', which is no layer"),
        (("0", "1", "4"), "4", "found 0, 1, 4, which freezes all layers"),
        ("backbone", None, "found backbone, but this model has no linear last layer; name layers instead"),
    ],
)
def test_a_layer_that_does_not_exist_is_an_error(what, head, message):
    with pytest.raises(LosstuneError) as caught:
        network_of(what, head)
    assert message in str(caught.value)


def test_the_nearest_layer_is_named():
    network = nn.Sequential()
    network.add_module("encoder", nn.Linear(2, 2))
    network.add_module("head", nn.Linear(2, 2))
    with pytest.raises(LosstuneError, match=r"did you mean 'encoder'\?"):
        freeze(network, ("encodr",), "head")


@pytest.mark.parametrize("loss", ["cross_entropy", "arcface"])
def test_a_training_leaves_the_pretrained_backbone_as_it_is(loss):
    settings = ModelSettings(name="cnn", width=4, depth=2, freeze="backbone")
    torch.manual_seed(7)
    pretrained = build_network(ModelSettings(name="cnn", width=4, depth=2), (1, 8, 8), 10, {}).state_dict()
    arrays = replace(digits_arrays(), weights={name: value.numpy() for name, value in pretrained.items()})
    task = replace(small_task(loss, keep_weights=True, epochs=1), model=settings)
    *_, (result,) = train(task, arrays, get(loss).bind())
    trained = load(result.weights)
    for name, value in trained.items():
        assert torch.equal(value, pretrained[name]) == (not name.startswith("9.")), name
    # Two max poolings leave 2x2 positions of 8 channels.
    assert result.num_parameters == 32 * 10 + (10 if loss == "cross_entropy" else 0)


def test_training_the_last_layer_alone_equals_training_it_on_features():
    """In plain torch: features once, in evaluation mode, then a linear layer on them."""
    arrays = replace(digits_arrays(), weights=None)
    task = small_task(
        "cross_entropy", model="cnn", epochs=2, optimizer="sgd", momentum=0.0, schedule="constant", weight_decay=0.0
    )
    task = replace(task, model=ModelSettings(name="cnn", width=4, depth=2, freeze="backbone"))
    *_, (result,) = train(task, arrays, get("cross_entropy").bind())

    torch.manual_seed(derive_seed(1, "initialisation"))
    network = build_network(ModelSettings(name="cnn", width=4, depth=2), (1, 8, 8), 10, {}).eval()
    backbone, head = network[:-1], network[-1]
    images = (torch.from_numpy(arrays.train_images).float() - arrays.mean[0]) / arrays.std[0]
    labels = torch.from_numpy(arrays.train_labels)
    with torch.no_grad():
        features = backbone(images)
    order = torch.Generator().manual_seed(derive_seed(1, "order"))
    for epoch in range(2):
        losses = []
        for index in torch.randperm(len(labels), generator=order).split(32):
            loss = F.cross_entropy(head(features[index]), labels[index])
            losses.append(loss.item())
            weight, bias = torch.autograd.grad(loss, [head.weight, head.bias])
            with torch.no_grad():
                head.weight -= 1e-2 * weight
                head.bias -= 1e-2 * bias
        assert result.curve[epoch].train_loss == pytest.approx(sum(losses) / len(losses), rel=1e-4)
