"""Contract tests of second derivatives, for every way in which PyTorch computes them.

Shape suffixes: N samples, C classes, M = N C.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from losstune.losses.spec import BoundLoss
from losstune.losses.tools.cases import Outcomes, batch, gradient

STEP = 1e-5

FORWARD = "torch.func.jacfwd twice"

Risk = Callable[[Tensor], Tensor]
"""The sum of the losses of a batch, as a function of the logits."""


def _gradient_penalty(risk: Risk, logits_NC: Tensor) -> Tensor:
    """Return the Hessian column by column, as gradients of half the square of a gradient entry shifted to 1."""
    columns = []
    for column in range(logits_NC.numel()):
        moving_NC = logits_NC.clone().requires_grad_()
        (gradient_NC,) = torch.autograd.grad(risk(moving_NC), moving_NC, create_graph=True)
        entry = gradient_NC.flatten()[column]
        penalty = (entry - entry.detach() + 1).square() / 2
        # A gradient that depends on no logit has no graph: its derivative is 0.
        columns.append(
            torch.autograd.grad(penalty, moving_NC, allow_unused=True, materialize_grads=True)[0]
            if penalty.requires_grad
            else torch.zeros_like(logits_NC)
        )
    return torch.stack(columns)


WAYS: dict[str, Callable[[Risk, Tensor], Tensor]] = {
    "torch.autograd.functional.hessian": torch.autograd.functional.hessian,
    "torch.func.hessian": lambda risk, z_NC: torch.func.hessian(risk)(z_NC),
    "torch.func.jacrev twice": lambda risk, z_NC: torch.func.jacrev(torch.func.jacrev(risk))(z_NC),
    FORWARD: lambda risk, z_NC: torch.func.jacfwd(torch.func.jacfwd(risk))(z_NC),
    "a gradient penalty": _gradient_penalty,
}


def second_derivative(loss: BoundLoss, num_classes: int) -> Outcomes:
    """Second derivatives are correct or raise an error; by reverse mode only a loss not declared smooth may raise."""
    logits_NC, target_N = batch(num_classes, num_samples=4)
    size = logits_NC.numel()
    moves_MNC = STEP * torch.eye(size, dtype=torch.float64).view(size, *logits_NC.shape)
    wanted_MM = torch.stack(
        [
            (gradient(loss, logits_NC + move_NC, target_N) - gradient(loss, logits_NC - move_NC, target_N)) / (2 * STEP)
            for move_NC in moves_MNC
        ]
    ).view(size, size)
    allowed = 1e-5 * max(wanted_MM.abs().max().item(), 1e-2)

    def risk(z_NC: Tensor) -> Tensor:
        return loss(z_NC, target_N).sum()

    for way, hessian in WAYS.items():
        try:
            found_MM = hessian(risk, logits_NC).reshape(size, size)
        except (RuntimeError, NotImplementedError) as error:
            said = " ".join(str(error).split())[:100]
            may = not loss.spec.properties.smooth or way == FORWARD  # some of PyTorch's own functions lack it
            yield may, f"by {way} the second derivative fails: {said}"
        else:
            error_ = (found_MM - wanted_MM).abs().max().item()
            yield error_ < allowed, f"by {way} the second derivative has an error of {error_:.2g}"
