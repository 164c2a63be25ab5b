"""Several networks of one architecture computed as one on a CPU: groups of channels, or products of many matrices.

A small network spends more than half of its time around the operations, so that four at once take little more than two.
Each network computes what it does alone, to the last bit; :func:`agrees` tries that out. Shape suffixes: N samples, G
networks, D features.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losstune.models.chain import Chain
from losstune.models.cnn import Cnn, Conv3x3, in_channels_last
from losstune.models.mlp import Mlp

Layer = Callable[[Tensor], Tensor]


class Grouped:
    """Networks in training mode, whose parameters and statistics lie side by side in memory.

    There, each network stays usable by itself.

    Args:
        networks: Networks of one class and the same layers, a :class:`Cnn` in ``channels_last``.
    """

    def __init__(self, networks: Sequence[Chain]) -> None:
        self.networks = tuple(networks)
        self._leaves: list[tuple[Tensor, list[nn.Parameter]]] = []
        self._copies, self._is_flat = 1, isinstance(networks[0], Mlp)
        self._layers = [self._layer(layers) for layers in zip(*(network.body for network in networks), strict=True)]

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return the logits of each network for its own inputs (N, C, H, W) or (N, D)."""
        values = self._joined(inputs)
        for layer in self._layers:
            values = layer(values)
        parts = values.unbind() if self._is_flat else in_channels_last(values).chunk(len(self.networks), 1)
        return [network.head(part) for network, part in zip(self.networks, parts, strict=True)]

    def _joined(self, inputs: Sequence[Tensor]) -> Tensor:
        if self._is_flat:
            return torch.stack([one.flatten(1) for one in inputs])
        copied = [one for one in inputs for _ in range(self._copies)]
        return torch.cat(copied, 1).contiguous(memory_format=torch.channels_last)

    def hand_out_gradients(self) -> None:
        """Give each network the gradients of its parameters."""
        for whole, parameters in self._leaves:
            if whole.grad is not None:
                for parameter, gradient in zip(parameters, whole.grad.chunk(len(parameters)), strict=True):
                    parameter.grad = gradient
            whole.grad = None

    def _layer(self, layers: Sequence[nn.Module]) -> Layer:
        if convolutions := [layer for layer in layers if isinstance(layer, Conv3x3)]:
            copies = convolutions[0].copies
            self._copies = max(self._copies, copies)  # only the first layer has copies
            weight = self._parameter([convolution.get_parameter("weight") for convolution in convolutions])
            return lambda maps: F.conv2d(maps, weight, padding=1, groups=len(layers) * copies)
        if norms := [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]:
            return self._batch_norm(norms)
        if linear := [layer for layer in layers if isinstance(layer, nn.Linear)]:
            return self._linear(linear)
        return nn.Identity() if isinstance(layers[0], nn.Flatten) else layers[0]

    def _linear(self, layers: Sequence[nn.Linear]) -> Layer:
        weight, bias = (self._parameter([layer.get_parameter(name) for layer in layers]) for name in ("weight", "bias"))
        shape = len(layers), layers[0].out_features, layers[0].in_features

        def transformed(values_GND: Tensor) -> Tensor:
            return torch.baddbmm(bias.view(shape[0], 1, shape[1]), values_GND, weight.view(shape).transpose(1, 2))

        return transformed

    def _batch_norm(self, norms: Sequence[nn.BatchNorm2d]) -> Layer:
        first, counts = norms[0], [norm.get_buffer("num_batches_tracked") for norm in norms]
        weight, bias = (self._parameter([norm.get_parameter(name) for norm in norms]) for name in ("weight", "bias"))
        mean, variance = (_side_by_side([norm.get_buffer(name) for norm in norms]) for name in STATISTICS)
        momentum = first.momentum or 0.0

        def normalised(maps: Tensor) -> Tensor:
            torch._foreach_add_(counts, 1)
            return F.batch_norm(maps, mean, variance, weight, bias, True, momentum, first.eps)

        return normalised

    def _parameter(self, parameters: list[nn.Parameter]) -> Tensor:
        whole = _side_by_side(parameters).requires_grad_()
        self._leaves.append((whole, parameters))
        return whole


STATISTICS = ("running_mean", "running_var")


def _side_by_side(tensors: Sequence[Tensor]) -> Tensor:
    """Move tensors of one shape into one tensor, of which they become parts."""
    whole = torch.cat([tensor.detach() for tensor in tensors])
    for tensor, part in zip(tensors, whole.chunk(len(tensors)), strict=True):
        tensor.data = part
    return whole


def can_be_grouped(network: nn.Module) -> bool:
    """Return whether a network can be computed beside others: a :class:`Cnn` or :class:`Mlp` that is all trained."""
    return type(network) in {Cnn, Mlp} and all(parameter.requires_grad for parameter in network.parameters())


def agrees(network: Chain, num: int, shape: tuple[int, ...]) -> bool:
    """Return whether so many networks side by side compute on this machine what each computes alone, to the last bit.

    Args:
        network: One of them; it is not changed.
        num: The number of networks.
        shape: Shape of a training batch.
    """
    generator = torch.Generator().manual_seed(0)
    alone = [copy.deepcopy(network).train() for _ in range(num)]
    with torch.no_grad():
        for parameter in (parameter for one in alone for parameter in one.parameters()):
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    together = [copy.deepcopy(one) for one in alone]
    grouped = Grouped(together)
    found: list[tuple[list[Tensor], list[Tensor]]] = []
    for _ in range(2):
        batches = [torch.randn(shape, generator=generator) for _ in range(num)]
        expected, logits = [one(batch) for one, batch in zip(alone, batches, strict=True)], grouped(batches)
        slopes = [torch.randn(one.shape, generator=generator) for one in logits]
        torch.autograd.backward(expected, slopes)
        torch.autograd.backward(logits, slopes)
        grouped.hand_out_gradients()
        found.append((expected, logits))
        for one, other in zip(alone, together, strict=True):
            found.append((list(one.buffers()), list(other.buffers())))
            found.append((_taken_gradients(one), _taken_gradients(other)))
    with torch.no_grad():
        batch = torch.randn(shape, generator=generator)
        found.append(([one.eval()(batch) for one in alone], [one.eval()(batch) for one in together]))
    return all(torch.equal(a, b) for ours, theirs in found for a, b in zip(ours, theirs, strict=True))


def _taken_gradients(network: nn.Module) -> list[Tensor]:
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    network.zero_grad()
    return gradients
