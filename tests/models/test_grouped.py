"""Networks computed as one, against each by itself."""

import copy
import math

import pytest
import torch
from torch import nn

from losstune.models import grouped
from losstune.models.cnn import cnn
from losstune.models.grouped import Grouped, agrees, can_be_grouped
from losstune.models.heads import adapt_head
from losstune.models.mlp import mlp


def networks(num, shape=(1, 8, 8), width=16, depth=2, model="cnn"):
    torch.manual_seed(0)
    if model == "mlp":
        return [mlp(math.prod(shape), width, depth, 5) for _ in range(num)]
    return [cnn(shape, width, depth, 5).to(memory_format=torch.channels_last) for _ in range(num)]


@pytest.fixture
def same_bits():
    """Skip on a machine where networks compute other bits in groups; losstune does not use groups there."""
    if not all(agrees(networks(1, model=model)[0], 2, (8, 1, 8, 8)) for model in ("cnn", "mlp")):
        pytest.skip("networks in groups differ on this machine")


@pytest.mark.parametrize(
    ("model", "shape"),
    [("cnn", (1, 8, 8)), ("cnn", (3, 6, 9)), ("cnn", (2, 12, 12)), ("mlp", (1, 4, 4)), ("mlp", (7,))],
)
@pytest.mark.parametrize("num", [2, 3, 4])
def test_each_computes_what_it_computes_alone(num, model, shape):
    alone = [network.double() for network in networks(num, shape, width=6, model=model)]
    together = copy.deepcopy(alone)
    group = Grouped(together)
    for _ in range(3):
        inputs = [torch.randn(8, *shape, dtype=torch.float64) for _ in range(num)]
        expected, found = [net(x) for net, x in zip(alone, inputs, strict=True)], group(inputs)
        for one, other in zip(expected, found, strict=True):
            one.square().sum().backward()
            torch.testing.assert_close(one, other)
        torch.autograd.backward([logits.square().sum() for logits in found])
        group.hand_out_gradients()
        for one, other in zip(alone, together, strict=True):
            for ours, theirs in zip(one.parameters(), other.parameters(), strict=True):
                torch.testing.assert_close(ours.grad, theirs.grad)
                with torch.no_grad():
                    for parameter in (ours, theirs):
                        parameter.sub_(0.01 * parameter.grad)
                        parameter.grad = None
    for one, other in zip(alone, together, strict=True):
        assert one.state_dict().keys() == other.state_dict().keys()
        torch.testing.assert_close(one.state_dict(), other.state_dict())


@pytest.mark.usefixtures("same_bits")
@pytest.mark.parametrize("model", ["cnn", "mlp"])
@pytest.mark.parametrize("num", [2, 3, 4])
@pytest.mark.parametrize("place", [0, 1])
def test_the_bits_depend_neither_on_the_number_nor_on_the_place(num, place, model):
    alone, *others = networks(num, model=model)
    together = [*others[:place], copy.deepcopy(alone), *others[place:]]
    inputs = [torch.randn(8, 1, 8, 8) for _ in range(num)]
    group = Grouped(together)
    expected, found = alone(inputs[place]), group(inputs)
    assert torch.equal(expected, found[place])
    expected.sin().sum().backward()
    torch.autograd.backward([logits.sin().sum() for logits in found])
    group.hand_out_gradients()
    for ours, theirs in zip(alone.parameters(), together[place].parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)
    assert all(
        torch.equal(a, b)
        for a, b in zip(alone.state_dict().values(), together[place].state_dict().values(), strict=True)
    )


@pytest.mark.usefixtures("same_bits")
def test_a_member_goes_on_by_itself():
    alone = networks(2)
    together = copy.deepcopy(alone)
    group, inputs = Grouped(together), [torch.randn(8, 1, 8, 8) for _ in range(2)]
    group(inputs)
    alone[1](inputs[1])
    again = Grouped(together[1:])
    assert torch.equal(again(inputs[1:])[0], alone[1](inputs[1]))
    assert torch.equal(together[1].eval()(inputs[0]), alone[1].eval()(inputs[0]))


@pytest.mark.usefixtures("same_bits")
def test_nan_in_one_network_stays_there():
    together = networks(3)
    alone = copy.deepcopy(together)
    with torch.no_grad():
        together[1][0].weight.fill_(torch.nan)
    inputs = [torch.randn(8, 1, 8, 8) for _ in range(3)]
    group = Grouped(together)
    first, spoilt, last = group(inputs)
    assert spoilt.isnan().all()
    assert torch.equal(first, alone[0](inputs[0]))
    torch.autograd.backward([first.sum(), spoilt.sum(), last.sum()])
    group.hand_out_gradients()
    assert all(parameter.grad.isfinite().all() for net in (together[0], together[2]) for parameter in net.parameters())


@pytest.mark.usefixtures("same_bits")
def test_heads_may_differ():
    together = networks(2)
    adapt_head(together[1], 5, normalised=True)
    alone = copy.deepcopy(together)
    inputs = [torch.randn(8, 1, 8, 8) for _ in range(2)]
    for found, net, x in zip(Grouped(together)(inputs), alone, inputs, strict=True):
        assert torch.equal(found, net(x))


def test_only_a_trained_cnn_can_be_grouped():
    (net,) = networks(1)
    assert can_be_grouped(net)
    net[0].weight.requires_grad_(False)
    assert not can_be_grouped(net)
    assert not can_be_grouped(nn.Sequential(nn.Flatten(), nn.Linear(64, 5)))


def test_the_trial_leaves_the_network_as_it_is():
    (net,) = networks(1)
    before = copy.deepcopy(net.state_dict())
    agrees(net, 3, (8, 1, 8, 8))
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert net.training
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.usefixtures("same_bits")
@pytest.mark.parametrize("spoilt", ["output", "gradient", "statistics"])
def test_the_trial_finds_a_difference_of_one_bit(spoilt, monkeypatch):
    next_after = lambda values: torch.nextafter(values, values + 1)  # noqa: E731

    class Spoilt(Grouped):
        def __call__(self, inputs):
            logits = super().__call__(inputs)
            if spoilt == "statistics":
                self.networks[-1][1].running_mean.copy_(next_after(self.networks[-1][1].running_mean))
            return [next_after(one) for one in logits] if spoilt == "output" else logits

        def hand_out_gradients(self):
            super().hand_out_gradients()
            if spoilt == "gradient":
                weight = self.networks[-1][0].weight
                weight.grad = next_after(weight.grad)

    (net,) = networks(1)
    monkeypatch.setattr(grouped, "Grouped", Spoilt)
    assert not agrees(net, 2, (8, 1, 8, 8))
