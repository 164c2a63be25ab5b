"""Contract tests that every loss has to pass, at any hyperparameters and number of classes.

Shape suffixes: N samples, S studies side by side, C classes.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from losstune.losses.registry import get
from losstune.losses.spec import BoundLoss
from losstune.losses.tools.arguments import class_counts, hyperparameters, target_types
from losstune.losses.tools.cases import Check, Outcomes, batch, distributions, frequencies, gradient, with_class_counts
from losstune.losses.tools.derivatives import second_derivative
from losstune.losses.tools.masked import masked

PRECISIONS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
EXTREMES = (-200.0, -1e-4, 0.0, 200.0)
MAX_EXTREME_CLASSES = 4


def shapes(loss: BoundLoss, num_classes: int) -> Outcomes:
    """The loss returns one value per sample, in at least float32, and does not modify its inputs."""
    for dtype in PRECISIONS:
        logits_NC, target_N = batch(num_classes, dtype=dtype)
        before_NC, before_N = logits_NC.clone(), target_N.clone()
        losses_N = loss(logits_NC, target_N)
        wanted = torch.float64 if dtype == torch.float64 else torch.float32
        good = losses_N.shape == target_N.shape and losses_N.dtype == wanted
        yield good, f"{dtype} logits {tuple(logits_NC.shape)} give {losses_N.dtype} {tuple(losses_N.shape)}"
        loss.probabilities(logits_NC)
        yield (
            torch.equal(logits_NC, before_NC) and torch.equal(target_N, before_N),
            "logits and targets are not modified",
        )


def first_derivative(loss: BoundLoss, num_classes: int) -> Outcomes:
    """The gradient agrees with finite differences of the values in float64."""
    logits_NC, target_N = batch(num_classes)
    numeric_NC = torch.empty_like(logits_NC)
    step = 1e-5
    for k in range(num_classes):
        moved_NC = torch.zeros_like(logits_NC)
        moved_NC[:, k] = step
        numeric_NC[:, k] = (loss(logits_NC + moved_NC, target_N) - loss(logits_NC - moved_NC, target_N)) / (2 * step)
    # Finite differences detect errors of detached factors and of custom backward passes.
    error = (gradient(loss, logits_NC, target_N) - numeric_NC).abs().max().item()
    scale = max(numeric_NC.abs().max().item(), 1e-3)
    yield error < 1e-5 * scale + 1e-7, f"the gradient differs by {error:.2g} from finite differences"
    if loss.spec.soft_targets:
        soft_NC = distributions(num_classes, 6)
        good = torch.autograd.gradcheck(
            lambda z: loss(z, soft_NC), logits_NC[:6].requires_grad_(), atol=1e-5, rtol=1e-3, raise_exception=False
        )
        yield (
            bool(good),
            "the gradient with soft targets agrees with finite differences"
            if good
            else ("the gradient with soft targets disagrees with finite differences"),
        )


def independence(loss: BoundLoss, num_classes: int) -> Outcomes:
    """A sample's loss does not depend on the other samples of the batch."""
    logits_NC, target_N = batch(num_classes)
    alone_N = torch.cat([loss(logits_NC[i : i + 1], target_N[i : i + 1]) for i in range(len(target_N))])
    change = (loss(logits_NC, target_N) - alone_N).abs().max().item()
    yield change < 1e-9, f"a sample's loss differs by {change:.2g} between a batch and the sample alone"


def permutation(loss: BoundLoss, num_classes: int) -> Outcomes:
    """The loss is invariant to a permutation of the classes."""
    logits_NC, target_N = batch(num_classes)
    order_C = torch.randperm(num_classes, generator=torch.Generator().manual_seed(1)).roll(1)
    renamed = loss.with_counts(frequencies(num_classes)[order_C])
    moved_NC, moved_N = logits_NC[:, order_C], order_C.argsort()[target_N]
    change = (renamed(moved_NC, moved_N) - loss(logits_NC, target_N)).abs().max().item()
    yield change < 1e-9, f"a permutation of the classes changes the loss by {change:.2g}"
    change = (renamed.probabilities(moved_NC) - loss.probabilities(logits_NC)[:, order_C]).abs().max().item()
    yield change < 1e-9, f"a permutation of the classes changes the probabilities by {change:.2g}"


