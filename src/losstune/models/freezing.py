"""Frozen layers: no gradient, and always in evaluation mode."""

from __future__ import annotations

from typing import Any

from torch import nn

from losstune.core.errors import LosstuneError, did_you_mean

KEY = "model.freeze"


class _KeepInEvaluationMode:
    """A hook before each forward pass. ``network.train()`` would also switch frozen layers to training mode.

    With a name in `trained`, all other modules are frozen, so that dropout and batch normalisation of the backbone are
    those of a prediction. It holds names alone, so that a copy of the network has a hook of its own.
    """

    def __init__(self, frozen: tuple[str, ...], trained: str | None) -> None:
        self.frozen, self.trained = frozen, trained

    def __call__(self, network: nn.Module, inputs: Any) -> None:
        if not network.training:
            return
        if self.trained is not None:
            network.eval()
            network.get_submodule(self.trained).train()
        for name in self.frozen:
            network.get_submodule(name).eval()


def freeze(network: nn.Module, what: str | tuple[str, ...], head: str | None) -> None:
    """Freeze layers of a network in place: its parameters get no gradient, its batch statistics and dropout stay fixed.

    Args:
        network: The network.
        what: ``"none"``, ``"backbone"`` (all but the last layer), or names of layers.
        head: Name of the last linear layer, see :func:`losstune.models.heads.head_of`.

    Raises:
        LosstuneError: If there is no such layer, or nothing would be left to train.
    """
    if what == "none":
        return
    parameters = dict(network.named_parameters())
    if isinstance(what, str):
        if head is None:
            raise LosstuneError(f"{KEY}: found backbone, but this model has no linear last layer; name layers instead")
        frozen = {name for name in parameters if not is_below(name, head)}
        modules: tuple[str, ...] = ()
    else:
        frozen, modules = set(), ()
        known = {name for name, module in network.named_modules() if name and any(True for _ in module.parameters())}
        for layer in what:
            if layer not in known and layer not in parameters:
                tops = ", ".join(name for name in sorted(known) if "." not in name)
                raise LosstuneError(
                    f"{KEY}: found {layer!r}, which is no layer of this model{did_you_mean(layer, sorted(known))} "
                    f"(its outermost layers: {tops})"
                )
            frozen |= {name for name in parameters if is_below(name, layer)}
            modules += (layer,) if layer in known else ()
    if not any(parameters[name].requires_grad for name in parameters.keys() - frozen):
        raise LosstuneError(f"{KEY}: found {_listed(what)}, which freezes all layers; expected at least one to train")
    for name in frozen:
        parameters[name].requires_grad_(False)
    network.register_forward_pre_hook(_KeepInEvaluationMode(modules, head if what == "backbone" else None))


def is_below(name: str, layer: str) -> bool:
    """Whether a parameter or module is the layer of that name, or a part of it."""
    return layer == "" or name == layer or name.startswith(f"{layer}.")


def _listed(what: str | tuple[str, ...]) -> str:
    return what if isinstance(what, str) else ", ".join(what)
