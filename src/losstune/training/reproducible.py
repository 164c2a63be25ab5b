"""Repeatable trainings: settings of PyTorch during a training, and the caller's random states after it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def reproducible(device: str) -> Iterator[None]:
    """Use one thread, deterministic kernels and no denormals; restore the caller's settings afterwards."""
    random_state, num_threads = torch.random.get_rng_state(), torch.get_num_threads()
    cudnn = (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)
    try:
        if device == "cpu":
            torch.set_num_threads(1)
            # Weights that decay to zero become denormal numbers, which are many times slower on a CPU.
            torch.set_flush_denormal(True)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        yield
    finally:
        torch.random.set_rng_state(random_state)
        torch.set_num_threads(num_threads)
        torch.set_flush_denormal(False)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn


@contextmanager
def kept_global_state() -> Iterator[None]:
    """Restore what code that is not losstune's may change and the next training would notice."""
    states = np.random.get_state(), random.getstate()  # noqa: NPY002
    dtype, has_gradients = torch.get_default_dtype(), torch.is_grad_enabled()
    is_deterministic = torch.are_deterministic_algorithms_enabled()
    only_warns = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        yield
    finally:
        np.random.set_state(states[0])  # noqa: NPY002
        random.setstate(states[1])
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(has_gradients)
        torch.use_deterministic_algorithms(is_deterministic, warn_only=only_warns)
