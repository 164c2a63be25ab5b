"""The update rules of ``training.optimizer``, by torch's functional optimisers where these are public.

They compute the same as torch's classes. Those import torch's compiler, which no training uses and which takes as long
to import as torch itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

from losstune.config.settings import TrainingSettings

EPSILON = 1e-8

State = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What an update of parameters depends on.

    Attributes:
        parameters: Parameters, which are updated in place.
        gradients: The gradient of each.
        states: The state of each, which is updated in place.
        learning_rate: The learning rate; on a GPU a tensor there, float32, so that a CUDA graph can read it.
        weight_decay: The weight decay.
        settings: The settings of the training.
    """

    parameters: list[nn.Parameter]
    gradients: list[Tensor]
    states: list[State]
    learning_rate: float | Tensor
    weight_decay: float
    settings: TrainingSettings


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
    update: Callable[[Step], None]
    reads: tuple[str, ...]
    scaled: tuple[str, ...] = ()


def _moments(parameter: Tensor, _: TrainingSettings) -> State:
    num_steps = torch.zeros((), dtype=torch.float32, device=parameter.device)
    return torch.zeros_like(parameter), torch.zeros_like(parameter), num_steps


def _adamw(step: Step) -> None:
    # torch's adamw is its adam with a decoupled weight decay.
    update = adam if step.settings.optimizer == "adam" else adamw
    update(
        list[Tensor](step.parameters),
        step.gradients,
        [mean for mean, _, _ in step.states],
        [square for _, square, _ in step.states],
        [],
        [num_steps for _, _, num_steps in step.states],
        fused=True,
        amsgrad=False,
        beta1=step.settings.betas[0],
        beta2=step.settings.betas[1],
        lr=step.learning_rate,
        weight_decay=step.weight_decay,
        eps=EPSILON,
        maximize=False,
    )


def _momentum(parameter: Tensor, settings: TrainingSettings) -> State:
    return (torch.zeros_like(parameter),) if settings.momentum else ()


def _sgd(step: Step) -> None:
    sgd(
        list[Tensor](step.parameters),
        step.gradients,
        [buffer for state in step.states for buffer in state],
        fused=True,
        weight_decay=step.weight_decay,
        momentum=step.settings.momentum,
        lr=step.learning_rate,
        dampening=0.0,
        nesterov=step.settings.momentum > 0,
        maximize=False,
    )


def _squares(parameter: Tensor, settings: TrainingSettings) -> State:
    # torch counts the steps, although nothing depends on them.
    num_steps = torch.zeros((), dtype=torch.float32, device=parameter.device)
    return num_steps, torch.zeros_like(parameter), *_momentum(parameter, settings)


def _rmsprop(step: Step) -> None:
    rmsprop(
        list[Tensor](step.parameters),
        step.gradients,
        [square for _, square, *_ in step.states],
        [],
        [buffer for _, _, *buffers in step.states for buffer in buffers],
        [num_steps for num_steps, *_ in step.states],
        lr=step.learning_rate,
        alpha=0.99,
        eps=EPSILON,
        weight_decay=step.weight_decay,
        momentum=step.settings.momentum,
        centered=False,
        capturable=step.parameters[0].is_cuda,
    )


def _orthogonal(parameter: Tensor, settings: TrainingSettings) -> State:
    return (torch.zeros_like(parameter),) if parameter.dim() > 1 else _moments(parameter, settings)


def _muon(step: Step) -> None:
    matrices: list[tuple[nn.Parameter, Tensor, State]] = []
    vectors: list[tuple[nn.Parameter, Tensor, State]] = []
    for item in zip(step.parameters, step.gradients, step.states, strict=True):
        (matrices if item[0].dim() > 1 else vectors).append(item)
    if vectors:
        parameters, slopes, moments = map(list, zip(*vectors, strict=True))
        _adamw(replace(step, parameters=parameters, gradients=slopes, states=moments))
    for parameter, gradient, (buffer,) in matrices:
        buffer.lerp_(gradient, 1 - step.settings.momentum)
        matrix = gradient.lerp(buffer, step.settings.momentum).flatten(1)
        # Steps of AdamW's size, so that matrices and vectors share a learning rate.
        rate = 0.2 * math.sqrt(max(matrix.shape)) * step.learning_rate
        parameter.mul_(1 - step.learning_rate * step.weight_decay)
        direction = _orthogonalised(matrix).view(parameter.shape)
        if isinstance(rate, Tensor):  # alpha would be read by the host
            parameter.sub_(rate * direction.to(parameter.dtype))
        else:
            parameter.add_(direction, alpha=-rate)


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
