"""Start a network from given weights: match names and shapes, adapt the first convolution, leave the last layer new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from losstune.core.errors import LosstuneError
from losstune.models.cnn import Conv3x3
from losstune.models.freezing import KEY as FREEZE
from losstune.models.freezing import is_below

KEY = "model.weights"
MIN_SHARE = 0.5
"""Share of the parameters below the last layer that must be in the file. Less is the file of another architecture."""

MOST_NAMES = 4

Weights = Mapping[str, NDArray[Any]]
"""Tensors by their names, as a file has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which tensors of a network are loaded from which of a file.

    Attributes:
        head: Name of the last layer, which is always new; None if the network has no linear last layer.
        names: The name in the file of each loaded tensor of the network.
        adapted: Name of the first convolution's weight if it is loaded for another number of input channels.
        reshaped: Tensors with another shape in the file, which stay new: name, shape in the file, shape here.
        missing: Tensors that the file lacks, which stay new.
        unused: Names in the file that the network lacks; its last layer is no news.
        share: Share of the loaded parameters among those below the last layer.
    """

    head: str | None
    names: dict[str, str]
    adapted: str | None
    reshaped: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    share: float


def match(network: nn.Module, weights: Weights, head: str | None) -> Match:
    """Match the tensors of a network and of a file by names and shapes, without changing anything.

    A prefix that all names have in the file, such as ``module.`` or ``model.``, is ignored.
    """
    parameters = {name: parameter.numel() for name, parameter in network.named_parameters()}
    wanted = {name: value for name, value in network.state_dict().items() if head is None or not is_below(name, head)}
    prefix = _prefix(wanted, weights)
    plain = {nn.Conv2d, Conv3x3}
    convolution = next((f"{name}.weight" for name, one in network.named_modules() if type(one) in plain), None)
    names, reshaped, missing, adapted = {}, [], [], None
    for name, tensor in wanted.items():
        found = weights.get(prefix + name)
        if found is None:
            # Older files do not count the batches, and nothing depends on that here.
            missing += [name] if not name.endswith("num_batches_tracked") else []
        elif found.shape == tuple(tensor.shape):
            names[name] = prefix + name
        elif name == convolution and _without_channels(found.shape) == _without_channels(tuple(tensor.shape)):
            names[name], adapted = prefix + name, name
        else:
            reshaped.append((name, tuple(found.shape), tuple(tensor.shape)))
    total = sum(parameters[name] for name in wanted if name in parameters)
    loaded = sum(parameters[name] for name in names if name in parameters)
    known = {prefix + name for name in wanted}
    last = None if head is None else prefix + head
    return Match(
        head=head,
        names=names,
        adapted=adapted,
        reshaped=tuple(reshaped),
        missing=tuple(missing),
        unused=tuple(name for name in weights if name not in known and (last is None or not is_below(name, last))),
        share=loaded / total if total else 0.0,
    )


def require_match(found: Match, network: nn.Module, weights: Weights, file: str, model: str) -> str:
    """Return a sentence on what is loaded, and what is not.

    Args:
        found: The match.
        network: The network.
        weights: The content of the file.
        file: Its name, for the message.
        model: The model's name, for the message.

    Raises:
        LosstuneError: If the file has less than half of the network's parameters.
    """
    if found.share < MIN_SHARE:
        names = [name for name in network.state_dict() if found.head is None or not is_below(name, found.head)]
        other = found.reshaped[0] if found.reshaped else None
        shape = f", and {other[0]} has the shape {_size(other[1])}, expected {_size(other[2])}" if other else ""
        raise LosstuneError(
            f"{KEY}: {file} has {found.share:.0%} of the parameters of {model!r} below its last layer, expected at "
            f"least {MIN_SHARE:.0%}: the file has {_listed(weights)}, the model {_listed(names)}{shape}; is it "
            "the file of another architecture, width or depth?"
        )
    parts = [f"{file} has {found.share:.1%} of the parameters of {model!r} below its last layer"]
    if found.head is not None:
        parts.append(f"the last layer ({found.head or 'the whole network'}) is new")
    if found.adapted is not None:
        here = network.state_dict()[found.adapted].shape[1]
        parts.append(
            f"{found.adapted} is adapted from {weights[found.names[found.adapted]].shape[1]} to {here} channels"
        )
    if found.reshaped:
        parts.append(
            "new, because of another shape in the file: "
            + _listed(f"{name} ({_size(there)}, here {_size(here)})" for name, there, here in found.reshaped)
            + _on_small_images(found)
        )
    if found.missing:
        parts.append(f"new, because the file lacks them: {_listed(found.missing)}")
    if found.unused:
        parts.append(f"not used from the file: {_listed(found.unused)}")
    return "; ".join(parts)


def require_frozen_weights(found: Match, freeze: str | tuple[str, ...], file: str) -> None:
    """Raise if a layer would be frozen with random weights, because they are not in the file.

    Raises:
        LosstuneError: The message names the tensors.
    """
    new = [*(name for name, *_ in found.reshaped), *found.missing]
    layers = () if isinstance(freeze, str) else freeze
    frozen = [name for name in new if freeze == "backbone" or any(is_below(name, layer) for layer in layers)]
    if frozen:
        what = freeze if isinstance(freeze, str) else ", ".join(freeze)
        raise LosstuneError(
            f"{FREEZE}: found {what}, but {file} has no weights that fit {_listed(frozen)}, which would stay random"
            f"{_on_small_images(found)}"
        )


@torch.no_grad()
def load_matching(network: nn.Module, weights: Weights, head: str | None) -> None:
    """Copy the matching weights into the network, without drawing random numbers. The others stay as they are."""
    found = match(network, weights, head)
    state = network.state_dict()
    for name, name_in_file in found.names.items():
        # Workers get read-only views of shared memory, which torch does not support: copy.
        tensor = torch.from_numpy(np.array(weights[name_in_file]))
        if name == found.adapted:
            tensor = with_channels(tensor, state[name].shape[1])
        state[name].copy_(tensor)


def with_channels(weight: Tensor, channels: int) -> Tensor:
    """Return the weight (O, I, H, W) of a convolution for another number of input channels.

    One channel gets the sum, which treats gray images as colour images with equal channels. Otherwise the channels are
    repeated and scaled, so that the outputs keep their scale. ``timm`` does the same.
    """
    before = weight.shape[1]
    if channels == 1:
        return weight.sum(1, keepdim=True)
    repeated = weight.repeat(1, -(-channels // before), 1, 1)[:, :channels]
    return repeated * (before / channels)


def _prefix(wanted: Iterable[str], weights: Weights) -> str:
    """Return what comes before the network's names in the file: the prefix that fits most of them."""
    wanted = list(wanted)
    candidates = {"": None} | {
        name.removesuffix(first): None for first in wanted[:3] for name in weights if name.endswith(f".{first}")
    }
    return max(candidates, key=lambda prefix: sum(prefix + name in weights for name in wanted))


def _without_channels(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], *shape[2:])


def _on_small_images(found: Match) -> str:
    stems = [name for name, there, here in found.reshaped if len(here) == 4 and there[2:] != here[2:]]
    if stems != ["conv1.weight"]:
        return ""
    return " - a ResNet for small images has a 3x3 convolution; a data.image_size above 64 keeps the pretrained one"


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
