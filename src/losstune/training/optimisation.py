"""The optimiser and its learning-rate schedule."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from losstune.config.settings import TrainingSettings
from losstune.models.freezing import is_below
from losstune.training.task import Task

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class Optimizer:
    """Fused AdamW or SGD over a network's trainable parameters, using torch's functional optimisers.

    It computes the same as ``torch.optim.AdamW`` and ``torch.optim.SGD``. Those classes import torch's compiler, which
    no training uses and which takes as long to import as torch itself.
    """

    def __init__(self, network: nn.Module, task: Task, head: str | None = None) -> None:
        """Make the groups of parameters.

        Args:
            network: The network.
            task: What to train.
            head: Name of its last linear layer, which ``model.backbone_factor`` leaves alone.
        """
        factor = task.model.backbone_factor
        # Each parameter's factor of the learning rate, and its weight decay. Biases and normalisation parameters are
        # not decayed, as is usual.
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for is_decayed in (True, False):
            for name, parameter in network.named_parameters():
                if parameter.requires_grad and (parameter.dim() > 1) == is_decayed:
                    is_head = head is not None and is_below(name, head)
                    decay = task.configuration.weight_decay if is_decayed else 0.0
                    groups.setdefault((1.0 if is_head else factor, decay), []).append(parameter)
        self._groups = tuple(groups.items())
        self._trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self._update = self._adamw if task.training.optimizer == "adamw" else self._sgd
        self._momentum = task.training.momentum
        self._state: dict[nn.Parameter, tuple[Tensor, ...]] = {}

    def zero_grad(self) -> None:
        """Delete the gradients."""
        for parameter in self._trainable:
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Update every parameter that has a gradient."""
        for (factor, weight_decay), parameters in self._groups:
            used = [parameter for parameter in parameters if parameter.grad is not None]
            gradients = [parameter.grad for parameter in used if parameter.grad is not None]
            self._update(used, gradients, factor * learning_rate, weight_decay)

    def _adamw(
        self, used: list[nn.Parameter], gradients: list[Tensor], learning_rate: float, weight_decay: float
    ) -> None:
        for parameter in used:
            if parameter not in self._state:
                num_steps = torch.zeros((), dtype=torch.float32, device=parameter.device)
                moments = (torch.zeros_like(parameter), torch.zeros_like(parameter))
                self._state[parameter] = (*moments, num_steps)
        state = [self._state[parameter] for parameter in used]
        adamw(
            list[Tensor](used),
            gradients,
            [mean for mean, _, _ in state],
            [square for _, square, _ in state],
            [],
            [num_steps for _, _, num_steps in state],
            fused=True,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=learning_rate,
            weight_decay=weight_decay,
            eps=EPSILON,
            maximize=False,
        )

    def _sgd(
        self, used: list[nn.Parameter], gradients: list[Tensor], learning_rate: float, weight_decay: float
    ) -> None:
        # The first step creates the buffers.
        buffers = [self._state.get(parameter, (None,))[0] for parameter in used] if self._momentum else []
        sgd(
            list[Tensor](used),
            gradients,
            buffers,
            fused=True,
            weight_decay=weight_decay,
            momentum=self._momentum,
            lr=learning_rate,
            dampening=0.0,
            nesterov=self._momentum > 0,
            maximize=False,
        )
        for parameter, buffer in zip(used, buffers, strict=False):
            assert buffer is not None, "made by the first step"
            self._state[parameter] = (buffer,)


def learning_rate_at(step: int, num_steps: int, peak: float, settings: TrainingSettings) -> float:
    """Return the learning rate of a step (from 0): linear warm-up to `peak`, then constant or half a cosine to 0."""
    num_warmup = round(settings.warmup_fraction * num_steps)
    if step < num_warmup:
        return peak * (step + 1) / num_warmup
    if settings.schedule == "constant":
        return peak
    progress = (step - num_warmup) / max(1, num_steps - num_warmup)
    return peak * 0.5 * (1.0 + math.cos(math.pi * progress))
