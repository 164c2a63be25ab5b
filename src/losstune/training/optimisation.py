"""The optimiser and its learning-rate schedule."""

from __future__ import annotations

import math

import torch
from torch import nn

from losstune.config.settings import TrainingSettings
from losstune.training.task import Task


def make_optimizer(network: nn.Module, task: Task) -> torch.optim.Optimizer:
    """Return SGD or AdamW over the trainable parameters, at the task's learning rate and weight decay."""
    # Biases and normalisation parameters are not decayed: they have no scale to keep small.
    decayed = [
        parameter for parameter in network.parameters() if parameter.requires_grad and parameter.dim() > 1
    ]
    others = [
        parameter for parameter in network.parameters() if parameter.requires_grad and parameter.dim() <= 1
    ]
    groups = [
        {"params": decayed, "weight_decay": task.configuration.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    learning_rate = task.configuration.learning_rate
    if task.training.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=learning_rate, fused=True)
    momentum = task.training.momentum
    return torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, nesterov=momentum > 0, fused=True)


def learning_rate_at(step: int, num_steps: int, peak: float, settings: TrainingSettings) -> float:
    """Return the learning rate of a step, from 0: linear warm-up to `peak`, then constant or half a cosine to 0."""
    num_warmup = round(settings.warmup_fraction * num_steps)
    if step < num_warmup:
        return peak * (step + 1) / num_warmup
    if settings.schedule == "constant":
        return peak
    progress = (step - num_warmup) / max(1, num_steps - num_warmup)
    return peak * 0.5 * (1.0 + math.cos(math.pi * progress))
