"""Contract tests of a loss's arguments: equivalent types are accepted, invalid ones rejected.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import torch

from losstune.losses.spec import BoundLoss
from losstune.losses.tools.cases import Outcomes, batch, frequencies

INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32)


def target_types(loss: BoundLoss, num_classes: int) -> Outcomes:
    """Class indices of any integer type are accepted, for any batch size; a Boolean target is rejected."""
    weight_C = torch.linspace(0.5, 2.0, num_classes, dtype=torch.float64)
    # Include as many samples as classes: there, a mask has the same shape as an index.
    for num_samples in (num_classes, 24):
        logits_NC, target_N = batch(num_classes, num_samples=num_samples)
        for name, function in (
            ("the loss", loss),
            ("its module", loss.as_module("sum", class_counts=loss.counts)),
            ("its module with class weights", loss.as_module(weight=weight_C, class_counts=loss.counts)),
        ):
            wanted = function(logits_NC, target_N)
            for dtype in INTEGERS:
                good = torch.equal(function(logits_NC, target_N.to(dtype)), wanted)
                yield good, f"{name} is the same for targets of {dtype}, {num_samples} samples"
            try:
                function(logits_NC, target_N == 0)
            except ValueError as error:
                yield True, f"a Boolean target is rejected: {error}"
            else:
                yield False, f"{name} accepts a Boolean target as class indices"


def class_counts(loss: BoundLoss, num_classes: int) -> Outcomes:
    """Class frequencies are accepted in place of counts, or rejected, as declared; a wrong number is rejected."""
    if not loss.spec.needs_counts:
        return
    logits_NC, target_N = batch(num_classes)
    counts_C = frequencies(num_classes)
    losses_N = loss.with_counts(counts_C)(logits_NC, target_N)
    change = (loss.with_counts(2 * counts_C)(logits_NC, target_N) - losses_N).abs().max().item()
    good = (change > 1e-9) == loss.spec.absolute_counts
    declared = "absolute_counts" if loss.spec.absolute_counts else "no absolute_counts"
    yield good, f"declared {declared}: twice the counts change the loss by {change:.2g}"
    try:
        of_shares_N = loss.with_counts(counts_C / counts_C.sum())(logits_NC, target_N)
    except ValueError as error:
        yield loss.spec.absolute_counts, f"class frequencies in place of counts are rejected: {error}"
    else:
        change = (of_shares_N - losses_N).abs().max().item()
        yield change < 1e-9, f"class frequencies in place of counts change the loss by {change:.2g}"
    try:
        loss.with_counts(frequencies(num_classes + 1))(logits_NC, target_N)
    except ValueError as error:
        yield True, f"counts of another number of classes are rejected: {error}"
    else:
        yield False, f"counts of {num_classes + 1} classes are accepted for logits of {num_classes}"


def hyperparameters(loss: BoundLoss, num_classes: int) -> Outcomes:
    """Binding the loss rejects values that are not numbers in a hyperparameter's domain."""
    for item in loss.spec.hyperparameters:
        for value in (str(item.default), True, None, float("nan"), float("inf"), [item.default]):
            try:
                loss.spec.bind({item.name: value})  # type: ignore[dict-item]
            except ValueError as error:
                yield item.name in str(error), f"rejected: {error}"
            else:
                yield False, f"{item.name} accepts {value!r}, expected {item.domain}"
