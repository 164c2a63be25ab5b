"""The update rules of ``training.optimizer``, by torch's functional optimisers where these are public.

They compute the same as torch's classes. Those import torch's compiler, which no training uses and which takes as long
to import as torch itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

from losstune.config.settings import TrainingSettings

EPSILON = 1e-8

State = tuple[Tensor, ...]
Update = Callable[[list[nn.Parameter], list[Tensor], list[State], float, float, TrainingSettings], None]
"""Updates parameters in place, given their gradients, their states, a learning rate, a weight decay and the settings of
the training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An optimiser.

    Attributes:
        start: Makes the state of a parameter.
        update: Takes a step.
        reads: Settings of the training that it uses, of those that only some optimisers use.
        scaled: Hyperparameters that have to change with the scale of the loss for the same steps. SGD's step is the
            gradient's size times the learning rate. The others divide by that size, so that only an L2 penalty, which
            is part of the gradient, depends on it.
    """

    start: Callable[[Tensor, TrainingSettings], State]
    update: Update
    reads: tuple[str, ...]
    scaled: tuple[str, ...] = ()


def _moments(parameter: Tensor, _: TrainingSettings) -> State:
    num_steps = torch.zeros((), dtype=torch.float32, device=parameter.device)
    return torch.zeros_like(parameter), torch.zeros_like(parameter), num_steps


def _adamw(
    used: list[nn.Parameter],
    gradients: list[Tensor],
    states: list[State],
    learning_rate: float,
    weight_decay: float,
    settings: TrainingSettings,
) -> None:
    # torch's adamw is its adam with a decoupled weight decay.
    step = adam if settings.optimizer == "adam" else adamw
    step(
        list[Tensor](used),
        gradients,
        [mean for mean, _, _ in states],
        [square for _, square, _ in states],
        [],
        [num_steps for _, _, num_steps in states],
        fused=True,
        amsgrad=False,
        beta1=settings.betas[0],
        beta2=settings.betas[1],
        lr=learning_rate,
        weight_decay=weight_decay,
        eps=EPSILON,
        maximize=False,
    )


def _momentum(parameter: Tensor, settings: TrainingSettings) -> State:
    return (torch.zeros_like(parameter),) if settings.momentum else ()


def _sgd(
    used: list[nn.Parameter],
    gradients: list[Tensor],
    states: list[State],
    learning_rate: float,
    weight_decay: float,
    settings: TrainingSettings,
) -> None:
    sgd(
        list[Tensor](used),
        gradients,
        [buffer for state in states for buffer in state],
        fused=True,
        weight_decay=weight_decay,
        momentum=settings.momentum,
        lr=learning_rate,
        dampening=0.0,
        nesterov=settings.momentum > 0,
        maximize=False,
    )


def _squares(parameter: Tensor, settings: TrainingSettings) -> State:
    # torch counts the steps on the host, although nothing depends on them.
    return torch.zeros((), dtype=torch.float32), torch.zeros_like(parameter), *_momentum(parameter, settings)


def _rmsprop(
    used: list[nn.Parameter],
    gradients: list[Tensor],
    states: list[State],
    learning_rate: float,
    weight_decay: float,
    settings: TrainingSettings,
) -> None:
    rmsprop(
        list[Tensor](used),
        gradients,
        [square for _, square, *_ in states],
        [],
        [buffer for _, _, *buffers in states for buffer in buffers],
        [num_steps for num_steps, *_ in states],
        lr=learning_rate,
        alpha=0.99,
        eps=EPSILON,
        weight_decay=weight_decay,
        momentum=settings.momentum,
        centered=False,
    )


def _orthogonal(parameter: Tensor, settings: TrainingSettings) -> State:
    return (torch.zeros_like(parameter),) if parameter.dim() > 1 else _moments(parameter, settings)


def _muon(
    used: list[nn.Parameter],
    gradients: list[Tensor],
    states: list[State],
    learning_rate: float,
    weight_decay: float,
    settings: TrainingSettings,
) -> None:
    matrices: list[tuple[nn.Parameter, Tensor, State]] = []
    vectors: list[tuple[nn.Parameter, Tensor, State]] = []
    for item in zip(used, gradients, states, strict=True):
        (matrices if item[0].dim() > 1 else vectors).append(item)
    if vectors:
        parameters, slopes, moments = map(list, zip(*vectors, strict=True))
        _adamw(parameters, slopes, moments, learning_rate, weight_decay, settings)
    for parameter, gradient, (buffer,) in matrices:
        buffer.lerp_(gradient, 1 - settings.momentum)
        matrix = gradient.lerp(buffer, settings.momentum).flatten(1)
        # Steps of AdamW's size, so that matrices and vectors share a learning rate.
        rate = 0.2 * math.sqrt(max(matrix.shape)) * learning_rate
        parameter.mul_(1 - learning_rate * weight_decay)
        parameter.add_(_orthogonalised(matrix).view(parameter.shape), alpha=-rate)


NEWTON_SCHULZ, NUM_ITERATIONS = (3.4445, -4.7750, 2.0315), 5


def _orthogonalised(matrix: Tensor) -> Tensor:
    """Return about the nearest matrix with orthogonal rows or columns, as ``torch.optim.Muon`` does, in bfloat16.

    torch's function is private, and its arguments differ between versions.
    """
    first, third, fifth = NEWTON_SCHULZ
    is_tall = matrix.shape[0] > matrix.shape[1]
    found = matrix.bfloat16().T if is_tall else matrix.bfloat16()
    found = found / found.norm().clamp(min=1e-7)
    for _ in range(NUM_ITERATIONS):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=third, alpha=fifth), found, beta=first)
    return (found.T if is_tall else found).contiguous()


RULES = {
    "adamw": Rule(start=_moments, update=_adamw, reads=("betas",)),
    "adam": Rule(start=_moments, update=_adamw, reads=("betas",), scaled=("weight_decay",)),
    "rmsprop": Rule(start=_squares, update=_rmsprop, reads=("momentum",), scaled=("weight_decay",)),
    "muon": Rule(start=_orthogonal, update=_muon, reads=("momentum", "betas")),
    "sgd": Rule(start=_momentum, update=_sgd, reads=("momentum",), scaled=("learning_rate", "weight_decay")),
}
"""Each optimiser by its name in ``params.yaml``."""
