"""Trained weights on disk in the safetensors format: no pickle, no code in the file."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from losstune.core.errors import LosstuneError


def weights_as_bytes(model: nn.Module) -> bytes:
    """Return the parameters and buffers of `model` in safetensors format."""
    # The format stores no strides, so channels_last weights are made contiguous first.
    content: bytes = save({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()})
    return content


def load_weights(model: nn.Module, path: Path) -> None:
    """Copy the weights in `path` into `model`, and keep the model's device and memory format.

    Raises:
        LosstuneError: If the file is missing, damaged, or was written for another architecture. The model is then
            unchanged.
    """
    try:
        found = load(path.read_bytes())
    except OSError as error:
        raise LosstuneError(f"{path}: cannot be read: {error.strerror}") from None
    except SafetensorError as error:
        raise LosstuneError(f"{path}: not a complete safetensors file: {error}") from None
    expected = model.state_dict()
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise _mismatch(path, f"it lacks '{name}'")
        if name not in expected:
            raise _mismatch(path, f"the model has no '{name}'")
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape or found[name].dtype != tensor.dtype:
            raise _mismatch(
                path,
                f"'{name}' is {found[name].dtype} {tuple(found[name].shape)} in the file "
                f"and {tensor.dtype} {tuple(tensor.shape)} in the model",
            )
    # Updated in place, because some modules (MNASNet) read a version from the metadata of the state.
    expected.update(found)
    model.load_state_dict(expected)


def _mismatch(path: Path, difference: str) -> LosstuneError:
    return LosstuneError(f"{path}: holds the weights of another model: {difference}")
