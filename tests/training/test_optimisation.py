"""The optimiser's settings, and the schedule against PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from losstune.training.optimisation import learning_rate_at, make_optimizer
from tests.small import small_task


def network():
    found = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3), nn.Linear(3, 2)
    )
    found[4].requires_grad_(False)
    return found


@pytest.mark.parametrize(
    ("optimizer", "momentum", "kind"),
    [("adamw", 0.9, torch.optim.AdamW), ("sgd", 0.9, torch.optim.SGD), ("sgd", 0.0, torch.optim.SGD)],
)
def test_matrices_are_decayed_and_what_is_frozen_is_left_out(optimizer, momentum, kind):
    model = network()
    task = small_task(optimizer=optimizer, momentum=momentum, learning_rate=0.25, weight_decay=0.125)
    found = make_optimizer(model, task)
    assert type(found) is kind
    decayed, others = found.param_groups
    assert [id(parameter) for parameter in decayed["params"]] == [id(model[0].weight), id(model[3].weight)]
    expected = [model[0].bias, model[1].weight, model[1].bias, model[3].bias]
    assert [id(parameter) for parameter in others["params"]] == [id(parameter) for parameter in expected]
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.125, 0.0)
    for group in found.param_groups:
        assert (group["lr"], group["fused"]) == (0.25, True)
        if optimizer == "sgd":
            assert (group["momentum"], group["nesterov"]) == (momentum, momentum > 0)


@pytest.mark.parametrize(
    ("num_steps", "warmup_fraction", "num_warmup"), [(40, 0.25, 10), (40, 0.0, 0), (7, 0.2, 1)]
)
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
