"""No loss waits for the device or brings numbers to it, so that a CUDA graph can hold a step; tried without values."""

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from losstune.losses.registry import get, names

READS = ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal", "unique")
"""Operations of torch whose result, or its shape, the host needs."""


class Watch(TorchDispatchMode):
    """Raises where the host reads values."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if any(name.startswith(read) for read in READS):
            raise AssertionError(f"{name} reads values")
        if name == "index" and any(index is not None and index.dtype == torch.bool for index in args[1]):
            raise AssertionError("the shape of a mask's result depends on its values")
        return func(*args, **(kwargs or {}))


class FromHost(TorchFunctionMode):
    """Raises where numbers of the host become a tensor of the device."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in ("tensor", "as_tensor", "new_tensor", "from_numpy"):
            raise AssertionError(f"{func.__name__} brings numbers to the device")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", names())
def test_a_step_needs_nothing_of_the_host(name, dtype):
    logits = (3 * torch.randn(8, 5, generator=torch.Generator().manual_seed(0))).to(dtype).requires_grad_()
    target = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2])
    loss = get(name).bind({}).with_counts(torch.tensor([3.0, 2.0, 2.0, 1.0, 1.0]))
    with FromHost(), Watch():
        loss(logits, target).mean().backward()
        loss.probabilities(logits.detach())
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("name", names())
def test_a_step_with_class_weights_needs_nothing_of_the_host(name):
    logits = torch.randn(8, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2])
    loss = get(name).bind({}).with_counts(torch.tensor([3.0, 2.0, 2.0, 1.0, 1.0]))
    module = loss.as_module("none", weight=torch.tensor([1.0, 2.0, 1.0, 0.5, 1.0]))
    with FromHost(), Watch():
        module(logits, target).mean().backward()
    assert logits.grad.isfinite().all()


def test_the_watch_sees_what_it_is_for():
    values = torch.arange(3.0)
    for read in (lambda: values.sum().item(), lambda: values[values > 1], lambda: bool(values.any())):
        with pytest.raises(AssertionError), Watch():
            read()
    with pytest.raises(AssertionError), FromHost():
        torch.tensor([1.0])
    with FromHost(), Watch():
        torch.zeros(3)
