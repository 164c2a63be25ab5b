"""Every check that a loss has to pass, run on its spec: ``check(SPEC)`` for a loss of one's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from losstune.losses.spec import BoundLoss, LossSpec
from losstune.testing import measure

NUM_CLASSES = 4
PRECISIONS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
EXTREMES = (-200.0, -1e-4, 0.0, 200.0)


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: What was looked at.
        passed: Whether the loss is as it has to be, or as it claims to be.
        message: What was found.
    """

    check: str
    passed: bool
    message: str


def check(spec: LossSpec) -> list[Finding]:
    """Check a loss at its published hyperparameters: the contract, and every property that its spec declares.

    An exception of the loss is a finding too.
    """
    loss = spec.bind()
    findings = []
    for name, run in _CHECKS.items():
        try:
            findings += [Finding(name, *outcome) for outcome in run(loss)]
        except Exception as error:  # whatever a loss raises is what is wrong with it
            findings.append(
                Finding(name, False, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
            )
    return findings


Outcomes = Iterator[tuple[bool, str]]


def _shapes(loss: BoundLoss) -> Outcomes:
    for dtype in PRECISIONS:
        logits_NC, target_N = _batch(dtype)
        losses_N = loss(logits_NC, target_N)
        wanted = torch.float64 if dtype == torch.float64 else torch.float32
        good = losses_N.shape == target_N.shape and losses_N.dtype == wanted
        yield good, f"{dtype} logits {tuple(logits_NC.shape)} give {losses_N.dtype} {tuple(losses_N.shape)}"


def _gradient(loss: BoundLoss) -> Outcomes:
    logits_NC, target_N = _batch()
    numeric_NC = torch.empty_like(logits_NC)
    step = 1e-5
    for k in range(NUM_CLASSES):
        moved_NC = torch.zeros_like(logits_NC)
        moved_NC[:, k] = step
        numeric_NC[:, k] = (loss(logits_NC + moved_NC, target_N) - loss(logits_NC - moved_NC, target_N)) / (
            2 * step
        )
    # Finite differences of the values, which no detached factor and no custom backward can deceive.
    error = (_grad(loss, logits_NC, target_N) - numeric_NC).abs().max().item()
    scale = max(numeric_NC.abs().max().item(), 1e-3)
    yield error < 1e-5 * scale + 1e-7, f"the gradient is off by {error:.2g} from the values' differences"


def _second_gradient(loss: BoundLoss) -> Outcomes:
    if not loss.spec.properties.smooth:
        return
    logits_NC, target_N = _batch(num_samples=6)
    good = torch.autograd.gradgradcheck(
        lambda z: loss(z, target_N), logits_NC.requires_grad_(), atol=1e-5, rtol=1e-3, raise_exception=False
    )
    yield (
        bool(good),
        "the second derivative is that of the gradient" if good else "the second derivative is wrong",
    )


def _independence(loss: BoundLoss) -> Outcomes:
    logits_NC, target_N = _batch()
    alone_N = torch.cat([loss(logits_NC[i : i + 1], target_N[i : i + 1]) for i in range(len(target_N))])
    change = (loss(logits_NC, target_N) - alone_N).abs().max().item()
    yield change < 1e-9, f"a sample's loss differs by {change:.2g} in a batch and alone"


def _permutation(loss: BoundLoss) -> Outcomes:
    logits_NC, target_N = _batch()
    order_C = torch.tensor([3, 0, 2, 1])
    moved_N = loss(logits_NC[:, order_C], order_C.argsort()[target_N])
    change = (moved_N - loss(logits_NC, target_N)).abs().max().item()
    yield change < 1e-9, f"naming the classes in another order changes the loss by {change:.2g}"


def _extremes(loss: BoundLoss) -> Outcomes:
    grids = torch.meshgrid(*[torch.tensor(EXTREMES)] * NUM_CLASSES, indexing="ij")
    rows_NC = torch.stack([grid.flatten() for grid in grids], 1)
    for dtype in PRECISIONS:
        logits_NC = rows_NC.to(dtype)
        if dtype == torch.float16:
            # Gradients above 65504 have no float16: the largest rows are left to the other types.
            logits_NC = logits_NC[rows_NC.abs().amax(1) > 1] / 4
        for label in range(NUM_CLASSES):
            target_N = torch.full((len(logits_NC),), label)
            for what, values in (
                ("value", loss(logits_NC, target_N)),
                ("gradient", _grad(loss, logits_NC, target_N)),
                ("probability", loss.probabilities(logits_NC)),
            ):
                if not bool(values.isfinite().all()):
                    broken_N = ~values.isfinite().reshape(len(logits_NC), -1).all(1)
                    at = logits_NC[int(broken_N.nonzero()[0])].tolist()
                    yield False, f"{dtype}: the {what} at logits {at}, class {label}, is not finite"
                    return
    yield True, f"finite values, gradients and probabilities at logits of {EXTREMES}"


def _link(loss: BoundLoss) -> Outcomes:
    logits_NC, _ = _batch()
    shares_NC = loss.probabilities(logits_NC)
    error = (shares_NC.sum(1) - 1).abs().max().item()
    good = bool((shares_NC >= 0).all()) and error < 1e-6
    yield (
        good,
        f"the link's rows sum to 1 within {error:.2g}, the least share is {shares_NC.min().item():.2g}",
    )


def _precision(loss: BoundLoss) -> Outcomes:
    logits_NC, target_N = _batch(torch.bfloat16)
    exact_N = loss(logits_NC.double(), target_N)
    error = ((loss(logits_NC, target_N) - exact_N).abs() / (1 + exact_N.abs())).max().item()
    yield error < 1e-4, f"bfloat16 logits cost {error:.2g} (relative) in the loss"


def _soft_targets(loss: BoundLoss) -> Outcomes:
    logits_NC, target_N = _batch()
    one_hot_NC = torch.nn.functional.one_hot(target_N, NUM_CLASSES).double()
    try:
        soft_N = loss(logits_NC, one_hot_NC)
    except ValueError as error:
        yield not loss.spec.soft_targets, f"a distribution as target is refused: {error}"
        return
    if not loss.spec.soft_targets:
        yield False, "the spec says no soft targets, and a distribution as target is not refused"
        return
    change = (soft_N - loss(logits_NC, target_N)).abs().max().item()
    yield change < 1e-9, f"one class and its one-hot distribution differ by {change:.2g}"


def _devices(loss: BoundLoss) -> Outcomes:
    # Tensors without contents: whatever needs a value on the host fails.
    logits_NC = torch.empty(8, NUM_CLASSES, device="meta", requires_grad=True)
    losses_N = loss(logits_NC, torch.empty(8, dtype=torch.int64, device="meta"))
    losses_N.mean().backward()  # type: ignore[no-untyped-call]
    yield True, "never waits for a device"


def _vmap(loss: BoundLoss) -> Outcomes:
    logits_NC, target_N = _batch()
    logits_SNC, target_SN = torch.stack([logits_NC, 2 * logits_NC]), torch.stack([target_N, target_N.flip(0)])
    gradients_SNC = torch.func.vmap(torch.func.grad(lambda z, y: loss(z, y).sum()))(logits_SNC, target_SN)
    error = (gradients_SNC[1] - _grad(loss, logits_SNC[1], target_SN[1])).abs().max().item()
    yield error < 1e-6, f"under torch.func.vmap the gradient differs by {error:.2g}"


def _minimum(loss: BoundLoss) -> Outcomes:
    declared = loss.spec.properties.minimum
    wanted = declared(NUM_CLASSES, **loss.hyperparameters) if declared else 0.0
    found = measure.infimum(loss, NUM_CLASSES)
    good = (
        wanted - 1e-6 <= found <= wanted + max(1e-4, 0.05 * (loss.spec.properties.bound_at(NUM_CLASSES) or 0))
    )
    yield good, f"declared {wanted:.6g}, found {found:.6g}"


def _bound(loss: BoundLoss) -> Outcomes:
    declared, found = loss.spec.properties.bound_at(NUM_CLASSES), measure.largest(loss, NUM_CLASSES)
    if declared is None:
        yield found > 100, f"declared unbounded, and at logits up to 10,000 it reaches {found:.4g}"
    else:
        yield 0.95 * declared <= found <= declared + 1e-6, f"declared {declared:.6g}, found up to {found:.6g}"


def _declared(measured: measure.Measured, declared: bool, name: str) -> Outcomes:
    evidence = "" if measured.holds and declared else f": {measured.evidence}"
    yield measured.holds == declared, f"declared {name if declared else f'not {name}'}{evidence}"


def _properness(loss: BoundLoss) -> Outcomes:
    found = measure.properness(loss, loss.probabilities, NUM_CLASSES)
    yield from _declared(found, loss.spec.properties.proper != "no", "to give the posterior back")


_CHECKS: dict[str, Callable[[BoundLoss], Outcomes]] = {
    "shapes and types": _shapes,
    "gradient": _gradient,
    "second gradient": _second_gradient,
    "samples apart": _independence,
    "order of classes": _permutation,
    "extreme logits": _extremes,
    "link": _link,
    "half precision": _precision,
    "soft targets": _soft_targets,
    "devices": _devices,
    "vmap": _vmap,
    "minimum": _minimum,
    "bound": _bound,
    "convexity": lambda loss: _declared(
        measure.convexity(loss, NUM_CLASSES), loss.spec.properties.convex, "convex"
    ),
    "symmetry": lambda loss: _declared(
        measure.symmetry(loss, NUM_CLASSES), loss.spec.properties.symmetric, "symmetric"
    ),
    "shift": lambda loss: _declared(
        measure.shift_invariance(loss, NUM_CLASSES), loss.spec.properties.shift_invariant, "shift-invariant"
    ),
    "properness": _properness,
}


def _batch(dtype: torch.dtype = torch.float64, num_samples: int = 24) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    logits_NC = 1.5 * torch.randn(num_samples, NUM_CLASSES, generator=generator, dtype=torch.float64)
    return logits_NC.to(dtype), torch.arange(num_samples) % NUM_CLASSES


def _grad(loss: BoundLoss, logits_NC: Tensor, target_N: Tensor) -> Tensor:
    logits_NC = logits_NC.detach().clone().requires_grad_()
    (gradient_NC,) = torch.autograd.grad(loss(logits_NC, target_N).sum(), logits_NC)
    assert math.prod(gradient_NC.shape) == logits_NC.numel()
    return gradient_NC
