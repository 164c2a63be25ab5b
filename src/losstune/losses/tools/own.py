"""Try a loss of the user's own on a few samples, before anything trains.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from losstune.core.errors import LosstuneError, in_one_line
from losstune.losses.ranges import Choice
from losstune.losses.spec import BoundLoss, LossSpec

if TYPE_CHECKING:
    from losstune.losses.tools.identity import Relation

NUM_SAMPLES = 6
SPREAD = 2.0


def require_usable(spec: LossSpec, num_classes: int, key: str = "losses") -> None:
    """Call a loss at its defaults and at the ends of its ranges, forward and backward.

    Raises:
        LosstuneError: If it raises, or does not return one finite differentiable value per sample; if the values depend
            on the other samples, on earlier calls or not on the target; or if it changes its input.
    """
    found = f"{key}: {spec.origin or spec.name}"
    for loss in _settings(spec):
        at = "".join(f" at {name}={value:g}" for name, value in loss.hyperparameters.items())
        try:
            _try(loss, num_classes)
        except _Breach as breach:
            raise LosstuneError(f"{found}: {breach}{at}") from None
        except Exception as error:
            raise LosstuneError(f"{found} raises{at}: {type(error).__name__}: {in_one_line(error)}") from None


def same_as(spec: LossSpec, others: Iterable[LossSpec]) -> list[tuple[str, Relation]]:
    """Return the losses that this one is identical to at their default hyperparameters, with the transformation."""
    from losstune.losses.tools.identity import relation  # imports scipy, which a stage does not need

    ours = spec.bind()
    found = ((other.name, relation(ours, other.bind())) for other in others if _is_comparable(other))
    return [(name, how) for name, how in found if how is not None]


class _Breach(Exception):  # noqa: N818  (it is no error of this program)
    pass


def _settings(spec: LossSpec) -> Iterator[BoundLoss]:
    yield spec.bind()
    for item in spec.hyperparameters:
        span = item.range
        for value in span.values if isinstance(span, Choice) else (span.low, span.high):
            yield spec.bind({item.name: value})


def _try(loss: BoundLoss, num_classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits_NC = SPREAD * torch.randn(NUM_SAMPLES, num_classes, generator=generator)
    target_N = torch.arange(NUM_SAMPLES) % num_classes
    values_N = _values(loss, logits_NC, target_N)
    if not torch.allclose(_values(loss, logits_NC, target_N), values_N):
        raise _Breach("gives other values when it is called again; expected a function of logits and target alone")
    rows = [slice(i, i + 1) for i in range(NUM_SAMPLES)]
    alone_N = torch.cat([_values(loss, logits_NC[row], target_N[row], may_be_flat=True) for row in rows])
    if not torch.allclose(alone_N, values_N, rtol=1e-4, atol=1e-5):
        raise _Breach("a sample's value depends on the other samples of the batch; expected one value for each alone")
    if torch.allclose(_values(loss, logits_NC, target_N.roll(1)), values_N):
        raise _Breach("the values do not depend on the target")
    shares_NC = loss.probabilities(logits_NC)
    if not isinstance(shares_NC, Tensor) or shares_NC.shape != logits_NC.shape:
        raise _Breach(f"its link returned {_described(shares_NC)}, expected probabilities of shape (N, C)")
    if not bool((shares_NC >= 0).all()) or not torch.allclose(shares_NC.sum(1), torch.ones(NUM_SAMPLES), atol=1e-4):
        raise _Breach("its link returned values below 0 or rows that do not sum to 1, expected probabilities")


def _values(loss: BoundLoss, logits_NC: Tensor, target_N: Tensor, *, may_be_flat: bool = False) -> Tensor:
    given_NC, given_N = logits_NC.clone().requires_grad_(), target_N.clone()
    before_NC = given_NC.detach().clone()
    values_N = loss(given_NC, given_N)
    if not isinstance(values_N, Tensor) or values_N.shape != target_N.shape:
        hint = "; don't take the mean" if isinstance(values_N, Tensor) and values_N.ndim == 0 else ""
        raise _Breach(f"returned {_described(values_N)} for {len(target_N)} samples, expected one value for each{hint}")
    if not torch.equal(given_NC.detach(), before_NC) or not torch.equal(given_N, target_N):
        raise _Breach("changes its input in place; use a copy")
    if not values_N.requires_grad:
        raise _Breach("its values have no gradient; expected torch operations on the logits, without detach()")
    (gradient_NC,) = torch.autograd.grad(values_N.sum(), given_NC)
    for what, tensor in (("values", values_N), ("gradients", gradient_NC)):
        if not bool(tensor.isfinite().all()):
            raise _Breach(f"{what} are NaN or infinite for ordinary logits; expected finite ones")
    if not may_be_flat and not bool(gradient_NC.any()):
        raise _Breach("its gradient is 0 for ordinary logits")
    return values_N.detach().float()


def _described(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return "nothing" if value is None else f"a {type(value).__name__}"


def _is_comparable(spec: LossSpec) -> bool:
    return spec.head == "linear" and spec.initial_bias is None and not spec.needs_counts
