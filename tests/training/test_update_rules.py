"""The update rules against torch's classes, and what of their steps depends on the scale of the loss."""

from typing import get_args

import pytest
import torch
from torch import nn

from losstune.config.settings import TrainingSettings
from losstune.training.optimisation import Optimizer
from losstune.training.update_rules import RULES
from tests.small import small_task

RATES = (1e-2, 3e-2, 1e-3, 0.0, 1e-2)


def network():
    torch.manual_seed(3)
    layers = [nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def batches():
    generator = torch.Generator().manual_seed(4)
    return [(rate, torch.randn(8, 2, 8, 8, generator=generator)) for rate in RATES]


def trained(task):
    net = network()
    optimizer = Optimizer(net, task)
    for rate, inputs in batches():
        net(inputs).square().mean().backward()
        optimizer.step(rate * task.configuration.learning_rate)
        optimizer.zero_grad()
    return list(net.parameters())


def trained_by_torch(make):
    """Train with a list of torch's optimisers; their learning rates are 1."""
    net = network()
    optimizers = make(net)
    for rate, inputs in batches():
        net(inputs).square().mean().backward()
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad()
    return list(net.parameters())


def groups(net, decay):
    matrices = [parameter for parameter in net.parameters() if parameter.dim() > 1]
    vectors = [parameter for parameter in net.parameters() if parameter.dim() <= 1]
    return [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]


def test_the_settings_name_every_rule():
    assert get_args(TrainingSettings.model_fields["optimizer"].annotation) == tuple(RULES)


@pytest.mark.parametrize(
    ("settings", "make"),
    [
        ({"optimizer": "adamw", "betas": (0.8, 0.95)}, lambda g: torch.optim.AdamW(g, betas=(0.8, 0.95), fused=True)),
        ({"optimizer": "adam"}, lambda g: torch.optim.Adam(g, fused=True)),
        ({"optimizer": "adam", "betas": (0.7, 0.9)}, lambda g: torch.optim.Adam(g, betas=(0.7, 0.9), fused=True)),
        ({"optimizer": "rmsprop"}, lambda g: torch.optim.RMSprop(g, momentum=0.9)),
        ({"optimizer": "rmsprop", "momentum": 0.0}, lambda g: torch.optim.RMSprop(g)),
        ({"optimizer": "sgd", "momentum": 0.5}, lambda g: torch.optim.SGD(g, momentum=0.5, nesterov=True, fused=True)),
    ],
    ids=["adamw", "adam", "adam betas", "rmsprop", "rmsprop without momentum", "sgd"],
)
def test_equals_torchs_class(settings, make):
    found = trained(small_task(learning_rate=1.0, weight_decay=0.1, **settings))
    for one, other in zip(found, trained_by_torch(lambda net: [make(groups(net, 0.1))]), strict=True):
        assert torch.equal(one, other)


class Flat(nn.Module):
    """The same network with the weights of its convolution as a matrix, which is all that torch's Muon takes."""

    def __init__(self):
        super().__init__()
        self.inner = network()
        convolution = self.inner[0]
        self.matrix = nn.Parameter(convolution.weight.detach().reshape(4, -1).clone())
        self.bias = convolution.bias
        del self.inner[0]

    def forward(self, inputs):
        weight = self.matrix.view(4, 2, 3, 3).contiguous(memory_format=torch.channels_last)
        return self.inner(nn.functional.conv2d(inputs, weight, self.bias))


@pytest.mark.parametrize("momentum", [0.9, 0.95])
def test_muon_is_torchs_for_matrices_and_adamw_for_vectors(momentum):
    found = trained(small_task(optimizer="muon", momentum=momentum, learning_rate=1.0, weight_decay=0.1))
    net = Flat()
    matrices, vectors = ([p for p in net.parameters() if (p.dim() > 1) == is_matrix] for is_matrix in (True, False))
    options = {"momentum": momentum, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}
    optimizers = [torch.optim.Muon(matrices, **options), torch.optim.AdamW(vectors, weight_decay=0.0, fused=True)]
    for rate, inputs in batches():
        net(inputs).square().mean().backward()
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()
            optimizer.zero_grad()
    weight, bias, *others = found
    torch.testing.assert_close(weight, net.matrix.view(4, 2, 3, 3), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(bias, net.bias, rtol=1e-5, atol=1e-6)
    for one, other in zip(others, net.inner.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (6, 6)])
def test_the_steps_of_a_matrix_are_torchs(shape):
    torch.manual_seed(6)
    ours = nn.Linear(shape[1], shape[0], bias=False)
    theirs = nn.Parameter(ours.weight.detach().clone())
    optimizer = Optimizer(ours, small_task(optimizer="muon", weight_decay=0.1))
    oracle = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw")
    for _ in range(5):
        theirs.grad = torch.randn(shape)
        ours.weight.grad = theirs.grad.clone()
        optimizer.step(0.02)
        oracle.step()
    torch.testing.assert_close(ours.weight, theirs, rtol=1e-5, atol=1e-6)


def linear(optimizer, rate, decay, scale):
    torch.manual_seed(5)
    net = nn.Linear(6, 4).double()
    trainer = Optimizer(net, small_task(optimizer=optimizer, learning_rate=rate, weight_decay=decay))
    inputs = torch.randn(32, 6, dtype=torch.float64)
    for _ in range(20):
        (scale * net(inputs).pow(4).mean()).backward()
        trainer.step(rate)
        trainer.zero_grad()
    return net.weight


@pytest.mark.parametrize("optimizer", RULES)
def test_what_has_to_change_with_the_scale_of_the_loss(optimizer):
    scale, scaled = 4.0, RULES[optimizer].scaled
    rate = 1 / scale if "learning_rate" in scaled else 1.0
    decay = scale if "weight_decay" in scaled else 1.0
    plain = linear(optimizer, 0.01, 0.1, 1.0)
    torch.testing.assert_close(linear(optimizer, 0.01 * rate, 0.1 * decay, scale), plain, rtol=1e-4, atol=1e-4)
    unchanged = linear(optimizer, 0.01, 0.1, scale)
    assert ((unchanged - plain).abs().max() > 1e-3) == bool(scaled)


@pytest.mark.parametrize("missing", [(), (0,), (2,), (0, 3)])
def test_adamw_counts_the_steps_of_each_parameter_by_itself(missing):
    """Parameters of one group that get no gradient in some steps, as torch's class treats them."""

    class Parts(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.parts = nn.ParameterList([nn.Parameter(torch.randn(3, 3)) for _ in range(3)])

        def forward(self, step):
            used = self.parts[1:] if step in missing else self.parts
            return sum(part.square().sum() * (step + 1) for part in used)

    net, reference = Parts(), Parts()
    ours = Optimizer(net, small_task(weight_decay=0.1))
    theirs = torch.optim.AdamW(reference.parameters(), weight_decay=0.1, fused=True)
    for step, rate in enumerate(RATES):
        net(step).backward()
        reference(step).backward()
        theirs.param_groups[0]["lr"] = rate
        ours.step(rate)
        theirs.step()
        ours.zero_grad()
        theirs.zero_grad()
    for one, other in zip(net.parameters(), reference.parameters(), strict=True):
        assert torch.equal(one, other)


def test_parameters_of_two_types_are_updated():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4).double())
    optimizer = Optimizer(net, small_task())
    before = [parameter.detach().clone() for parameter in net.parameters()]
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step(0.1)
    for parameter, old in zip(net.parameters(), before, strict=True):
        assert parameter.dtype == old.dtype
        assert (parameter < old).all()