def extremes(loss: BoundLoss, num_classes: int) -> Outcomes:
    """Values, gradients and probabilities are finite at logits up to +-200 and at ties, in every precision."""
    num_classes = min(num_classes, MAX_EXTREME_CLASSES)
    loss = with_class_counts(loss, num_classes)
    rows_NC = torch.tensor(list(itertools.product(EXTREMES, repeat=num_classes)), dtype=torch.float64)
    for dtype in PRECISIONS:
        for label in range(num_classes):
            yield from finite(loss, rows_NC.to(dtype), torch.full((len(rows_NC),), label))
        if loss.spec.soft_targets:
            for shares in ((1.0, 0.0), (0.5, 0.5), (0.3, 0.7)):
                soft_C = torch.zeros(num_classes)
                soft_C[:2] = torch.tensor(shares)
                yield from finite(loss, rows_NC.to(dtype), soft_C.expand(len(rows_NC), num_classes))
    yield True, f"finite values, gradients and probabilities at logits of {EXTREMES}"


def finite(loss: BoundLoss, logits_NC: Tensor, target: Tensor) -> Outcomes:
    """Yield a failure if values are not finite, or probabilities no distribution, at these logits; else nothing.

    A gradient may be infinite if its true value, computed in float64, exceeds the range of the logits' type.
    """
    gradient_NC = gradient(loss, logits_NC, target)
    good_NC = gradient_NC.isfinite()
    if not bool(good_NC.all()):
        exact_NC = gradient(loss, logits_NC.double(), target)
        good_NC |= ~(exact_NC.abs() < 0.99 * torch.finfo(logits_NC.dtype).max) & exact_NC.isfinite()
    shares_NC = loss.probabilities(logits_NC)
    sums_N = shares_NC.double().sum(1)
    for what, good in (
        ("value is not finite", loss(logits_NC, target).isfinite()),
        ("gradient is not finite", good_NC.all(1)),
        ("probabilities are not finite and at least 0", (shares_NC.isfinite() & (shares_NC >= 0)).all(1)),
        ("probabilities do not sum to 1", (sums_N - 1).abs() < 1e-4),
    ):
        if not bool(good.all()):
            at = int((~good).nonzero()[0])
            row = ", ".join(f"{value:g}" for value in logits_NC[at].tolist())
            yield False, f"{logits_NC.dtype}: the {what} at logits ({row}), target {target[at].tolist()}"
            return


def precision(loss: BoundLoss, num_classes: int) -> Outcomes:
    """The error in half and single precision is small beyond the rounding of the logits."""
    for dtype, tolerance in ((torch.bfloat16, 1e-4), (torch.float16, 1e-4), (torch.float32, 1e-4)):
        logits_NC, target_N = batch(num_classes, dtype=dtype)
        exact_N = loss(logits_NC.double(), target_N)
        error = ((loss(logits_NC, target_N) - exact_N).abs() / (1 + exact_N.abs())).max().item()
        yield error < tolerance, f"{dtype} logits give an error of {error:.2g} (relative) in the loss"
        exact_NC = gradient(loss, logits_NC.double(), target_N)
        size = exact_NC.abs().max().item()
        error = (gradient(loss, logits_NC, target_N) - exact_NC).abs().max().item() / size
        # The gradient is rounded to the type of the logits.
        allowed = max(1e-3, 2 * torch.finfo(dtype).eps)
        yield error < allowed, f"{dtype} logits give an error of {error:.2g} of the largest gradient"


