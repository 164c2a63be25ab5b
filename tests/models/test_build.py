"""What every model promises: logits of the right shape, a reproducible start, errors that help."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn import functional

from losstune.config.settings import ModelSettings
from losstune.core.errors import LosstuneError
from losstune.models import build_model, validate_model_name

IMAGES = [(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 64, 64), (2, 12, 20)]


def build(name, shape, *, width=8, depth=2, num_classes=10, seed=0):
    torch.manual_seed(seed)
    return build_model(ModelSettings(name=name, width=width, depth=depth), shape, num_classes)


@pytest.mark.parametrize("shape", IMAGES)
@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet"])
def test_gives_logits_for_images_of_any_size(name, shape):
    model = build(name, shape, num_classes=7)
    assert model.training
    assert model(torch.randn(4, *shape)).shape == (4, 7)
    in_channels_last = model.to(memory_format=torch.channels_last)
    inputs = torch.randn(4, *shape).contiguous(memory_format=torch.channels_last)
    assert in_channels_last(inputs).shape == (4, 7)


@pytest.mark.parametrize("num_classes", [2, 100])
def test_mlp_takes_features(num_classes):
    assert build("mlp", (16,), num_classes=num_classes)(torch.randn(5, 16)).shape == (5, num_classes)


@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet", "torchvision:resnet18"])
def test_the_global_seed_alone_decides_the_start(name):
    shape = (3, 16, 16)
    first, again, other = (build(name, shape, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet"])
def test_starts_at_sensible_logits(name):
    # Not zero, where normalised logits have no gradient, and not so large that the softmax is saturated.
    for depth in (1, 3):
        logits = build(name, (3, 32, 32), width=32, depth=depth)(torch.randn(32, 3, 32, 32))
        assert 0.05 < logits.std() < 5


@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet"])
def test_learns_digits(name):
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8)
    images, labels = (images - images.mean()) / images.std(), torch.tensor(labels)
    model = build(name, (1, 8, 8), width=16, depth=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for start in [*range(0, 1536, 64)] * 2:
        loss = functional.cross_entropy(model(images[start : start + 64]), labels[start : start + 64])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    accuracy = (model(images[1536:]).argmax(1) == labels[1536:]).float().mean()
    assert losses[0] > 1.5
    assert losses[-1] < losses[0] / 2
    assert accuracy > 0.8


def test_a_deep_perceptron_still_has_gradients():
    model = build("mlp", (64,), width=64, depth=20)
    functional.cross_entropy(model(torch.randn(64, 64)), torch.randint(10, (64,))).backward()
    norms = [parameter.grad.norm() for parameter in model.parameters() if parameter.dim() > 1]
    assert norms[0] > norms[-1] / 100


@pytest.mark.parametrize("name", ["cnn", "resnet", "torchvision:resnet18"])
def test_features_need_the_perceptron(name):
    with pytest.raises(LosstuneError, match="samples of 16 features; the models for features are 'linear' and 'mlp'"):
        build(name, (16,))


@pytest.mark.parametrize("shape", [(8, 8), (), (1, 0, 8)])
def test_rejects_shapes_that_are_no_sample(shape):
    with pytest.raises(LosstuneError, match="must be"):
        build("mlp", shape)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "cnnn",
            "unknown model 'cnnn', expected linear, mlp, cnn, resnet, resnet9, torchvision:<builder>, timm:<model> or "
            "your own as path/to/file.py:name or module:name; did you mean 'cnn'",
        ),
        ("resnet18", "did you mean 'torchvision:resnet18'"),
        ("torchvision:resnet19", "no classification model 'resnet19'; did you mean 'resnet18'"),
        ("torchvision:fasterrcnn_resnet50_fpn", "no classification model 'fasterrcnn_resnet50_fpn'"),
    ],
)
def test_an_unknown_name_gets_the_nearest(name, message):
    for check in (lambda: validate_model_name(name), lambda: build(name, (3, 32, 32))):
        with pytest.raises(LosstuneError) as caught:
            check()
        assert message in str(caught.value)


def test_built_in_models_do_not_wait_for_torchvision():
    code = (
        "import sys; from losstune.models import build_model, validate_model_name; "
        "from losstune.config.settings import ModelSettings; validate_model_name('cnn'); "
        "build_model(ModelSettings(name='cnn', width=4, depth=1), (1, 8, 8), 10); "
        "sys.exit('torchvision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
