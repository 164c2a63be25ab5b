"""A model of the user's own: ``build(num_classes, input_shape, **options) -> nn.Module``."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from losstune.config.settings import ModelSettings
from losstune.core.errors import LosstuneError, in_one_line
from losstune.core.own_code import load

KEY = "model.name"


def build_own(settings: ModelSettings, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Build the network that the user's function or class makes.

    It gets `num_classes` and `input_shape` if it has parameters of these names, and ``model.options``. A function that
    takes any keyword, as builders of libraries do, gets `num_classes`.

    Raises:
        LosstuneError: If there is no such callable, it does not take the arguments, raises, or makes no network.
    """
    build = load(settings.name, KEY)
    given: dict[str, Any] = {"num_classes": num_classes, "input_shape": input_shape}
    arguments = _accepted(build, given) | settings.options
    found = f"{KEY}: {settings.name}"
    try:
        inspect.signature(build).bind(**arguments)
    except (TypeError, ValueError) as error:
        raise LosstuneError(
            f"{found} can't be called with {', '.join(arguments) or 'no arguments'}: {in_one_line(error)}; expected "
            "build(num_classes, input_shape, ...) with model.options as further arguments"
        ) from None
    try:
        network = build(**arguments)
    except LosstuneError:
        raise
    except Exception as error:
        raise LosstuneError(f"{found} raises when it is called: {type(error).__name__}: {in_one_line(error)}") from None
    if not isinstance(network, nn.Module):
        kind = "nothing" if network is None else f"a {type(network).__name__}"
        raise LosstuneError(f"{found} returned {kind}, expected a torch.nn.Module")
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise LosstuneError(f"{found} made a network without trainable weights, expected at least one")
    return network.float().cpu().train()


def require_own_fit(
    settings: ModelSettings, network: nn.Module, input_shape: tuple[int, ...], num_classes: int
) -> None:
    """Try a step of the network on two samples of random numbers.

    Raises:
        LosstuneError: If it raises, or does not return finite logits (2, `num_classes`) that depend on its weights.
    """
    found = f"{KEY}: {settings.name}"
    samples = torch.randn(2, *input_shape, generator=torch.Generator().manual_seed(0))
    before = samples.clone()
    shape = "x".join(str(size) for size in input_shape)
    try:
        logits = network(samples)
    except Exception as error:
        raise LosstuneError(
            f"{found} raises with a batch of two samples of {shape}: {type(error).__name__}: {in_one_line(error)}"
        ) from None
    if not isinstance(logits, Tensor) or logits.shape != (2, num_classes):
        what = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise LosstuneError(
            f"{found} returned {what} for two samples of {shape}, expected logits of shape (2, {num_classes})"
        )
    if not logits.is_floating_point() or not logits.requires_grad:
        why = "no trainable weight has an effect on them" if logits.is_floating_point() else f"they are {logits.dtype}"
        raise LosstuneError(f"{found}: its logits can't be trained: {why}")
    if not bool(logits.isfinite().all()):
        raise LosstuneError(f"{found} returned NaN or infinite logits for normalised samples, expected finite ones")
    if not torch.equal(samples, before):
        raise LosstuneError(f"{found} changes its input in place; use a copy, as batches share memory with the data")


def require_seeded(settings: ModelSettings, input_shape: tuple[int, ...], num_classes: int) -> str | None:
    """Build the network with one seed twice, and with another.

    Returns:
        A note if both seeds give the same weights.

    Raises:
        LosstuneError: If one seed gives two different networks, so that no result could be repeated.
    """
    weights = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        weights.append(build_own(settings, input_shape, num_classes).state_dict())
    first, again, other = weights
    if not _equal(first, again):
        raise LosstuneError(
            f"{KEY}: {settings.name} gives other weights when it is called again with the same seed; draw random "
            "numbers from torch's global generator alone, and don't change global state"
        )
    if _equal(first, other):
        return (
            f"{settings.name} gives the same weights for every seed (pretrained, or it sets a seed itself): blocks "
            "then differ only in the order of the samples and in dropout"
        )
    return None


def _equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(value, other[name]) if isinstance(value, Tensor) else True for name, value in one.items()
    )


def _accepted(build: Any, given: dict[str, Any]) -> dict[str, Any]:
    try:
        parameters = inspect.signature(build).parameters
    except (TypeError, ValueError):
        return given
    takes_any = any(item.kind is inspect.Parameter.VAR_KEYWORD for item in parameters.values())
    return {name: value for name, value in given.items() if name in parameters or (takes_any and name == "num_classes")}
