"""The exponential moving average of the weights: ``training.ema``."""

from __future__ import annotations

import copy
from itertools import chain

import torch
from torch import Tensor, nn

WARMUP = (1, 10)
"""TensorFlow's ``num_updates``: the decay after n steps is at most (1 + n) / (10 + n), so that the average of a short
training is not that of its first steps."""


class Average:
    """A copy of a network that averages its weights and buffers, such as the statistics of batch normalisation.

    Attributes:
        module: The copy.

    Args:
        network: The network, on its device.
        decay: Share of the average that a step keeps.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(network)
        self._decay = decay
        both = zip(_tensors(self.module), _tensors(network), strict=True)
        pairs = [(mine.detach(), theirs.detach()) for mine, theirs in both]
        self._floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self._others = [pair for pair in pairs if not pair[0].is_floating_point()]

    def rate(self, step: int) -> float:
        """Return the share of the network that a step, from 0, brings into the average; the first one copies it."""
        return 1.0 - min(self._decay, (WARMUP[0] + step) / (WARMUP[1] + step)) if step else 1.0

    @torch.no_grad()
    def update(self, rate: float | Tensor) -> None:
        """Bring this share of the network into the average.

        Args:
            rate: The share; a tensor on the device, of one value, where a CUDA graph has to read it.
        """
        if isinstance(rate, Tensor):
            for average, current in self._floats:
                average.lerp_(current, rate.to(average.dtype))
        else:
            averages, currents = map(list, zip(*self._floats, strict=True))
            torch._foreach_lerp_(averages, currents, rate)
        for average, current in self._others:
            average.copy_(average * (1 - rate) + current * rate)


def _tensors(network: nn.Module) -> chain[Tensor]:
    return chain(network.parameters(), network.buffers())
