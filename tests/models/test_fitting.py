"""Networks without weights: every builder has them, and they tell what a training would trip over."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest
import torch
import torchvision

from losstune.config.settings import ModelSettings
from losstune.core.errors import LosstuneError
from losstune.models.build import build_model, without_weights
from losstune.models.fitting import require_fit
from tests.models.test_torchvision_models import smallest_side

BUILDERS = torchvision.models.list_models(module=torchvision.models)
FAMILIES = {torchvision.models.get_model_builder(name).__module__: name for name in BUILDERS}
"""A builder of each of torchvision's modules: the others of a module differ in size alone."""

CHANNELS = (1, 3, 4)


def settings(name, width=4, depth=1):
    return ModelSettings(name=name, width=width, depth=depth)


def fit(name, shape, *, batch_size=8, heads=None, **size):
    require_fit(settings(name, **size), shape, 5, batch_size=batch_size, heads=heads or {"cross_entropy": {}})


def shapes_of(name, shape):
    with without_weights():
        model = build_model(settings(name), shape, 5)
    assert all(parameter.is_meta for parameter in model.parameters())
    return {key: (tensor.shape, tensor.dtype) for key, tensor in model.state_dict().items()}


def check_shapes(builder, channels):
    side = smallest_side(builder)
    shapes = shapes_of(f"torchvision:{builder}", (channels, side, side))
    first = next(shape for shape, _ in shapes.values() if len(shape) == 4)
    assert first[1] == channels


@pytest.mark.parametrize(("number", "builder"), list(enumerate(FAMILIES.values())))
def test_every_family_is_built_without_weights(number, builder):
    check_shapes(builder, CHANNELS[number % len(CHANNELS)])


@pytest.mark.slow
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("builder", BUILDERS)
def test_every_builder_can_be_trained_on_any_number_of_channels(builder, channels):
    check_shapes(builder, channels)
    side = smallest_side(builder)
    fit(f"torchvision:{builder}", (channels, side, side))


QUICK = {"resnet18": 1, "mobilenet_v3_small": 3, "regnet_y_400mf": 4, "squeezenet1_1": 1, "vit_b_32": 4, "swin_v2_t": 1}
"""One number of channels for each network; the others are slow tests."""


@pytest.mark.parametrize(
    ("builder", "channels"),
    [
        pytest.param(builder, channels, marks=() if channels == QUICK[builder] else pytest.mark.slow)
        for builder in QUICK
        for channels in CHANNELS
    ],
)
def test_without_weights_is_the_same_network(builder, channels):
    name, shape = f"torchvision:{builder}", (channels, 32, 32)
    real = build_model(settings(name), shape, 5).state_dict()
    assert shapes_of(name, shape) == {key: (tensor.shape, tensor.dtype) for key, tensor in real.items()}


@pytest.mark.parametrize("name", ["mlp", "resnet", "torchvision:mobilenet_v3_small"])
def test_no_random_number_is_drawn(name):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fit(name, (1, 32, 32), heads={"dropout": {"dropout": 0.5}})
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet"])
def test_a_small_network_is_tried_without_torchs_compiler(name):
    script = f"""
import sys
from losstune.config.settings import ModelSettings
from losstune.models.fitting import require_fit
heads = [{{}}, {{"normalised": True}}, {{"dropout": 0.5}}, {{"decay": 0.1}}, {{"initial_bias": 1.0}}]
heads = dict(zip("abcde", heads))
require_fit(ModelSettings(name="{name}", width=16, depth=2), (3, 32, 32), 5, batch_size=8, heads=heads)
print(*{{"torch._dynamo", "sympy"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "\n"


@pytest.mark.parametrize(("name", "side"), [("mlp", 2**9), ("resnet", 2**11)])
def test_a_large_network_takes_no_memory(name, side):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fit(name, (3, side, side), width=2**10, depth=2)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # KiB


@pytest.mark.parametrize(
    ("name", "shape"), [("torchvision:mobilenet_v3_small", (3, 32, 32)), ("resnet", (1, 4, 4)), ("cnn", (1, 2, 2))]
)
def test_batch_norm_over_one_value_is_told_as_training_would_find_it(name, shape):
    size = {"depth": 2, "width": 4}
    real = build_model(settings(name, **size), shape, 5)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        real(torch.randn(1, *shape))
    with pytest.raises(LosstuneError, match=r"training.batch_size: found 1 .*, expected 2 or more"):
        fit(name, shape, batch_size=1, **size)
    fit(name, shape, batch_size=2, **size)


def test_one_sample_at_a_time_is_taken_where_it_can_be_normalised():
    build_model(settings("torchvision:resnet18"), (3, 32, 32), 5)(torch.randn(1, 3, 32, 32))
    fit("torchvision:resnet18", (3, 32, 32), batch_size=1)
    fit("mlp", (64,), batch_size=1)


def test_images_that_are_too_small_are_told():
    with pytest.raises(LosstuneError, match=r"'torchvision:inception_v3' can't take images of 1x32x32"):
        fit("torchvision:inception_v3", (1, 32, 32))


def test_a_loss_that_needs_another_last_layer_is_named():
    heads = {"cross_entropy": {}, "focal": {}, "cosface": {"normalised": True}}
    with pytest.raises(LosstuneError, match=r"linear last layer.*\(losses: cosface\)"):
        fit("torchvision:squeezenet1_1", (3, 32, 32), heads=heads)
    fit("torchvision:resnet18", (3, 32, 32), heads=heads)
