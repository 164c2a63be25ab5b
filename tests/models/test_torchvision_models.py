from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from losstune.core.errors import LosstuneError
from losstune.models.torchvision_models import build, builders

QUICK = [
    ("resnet18", (3, 32, 32)),
    ("resnet18", (1, 8, 8)),
    ("mobilenet_v3_small", (1, 32, 32)),
    ("squeezenet1_1", (3, 32, 32)),
    ("shufflenet_v2_x0_5", (4, 32, 32)),
    ("regnet_y_400mf", (1, 64, 64)),
]


def smallest_side(builder):
    if builder == "alexnet":
        return 64
    if builder == "inception_v3":
        return 75
    if builder.startswith("maxvit"):
        return 224
    return 28 if builder == "vit_h_14" else 32


def check(builder, shape, num_classes=5):
    torch.manual_seed(0)
    model = build(builder, shape, num_classes)
    assert model.training
    assert all(tensor.device.type == "cpu" for tensor in model.state_dict().values())
    model.eval()
    with torch.no_grad():
        logits = model(torch.randn(2, *shape))
    assert logits.shape == (2, num_classes)
    assert logits.isfinite().all()
    assert logits.any(dim=1).all(), "a head at zero has no gradient under normalised logits"


@pytest.mark.parametrize(("builder", "shape"), QUICK)
def test_fits_the_data(builder, shape):
    check(builder, shape)


# The largest differ from the rest of their family in size alone and need gigabytes.
@pytest.mark.slow
@pytest.mark.parametrize("builder", [name for name in builders() if name not in {"regnet_y_128gf", "vit_h_14"}])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_builder_fits_the_data(builder, channels):
    side = smallest_side(builder)
    check(builder, (channels, side, side))


def test_small_images_keep_their_resolution_in_a_resnet():
    small, large = build("resnet18", (3, 32, 32), 10), build("resnet18", (3, 96, 96), 10)
    # 11,173,962 is the size of the widespread ResNet-18 for CIFAR-10.
    assert sum(parameter.numel() for parameter in small.parameters()) == 11_173_962
    original = torchvision.models.resnet18(num_classes=10)
    assert sum(p.numel() for p in large.parameters()) == sum(p.numel() for p in original.parameters())
    features = nn.Sequential(*list(small.children())[:-2])
    assert features(torch.randn(1, 3, 32, 32)).shape[2:] == (4, 4)


def test_other_numbers_of_channels_keep_the_scale_of_the_first_layer():
    torch.manual_seed(0)
    spread = {}
    for channels in (1, 3, 12):
        convolution = build("resnet18", (channels, 96, 96), 10).conv1
        assert convolution.in_channels == channels
        assert (convolution.kernel_size, convolution.stride, convolution.padding) == ((7, 7), (2, 2), (3, 3))
        spread[channels] = convolution(torch.randn(8, channels, 96, 96)).std().item()
    assert spread[1] == pytest.approx(spread[3], rel=0.1)
    assert spread[12] == pytest.approx(spread[3], rel=0.1)


def test_logits_of_squeezenet_may_be_negative():
    torch.manual_seed(0)
    logits = build("squeezenet1_1", (3, 64, 64), 20)(torch.randn(4, 3, 64, 64))
    assert logits.min() < 0 < logits.max()


@pytest.mark.parametrize(
    ("builder", "shape", "cause"),
    [
        ("alexnet", (3, 32, 32), "too small"),
        ("inception_v3", (3, 32, 32), "input size per channel"),
        ("maxvit_t", (3, 64, 64), "not divisible by partition size"),
        ("vit_b_32", (3, 40, 40), "indivisible by patch size"),
        ("vit_b_32", (3, 32, 64), "square"),
    ],
)
def test_images_that_do_not_fit_are_an_error(builder, shape, cause):
    with pytest.raises(LosstuneError) as caught:
        build(builder, shape, 10)
    message = str(caught.value)
    assert cause in message
    assert f"'torchvision:{builder}' can't take images of {'x'.join(map(str, shape))}" in message
    assert "\n" not in message