def autocast(loss: BoundLoss, num_classes: int) -> Outcomes:
    """Under autocast, the loss of a half-precision layer is computed in float32, and the layer gets its gradient."""
    for dtype in (torch.bfloat16, torch.float16):
        generator = torch.Generator().manual_seed(0)
        weight_CF = torch.randn(num_classes, 8, generator=generator).requires_grad_()
        features_NF = torch.randn(16, 8, generator=generator)
        target_N = torch.arange(16) % num_classes
        with torch.autocast("cpu", dtype=dtype):
            logits_NC = torch.nn.functional.linear(features_NF, weight_CF)
            losses_N = loss(logits_NC, target_N)
        good = losses_N.dtype == torch.float32
        yield good, f"under autocast to {dtype} the loss has type {losses_N.dtype}"
        exact_N = loss(logits_NC.float(), target_N)
        error = ((losses_N - exact_N).abs() / (1 + exact_N.abs())).max().item()
        yield error < 1e-4, f"under autocast to {dtype} the loss has an error of {error:.2g} (relative)"
        (gradient_CF,) = torch.autograd.grad(losses_N.mean(), weight_CF)
        yield bool(gradient_CF.isfinite().all()), f"the weights' gradient under autocast to {dtype} is finite"


def soft_targets(loss: BoundLoss, num_classes: int) -> Outcomes:
    """A one-hot target equals the class index; another distribution is accepted or rejected, as declared."""
    logits_NC, target_N = batch(num_classes)
    one_hot_NC, shares_NC = torch.nn.functional.one_hot(target_N, num_classes).double(), distributions(num_classes)
    if not loss.spec.soft_targets:
        counts = {} if loss.counts is None else {"counts_C": loss.counts}
        try:
            loss.spec.function(logits_NC, shares_NC, **loss.hyperparameters, **counts)
        except ValueError as error:
            yield True, f"a distribution as target is rejected: {error}"
        else:
            yield False, "the spec declares no soft targets, but a distribution as target is accepted"
        return
    losses_N = loss(logits_NC, target_N)
    change = (loss(logits_NC, one_hot_NC) - losses_N).abs().max().item()
    yield change < 1e-9, f"a class index and its one-hot distribution differ by {change:.2g}"
    soft_N = loss(logits_NC, shares_NC)
    single_N = loss(logits_NC.float(), shares_NC)
    exact_N = loss(logits_NC.float().double(), shares_NC)
    change = ((single_N - exact_N).abs() / (1 + exact_N.abs())).max().item()
    good = single_N.dtype == torch.float32 and change < 1e-4
    yield (good, f"float32 logits with a float64 distribution give {single_N.dtype}, with an error of {change:.2g}")
    of_class_CN = [loss(logits_NC, torch.full_like(target_N, k)) for k in range(num_classes)]
    change = ((shares_NC * torch.stack(of_class_CN, 1)).sum(1) - soft_N).abs().max().item()
    good = change < 1e-9 or not loss.spec.linear_in_target
    yield good, f"declared linear_in_target: the loss of a distribution differs from the expected loss by {change:.2g}"


def devices(loss: BoundLoss, num_classes: int) -> Outcomes:
    """The loss needs no values on the host: it works with meta tensors."""
    logits_NC = torch.empty(8, num_classes, device="meta", requires_grad=True)
    if loss.counts is not None:
        loss = loss.with_counts(loss.counts.to("meta"))
    losses_N = loss(logits_NC, torch.empty(8, dtype=torch.int64, device="meta"))
    losses_N.mean().backward()  # type: ignore[no-untyped-call]
    loss.probabilities(logits_NC)
    if loss.spec.soft_targets:
        loss(logits_NC, torch.empty(8, num_classes, device="meta")).mean().backward()  # type: ignore[no-untyped-call]
    yield True, "never synchronises with a device"


