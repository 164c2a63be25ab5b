"""Contract tests of the properties that a spec declares, at the published hyperparameters.

A declared property has to hold for every number of classes; a denied one has to fail for at least one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from losstune.core.errors import in_one_line
from losstune.losses.spec import BoundLoss
from losstune.losses.tools import measure
from losstune.losses.tools.cases import Outcomes, batch, with_class_counts
from losstune.losses.tools.measure import Measured

CLASS_COUNTS = (2, 4, 9)


def minimum(loss: BoundLoss) -> Outcomes:
    """The infimum equals the declared one."""
    declared = loss.spec.properties.minimum
    for num_classes in CLASS_COUNTS:
        wanted = declared(num_classes, **loss.hyperparameters) if declared else 0.0
        found = measure.infimum(with_class_counts(loss, num_classes), num_classes)
        good = wanted - 1e-6 <= found <= wanted + 1e-4
        yield good, f"declared {wanted:.6g}, found {found:.6g} with {num_classes} classes"


def bound(loss: BoundLoss) -> Outcomes:
    """The supremum equals the declared one, or the loss is unbounded, as declared."""
    for num_classes in CLASS_COUNTS:
        declared, there = loss.spec.properties.bound_at(num_classes), with_class_counts(loss, num_classes)
        if declared is None:
            found = measure.growth(there, num_classes)
            yield found.holds, f"declared unbounded: {found.evidence}"
        else:
            largest = measure.largest(there, num_classes)
            good = 0.99 * declared <= largest <= declared + 1e-6
            yield good, f"declared {declared:.6g}, found up to {largest:.6g} with {num_classes} classes"


def smoothness(loss: BoundLoss) -> Outcomes:
    """The gradient is differentiable everywhere, also by autograd, or not, as declared."""
    found = _all(lambda num_classes: measure.smoothness(with_class_counts(loss, num_classes), num_classes))
    if found.holds and not _twice(loss):
        found = Measured(False, "the gradient cannot be differentiated")
    yield from _held(found, loss.spec.properties.smooth, "smooth")


def convexity(loss: BoundLoss) -> Outcomes:
    """The loss is convex in the logits, or not, as declared."""
    found = _all(lambda num_classes: measure.convexity(with_class_counts(loss, num_classes), num_classes))
    yield from _held(found, loss.spec.properties.convex, "convex")


def symmetry(loss: BoundLoss) -> Outcomes:
    """The sum over all classes as targets is constant, or not, as declared."""
    found = _all(lambda num_classes: measure.symmetry(with_class_counts(loss, num_classes), num_classes))
    yield from _held(found, loss.spec.properties.symmetric, "symmetric")


def shift(loss: BoundLoss) -> Outcomes:
    """The loss is invariant to a shift of all logits, or not, as declared."""
    found = _all(lambda num_classes: measure.shift_invariance(with_class_counts(loss, num_classes), num_classes))
    yield from _held(found, loss.spec.properties.shift_invariant, "shift-invariant")


def properness(loss: BoundLoss) -> Outcomes:
    """The link maps the minimiser of the risk to the posterior, or not, as declared.

    Values cannot distinguish a loss that is proper by design from one with a link that inverts it, so "strictly" and
    "recoverable" have the same test.
    """

    def measured(num_classes: int) -> Measured:
        there = with_class_counts(loss, num_classes)
        return measure.properness(there, there.probabilities, num_classes)

    yield from _held(_all(measured), loss.spec.properties.proper != "no", "to recover the posterior")


def measured(loss: BoundLoss) -> Iterator[tuple[str, str]]:
    """Yield the name of each property and what was measured, for a loss that declares none.

    A property that cannot be measured, because the loss raises or is not finite far out, is said to be unknown.
    """
    kinds: dict[str, Callable[[int], Measured]] = {
        "convexity": lambda num: measure.convexity(loss, num),
        "symmetry": lambda num: measure.symmetry(loss, num),
        "shift": lambda num: measure.shift_invariance(loss, num),
        "properness": lambda num: measure.properness(loss, loss.probabilities, num),
    }
    for name, kind in kinds.items():
        try:
            found = _all(kind)
        except Exception as error:
            yield name, f"unknown: {type(error).__name__}: {in_one_line(error)}"
        else:
            yield name, f"{'yes' if found.holds else 'no'}: {found.evidence}"


def _all(measured: Callable[[int], Measured]) -> Measured:
    """Return the first failure over the numbers of classes, or else the last result."""
    for num_classes in CLASS_COUNTS:
        found = measured(num_classes)
        if not found.holds:
            return Measured(False, f"{found.evidence}, with {num_classes} classes")
    return found


def _held(found: Measured, declared: bool, name: str) -> Outcomes:
    evidence = "" if found.holds and declared else f": {found.evidence}"
    yield found.holds == declared, f"declared {name if declared else f'not {name}'}{evidence}"


def _twice(loss: BoundLoss) -> bool:
    logits_NC, target_N = batch(4, num_samples=4)
    logits_NC.requires_grad_()
    try:
        (gradient_NC,) = torch.autograd.grad(
            with_class_counts(loss, 4)(logits_NC, target_N).sum(), logits_NC, create_graph=True
        )
        torch.autograd.grad(gradient_NC.square().sum(), logits_NC)
    except RuntimeError:  # no graph, or a backward pass that can be differentiated only once
        return False
    return True


CLAIMS: dict[str, Callable[[BoundLoss], Outcomes]] = {
    "minimum": minimum,
    "bound": bound,
    "smoothness": smoothness,
    "convexity": convexity,
    "symmetry": symmetry,
    "shift": shift,
    "properness": properness,
}
