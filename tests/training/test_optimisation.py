"""The optimiser against torch's classes, to the bit, and without what those import; the schedule against torch's."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from losstune.training.optimisation import Optimizer, learning_rate_at
from tests.small import small_task

RATES = (1e-2, 3e-2, 1e-3, 0.0, 1e-2)


def network():
    torch.manual_seed(3)
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10)]
    used = nn.Sequential(*layers).to(memory_format=torch.channels_last)
    layers[1].bias.requires_grad_(False)
    return nn.ModuleDict({"used": used, "unused": nn.Linear(2, 2)})


def torchs(net, optimizer, momentum, weight_decay):
    trainable = [parameter for parameter in net.parameters() if parameter.requires_grad]
    groups = [
        {"params": [item for item in trainable if item.dim() > 1], "weight_decay": weight_decay},
        {"params": [item for item in trainable if item.dim() <= 1], "weight_decay": 0.0},
    ]
    if optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=1.0, fused=True)
    return torch.optim.SGD(groups, lr=1.0, momentum=momentum, nesterov=momentum > 0, fused=True)


@pytest.mark.parametrize(("name", "momentum"), [("adamw", 0.9), ("sgd", 0.9), ("sgd", 0.0)])
def test_equals_torchs_classes(name, momentum):
    ours, theirs = network(), network()
    task = small_task(optimizer=name, momentum=momentum, weight_decay=0.1)
    optimizer, oracle = Optimizer(ours, task), torchs(theirs, name, momentum, 0.1)
    generator = torch.Generator().manual_seed(4)
    for rate in RATES:
        inputs = torch.randn(8, 1, 8, 8, generator=generator)
        for net in (ours, theirs):
            net["used"](inputs).square().sum().backward()
        optimizer.step(rate)
        optimizer.zero_grad()
        for group in oracle.param_groups:
            group["lr"] = rate
        oracle.step()
        oracle.zero_grad()
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(one, other)
            assert one.grad is None


@pytest.mark.parametrize(("name", "momentum"), [("adamw", 0.9), ("sgd", 0.9)])
def test_the_backbone_learns_at_its_share_of_the_rate_as_in_torchs_groups(name, momentum):
    ours, theirs = network(), network()
    task = small_task(optimizer=name, momentum=momentum, weight_decay=0.1)
    task = replace(task, model=task.model.model_copy(update={"backbone_factor": 0.25}))
    optimizer = Optimizer(ours, task, "used.4")
    head = {id(parameter) for parameter in theirs["used"][4].parameters()}
    oracle = torchs(theirs, name, momentum, 0.1)
    split = []
    for group in oracle.param_groups:
        for is_head, factor in ((False, 0.25), (True, 1.0)):
            params = [item for item in group["params"] if (id(item) in head) == is_head]
            split.append((factor, group | {"params": params}))
    oracle.param_groups[:] = [group for _, group in split]
    for rate in RATES:
        for net in (ours, theirs):
            net["used"](torch.ones(4, 1, 8, 8)).square().sum().backward()
        optimizer.step(rate)
        optimizer.zero_grad()
        for factor, group in split:
            group["lr"] = factor * rate
        oracle.step()
        oracle.zero_grad()
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(one, other)


def test_a_network_may_have_nothing_but_decayed_parameters():
    net = nn.Linear(3, 2, bias=False)
    optimizer = Optimizer(net, small_task())
    net(torch.ones(1, 3)).sum().backward()
    before = net.weight.detach().clone()
    optimizer.step(0.1)
    assert not torch.equal(net.weight, before)


def test_a_parameter_may_get_its_first_gradient_late():
    net = network()
    optimizer = Optimizer(net, small_task())
    net["used"](torch.ones(2, 1, 8, 8)).sum().backward()
    optimizer.step(0.1)
    before = net["unused"].weight.detach().clone()
    net["unused"](torch.ones(1, 2)).sum().backward()
    optimizer.step(0.1)
    assert not torch.equal(net["unused"].weight, before)


@pytest.mark.parametrize(("num_steps", "warmup_fraction", "num_warmup"), [(40, 0.25, 10), (40, 0.0, 0), (7, 0.2, 1)])
def test_the_cosine_is_pytorchs(num_steps, warmup_fraction, num_warmup):
    settings = small_task(warmup_fraction=warmup_fraction, schedule="cosine").training
    found = [learning_rate_at(step, num_steps, 0.5, settings) for step in range(num_steps)]
    assert found[:num_warmup] == pytest.approx([0.5 * (step + 1) / num_warmup for step in range(num_warmup)])
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps - num_warmup)
    for rate in found[num_warmup:]:
        assert rate == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def test_without_a_schedule_the_rate_stays_after_the_warm_up():
    settings = small_task(warmup_fraction=0.5, schedule="constant").training
    assert [learning_rate_at(step, 8, 1.0, settings) for step in range(8)] == [0.25, 0.5, 0.75] + [1.0] * 5


def test_a_training_that_only_warms_up_ends_at_the_peak():
    settings = small_task(schedule="cosine").training.model_copy(update={"warmup_fraction": 1.0})
    assert [learning_rate_at(step, 4, 1.0, settings) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
    # A step after the last: nothing is divided by zero.
    assert learning_rate_at(4, 4, 1.0, settings) == 1.0


@pytest.mark.parametrize(("num_steps", "warmup_fraction"), [(40, 0.0), (40, 0.25), (7, 0.2), (11, 0.9), (200, 0.5)])
def test_one_cycle_is_pytorchs(num_steps, warmup_fraction):
    settings = small_task(warmup_fraction=warmup_fraction, schedule="one_cycle").training
    found = [learning_rate_at(step, num_steps, 0.5, settings) for step in range(num_steps)]
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.9)
    options = {"pct_start": warmup_fraction} if warmup_fraction else {}
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=num_steps, **options)
    for step, rate in enumerate(found):
        assert rate == pytest.approx(schedule.get_last_lr()[0]), step
        optimizer.step()
        if step + 1 < num_steps:
            schedule.step()


@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_one_cycle_of_few_steps_has_learning_rates_up_to_the_peak(num_steps):
    settings = small_task(schedule="one_cycle").training
    rates = [learning_rate_at(step, num_steps, 0.5, settings) for step in range(num_steps)]
    assert rates[0] == 0.5
    assert all(0 < rate <= 0.5 for rate in rates)


@pytest.mark.parametrize(("epochs", "step_every", "step_factor"), [(9, 3, 0.1), (10, 4, 0.5), (5, 1, 0.3)])
def test_the_step_schedule_is_pytorchs(epochs, step_every, step_factor):
    task = small_task(epochs=epochs, schedule="step", step_every=step_every, step_factor=step_factor)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_every, step_factor)
    for epoch in range(epochs):
        for batch in range(7):
            rate = learning_rate_at(7 * epoch + batch, 7 * epochs, 0.5, task.training)
            assert rate == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def test_the_step_schedule_starts_after_the_warm_up():
    settings = small_task(epochs=4, schedule="step", step_every=2, warmup_fraction=0.25).training
    found = [learning_rate_at(step, 8, 1.0, settings) for step in range(8)]
    assert found == pytest.approx([0.5, 1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.1])


@pytest.mark.parametrize("clip_norm", [0.01, 1.0, 1e6])
def test_gradients_are_clipped_as_by_torch(clip_norm):
    ours, theirs = network(), network()
    task = small_task(optimizer="sgd", momentum=0.0, weight_decay=0.1, clip_norm=clip_norm)
    optimizer, oracle = Optimizer(ours, task), torchs(theirs, "sgd", 0.0, 0.1)
    for net in (ours, theirs):
        net["used"](torch.ones(8, 1, 8, 8)).square().sum().backward()
    optimizer.step(1.0)
    norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), clip_norm)
    assert (norm > clip_norm) == (clip_norm < 1e6)
    oracle.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_mean_of_added_gradients_is_used_and_then_clipped():
    nets = [network(), network()]
    task = small_task(optimizer="sgd", weight_decay=0.0, clip_norm=0.5)
    for net, num in zip(nets, (4, 1), strict=True):
        optimizer = Optimizer(net, task)
        for _ in range(num):
            net["used"].eval()(torch.ones(8, 1, 8, 8)).square().mean().backward()
        optimizer.step(1.0, num)
    for one, other in zip(*(net.parameters() for net in nets), strict=True):
        torch.testing.assert_close(one, other)


TRAINING = """
import sys
from tests.small import digits_arrays, small_task
from losstune.losses.registry import registry
from losstune.training.loop import train

for spec in registry().values():
    model, augmentation = ("cnn", "flip_crop") if spec.head == "linear" else ("mlp", "none")
    task = small_task(spec.name, model=model, test=True, keep_weights=True, epochs=1, augmentation=augmentation)
    list(train(task, digits_arrays(64, 32, 32), spec.bind()))
for optimizer in ("adam", "rmsprop", "muon", "sgd"):
    task = small_task(optimizer=optimizer, epochs=1, ema=0.9, clip_norm=1.0, patience=1, sampling="balanced")
    list(train(task, digits_arrays(64, 32, 32), registry()["cross_entropy"].bind()))
print(*sorted({"torch._dynamo", "torch._inductor", "sympy"} & set(sys.modules)))
"""


def test_no_training_imports_torchs_compiler():
    done = subprocess.run([sys.executable, "-c", TRAINING], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