def vmap(loss: BoundLoss, num_classes: int) -> Outcomes:
    """Under ``torch.func.vmap``, several batches give the same results as one at a time."""
    logits_NC, target_N = batch(num_classes)
    logits_SNC, target_SN = torch.stack([logits_NC, 2 * logits_NC]), torch.stack([target_N, target_N.flip(0)])
    both = torch.func.grad_and_value(lambda z, y: loss(z, y).sum())
    gradients_SNC, values_S = torch.func.vmap(both)(logits_SNC, target_SN)
    alone_NC = gradient(loss, logits_SNC[1], target_SN[1])
    size = 1 + alone_NC.abs().max().item()
    error = (gradients_SNC[1] - alone_NC).abs().max().item() / size
    yield error < 1e-6, f"under torch.func.vmap the gradient differs by {error:.2g}"
    error = (values_S[1] - loss(logits_SNC[1], target_SN[1]).sum()).abs().item() / (1 + values_S[1].abs().item())
    yield error < 1e-6, f"under torch.func.vmap the value differs by {error:.2g}"
    shares_SNC = torch.func.vmap(loss.probabilities)(logits_SNC)
    error = (shares_SNC[1] - loss.probabilities(logits_SNC[1])).abs().max().item()
    yield error < 1e-6, f"under torch.func.vmap the probabilities differ by {error:.2g}"


def compiled(loss: BoundLoss, num_classes: int) -> Outcomes:
    """``torch.compile(fullgraph=True)`` compiles the loss as one graph and does not change its results."""
    torch.compiler.reset()
    logits_NC, target_N = batch(num_classes, dtype=torch.float32)

    def function(z: Tensor, y: Tensor) -> Tensor:
        return loss(z, y)

    compiled_loss = torch.compile(function, backend="aot_eager", fullgraph=True)
    moving_NC = logits_NC.clone().requires_grad_()
    losses_N = compiled_loss(moving_NC, target_N)
    (gradient_NC,) = torch.autograd.grad(losses_N.sum(), moving_NC)
    exact_N, exact_NC = loss(logits_NC, target_N), gradient(loss, logits_NC, target_N)
    error = ((losses_N - exact_N).abs() / (1 + exact_N.abs())).max().item()
    yield error < 1e-4, f"compiled, the loss differs by {error:.2g} (relative)"
    error = (gradient_NC - exact_NC).abs().max().item() / (1 + exact_NC.abs().max().item())
    yield error < 1e-4, f"compiled, the gradient differs by {error:.2g} (relative)"


def oracle(loss: BoundLoss, num_classes: int) -> Outcomes:
    """The values agree with the declared oracle."""
    if loss.spec.oracle is None:
        return
    logits_NC, target_N = batch(num_classes, scale=2.0)
    counts = {} if loss.counts is None else {"counts_C": loss.counts}
    wanted_N = loss.spec.oracle(logits_NC, target_N, **loss.hyperparameters, **counts).double()
    error = ((loss(logits_NC, target_N) - wanted_N).abs() / (1 + wanted_N.abs())).max().item()
    yield error < 1e-7, f"the loss differs from its oracle by {error:.2g} (relative)"


def limits(loss: BoundLoss, num_classes: int) -> Outcomes:
    """At the hyperparameters of its declared limits, the loss equals the declared other losses."""
    logits_NC, target_N = batch(num_classes, scale=3.0)
    for limit in loss.spec.limits:
        there = with_class_counts(loss.spec.bind(limit.hyperparameters), num_classes)
        wanted_N = with_class_counts(get(limit.of).bind(), num_classes)(logits_NC, target_N)
        error = ((there(logits_NC, target_N) - wanted_N).abs() / (1 + wanted_N.abs())).max().item()
        at = ", ".join(f"{name} = {value:g}" for name, value in limit.hyperparameters.items())
        yield error <= limit.within, f"at {at} it differs from {limit.of} by {error:.2g} (relative)"


EVERYWHERE: dict[str, Check] = {
    "shapes and types": shapes,
    "gradient": first_derivative,
    "samples apart": independence,
    "order of classes": permutation,
    "extreme logits": extremes,
    "precision": precision,
    "autocast": autocast,
    "soft targets": soft_targets,
    "target types": target_types,
    "masked classes": masked,
    "devices": devices,
    "vmap": vmap,
    "oracle": oracle,
}
"""Checked at every setting of the hyperparameters and every number of classes."""

ONCE: dict[str, Check] = {
    "second gradient": second_derivative,
    "compile": compiled,
    "limits": limits,
    "class counts": class_counts,
    "hyperparameters": hyperparameters,
}
"""Checked at the published hyperparameters and one number of classes."""
