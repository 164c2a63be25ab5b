"""The update rules of ``training.optimizer``, by the kernels and functions that torch's optimisers call.

They compute the same as torch's classes. Those import torch's compiler, which no training uses and which takes as long
to import as torch itself. For a small network, the Python around the fused kernels takes several times as long as they
do, so that these are called directly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.optim.rmsprop import rmsprop

from losstune.config.settings import TrainingSettings

EPSILON = 1e-8

State = tuple[Tensor, ...]


@dataclass(slots=True)
class Step:
    """What an update of parameters depends on.

    Attributes:
        parameters: Parameters, which are updated in place.
        gradients: The gradient of each.
        states: The state of each, which is updated in place.
        learning_rate: The learning rate, a number; on a GPU a tensor there, float32, so that a CUDA graph can read it.
        weight_decay: The weight decay.
        settings: The settings of the training.
    """

    parameters: list[Tensor]
    gradients: list[Tensor]
    states: list[State]
    learning_rate: Any
    weight_decay: float
    settings: TrainingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An optimiser.

    Attributes:
        start: Makes the states of parameters that get their first gradients in the same step.
        update: Takes a step.
        reads: Settings of the training that it uses, of those that only some optimisers use.
        scaled: Hyperparameters that have to change with the scale of the loss for the same steps. SGD's step is the
            gradient's size times the learning rate. The others divide by that size, so that only an L2 penalty, which
            is part of the gradient, depends on it.
    """

    start: Callable[[Sequence[Tensor], TrainingSettings], list[State]]
    update: Callable[[Step], None]
    reads: tuple[str, ...]
    scaled: tuple[str, ...] = ()


def _moments(parameters: Sequence[Tensor], _: TrainingSettings) -> list[State]:
    # Views of one tensor, so that one operation counts for all.
    counts = torch.zeros(len(parameters), dtype=torch.float32, device=parameters[0].device).unbind()
    moments = [(torch.zeros_like(item), torch.zeros_like(item)) for item in parameters]
    return [(*pair, count) for pair, count in zip(moments, counts, strict=True)]


def _count(counts: list[Tensor]) -> None:
    """Add 1 to the numbers of steps."""
    shared = counts[0]._base
    if shared is not None and len(shared) == len(counts) and all(count._base is shared for count in counts):
        shared.add_(1)
    else:
        torch._foreach_add_(counts, 1)


def _adamw(step: Step) -> None:
    counts = [count for _, _, count in step.states]
    _count(counts)
    # They differ in the weight decay: that of adamw is decoupled.
    update = torch._fused_adam_ if step.settings.optimizer == "adam" else torch._fused_adamw_
    update(
        step.parameters,
        step.gradients,
        [mean for mean, _, _ in step.states],
        [square for _, square, _ in step.states],
        [],
        counts,
        amsgrad=False,
        beta1=step.settings.betas[0],
        beta2=step.settings.betas[1],
        lr=step.learning_rate,
        weight_decay=step.weight_decay,
        eps=EPSILON,
        maximize=False,
    )


def _momentum(parameters: Sequence[Tensor], settings: TrainingSettings) -> list[State]:
    return [(torch.zeros_like(item),) if settings.momentum else () for item in parameters]


def _sgd(step: Step) -> None:
    torch._fused_sgd_(
        step.parameters,
        step.gradients,
        [buffer for state in step.states for buffer in state],
        weight_decay=step.weight_decay,
        momentum=step.settings.momentum,
        lr=step.learning_rate,
        dampening=0.0,
        nesterov=step.settings.momentum > 0,
        maximize=False,
        is_first_step=False,
    )


def _squares(parameters: Sequence[Tensor], settings: TrainingSettings) -> list[State]:
    # torch counts the steps, although nothing depends on them.
    return [
        (torch.zeros((), dtype=torch.float32, device=item.device), torch.zeros_like(item), *buffers)
        for item, buffers in zip(parameters, _momentum(parameters, settings), strict=True)
    ]


def _rmsprop(step: Step) -> None:
    rmsprop(
        step.parameters,
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


def _orthogonal(parameters: Sequence[Tensor], settings: TrainingSettings) -> list[State]:
    vectors = [item for item in parameters if item.dim() <= 1]
    moments = iter(_moments(vectors, settings) if vectors else [])
    return [(torch.zeros_like(item),) if item.dim() > 1 else next(moments) for item in parameters]


def _muon(step: Step) -> None:
    matrices: list[tuple[Tensor, Tensor, State]] = []
    vectors: list[tuple[Tensor, Tensor, State]] = []
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
