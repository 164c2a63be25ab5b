"""Split a network into its backbone, which computes features, and its last linear layer."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from losstune.core.errors import LosstuneError
from losstune.models.heads import head_of


@dataclass(frozen=True, slots=True)
class Split:
    """A network in two parts: ``head(backbone(inputs))`` are the logits.

    Attributes:
        backbone: Maps inputs to the input of the last layer, (N, D).
        head: The last layer.
    """

    backbone: nn.Module
    head: nn.Module


def split(network: nn.Module, num_classes: int) -> Split:
    """Split a network at its last linear layer, in place: the network itself becomes the backbone.

    The parts agree with the network unless it computes with the outputs of the layer, as a network that ends in a
    softmax does; :func:`features_of` finds that.

    Raises:
        LosstuneError: If the network has no linear last layer, or is nothing else.
    """
    name = head_of(network, num_classes)
    if not name:
        found = "has no linear last layer" if name is None else "is one linear layer"
        raise LosstuneError(f"model.name: this model {found}, so that it has no backbone to compute features with")
    head = network.get_submodule(name)
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, nn.Identity())
    return Split(network, head)


def features_of(network: nn.Module, inputs: Tensor, num_classes: int) -> Tensor:
    """Return the input of the network's last linear layer, in the network's mode and on its device.

    Raises:
        LosstuneError: If the network has no linear last layer, uses it twice, or computes with its outputs.
    """
    name = head_of(network, num_classes)
    if name is None:
        raise LosstuneError("model.name: this model has no linear last layer, so that it has no features")
    found: list[tuple[Tensor, Tensor]] = []
    handle = network.get_submodule(name).register_forward_hook(
        lambda _, given, output: found.append((given[0], output))
    )
    try:
        logits = network(inputs)
    finally:
        handle.remove()
    if len(found) != 1 or found[0][1] is not logits:
        raise LosstuneError(
            f"model.name: the outputs of this model are not those of its last linear layer ({name}), so that training "
            "this layer alone would not train the model"
        )
    return found[0][0]
