"""The optimiser and its learning-rate schedule."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from losstune.config.settings import TrainingSettings
from losstune.models.freezing import is_below
from losstune.training.task import Task
from losstune.training.update_rules import RULES, State, Step


class Optimizer:
    """An update rule over a network's trainable parameters, see :mod:`losstune.training.update_rules`."""

    def __init__(self, network: nn.Module, task: Task, head: str | None = None) -> None:
        """Make the groups of parameters.

        Args:
            network: The network.
            task: What to train.
            head: Name of its last linear layer, which ``model.backbone_factor`` leaves alone.
        """
        factor = task.model.backbone_factor
        # Each parameter's factor of the learning rate, its weight decay, and its type, of which torch's kernels take
        # one. Biases and normalisation parameters are not decayed, as is usual.
        groups: dict[tuple[float, float, torch.dtype], list[nn.Parameter]] = {}
        for is_decayed in (True, False):
            for name, parameter in network.named_parameters():
                if parameter.requires_grad and (parameter.dim() > 1) == is_decayed:
                    is_head = head is not None and is_below(name, head)
                    decay = task.configuration.weight_decay if is_decayed else 0.0
                    key = (1.0 if is_head else factor, decay, parameter.dtype)
                    groups.setdefault(key, []).append(parameter)
        self._groups = tuple(groups.items())
        self._trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self._rule, self._settings = RULES[task.training.optimizer], task.training
        self._states: list[dict[int, State]] = [{} for _ in groups]  # by the parameter's place in its group

    def zero_grad(self) -> None:
        """Delete the gradients."""
        for parameter in self._trainable:
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float | Tensor, num_batches: int = 1) -> None:
        """Update every parameter that has a gradient.

        Args:
            learning_rate: The learning rate, as in :class:`losstune.training.update_rules.Step`.
            num_batches: Number of batches whose gradients have been added up; their mean is used.
        """
        if num_batches > 1:
            torch._foreach_div_([item.grad for item in self._trainable if item.grad is not None], num_batches)
        if self._settings.clip_norm is not None:
            clip_grad_norm_(self._trainable, self._settings.clip_norm)
        for ((factor, weight_decay, _), parameters), states in zip(self._groups, self._states, strict=True):
            used = {place: item.grad for place, item in enumerate(parameters) if item.grad is not None}
            if not used:
                continue
            new = [place for place in used if place not in states]
            if new:
                started = self._rule.start([parameters[place] for place in new], self._settings)
                states.update(zip(new, started, strict=True))
            rate = learning_rate if factor == 1.0 else factor * learning_rate
            step = Step(
                [parameters[place] for place in used],
                list(used.values()),
                [states[place] for place in used],
                rate,
                weight_decay,
                self._settings,
            )
            self._rule.update(step)

    @torch.no_grad()
    def reset(self) -> None:
        """Begin again, with states of 0, in the memory of the present ones."""
        for group in self._states:
            for state in group.values():
                for values in state:
                    values.zero_()


ONE_CYCLE_WARMUP, ONE_CYCLE_START, ONE_CYCLE_END = 0.3, 1 / 25, 1 / 25e4
"""PyTorch's defaults: share of the steps before the peak, and first and last learning rate as shares of it."""


def learning_rate_at(step: int, num_steps: int, peak: float, settings: TrainingSettings) -> float:
    """Return the learning rate of a step (from 0): a warm-up to `peak`, then what ``training.schedule`` names."""
    if settings.schedule == "one_cycle":
        return peak * _one_cycle(step, num_steps, settings.warmup_fraction or ONE_CYCLE_WARMUP)
    num_warmup = round(settings.warmup_fraction * num_steps)
    if step < num_warmup:
        return peak * (step + 1) / num_warmup
    if settings.schedule == "constant":
        return peak
    if settings.schedule == "step":
        epoch = step * settings.epochs // num_steps
        return peak * float(settings.step_factor ** (epoch // settings.step_every))
    progress = (step - num_warmup) / max(1, num_steps - num_warmup)
    return peak * 0.5 * (1.0 + math.cos(math.pi * progress))


def _one_cycle(step: int, num_steps: int, warmup_fraction: float) -> float:
    """Return ``torch.optim.lr_scheduler.OneCycleLR``'s factor: half a cosine up, then half a cosine down."""
    summit, last = max(0.0, warmup_fraction * num_steps - 1), num_steps - 1
    if step < summit:
        start, end, progress = ONE_CYCLE_START, 1.0, step / summit
    else:
        start, end, progress = 1.0, ONE_CYCLE_END, (step - summit) / (last - summit) if last > summit else 0.0
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * progress))
