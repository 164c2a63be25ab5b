"""Every loss on a GPU, in every precision, without waiting for it; ``LOSSTUNE_TEST_DEVICE=cpu`` tries it here."""

import os
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from losstune.losses.registry import get, names

pytestmark = pytest.mark.gpu

DEVICE = os.environ.get("LOSSTUNE_TEST_DEVICE", "cuda")
TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 0.05, torch.float16: 0.01}


@contextmanager
def waiting_is_an_error():
    if DEVICE == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        if DEVICE == "cuda":
            torch.cuda.set_sync_debug_mode("default")


def step(name, device, dtype):
    torch.manual_seed(0)
    layer, inputs = nn.Linear(16, 7).to(device), torch.randn(64, 16).to(device)
    target = (torch.arange(64) % 7).to(device)
    loss = get(name).bind({}).with_counts(torch.arange(1.0, 8.0).to(device))
    with waiting_is_an_error():
        with torch.autocast(device, dtype=dtype, enabled=dtype != torch.float32, cache_enabled=False):
            mean = loss(layer(inputs), target).mean()
        mean.backward()
    return mean.item(), layer.weight.grad.cpu()


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("name", names())
def test_a_step_is_the_cpus_and_waits_for_nothing(name, dtype):
    expected, slope = step(name, "cpu", torch.float32)
    found, gradient = step(name, DEVICE, dtype)
    tolerance = TOLERANCES[dtype]
    assert found == pytest.approx(expected, rel=tolerance, abs=tolerance)
    assert gradient.isfinite().all()
    assert (gradient - slope).norm() <= max(5 * tolerance, 1e-3) * slope.norm() + 1e-6
