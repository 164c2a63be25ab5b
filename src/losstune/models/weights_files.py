"""Find and read the file of pretrained weights that ``model.weights`` names. No code in such a file is run."""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from losstune.config.load import data_path
from losstune.config.settings import WEIGHTS_FILES, ModelSettings
from losstune.core.errors import LosstuneError, did_you_mean, in_one_line
from losstune.core.local_code import study_folder
from losstune.models import timm_models
from losstune.models.pretrained import KEY, Weights

CONTAINERS = ("state_dict", "model_state_dict", "model")
"""Keys below which training scripts keep a state dict."""

OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""Names such as ``norm.1`` in torchvision's files for DenseNet, which its layers no longer have."""

HASH = re.compile(r"-([0-9a-f]{8,64})\.")
"""The start of the content's SHA-256 in the name of a file of torch.hub."""


def find(settings: ModelSettings) -> Path:
    """Return the file that ``model.weights`` means; download it if it is missing and ``model.download`` allows it.

    Raises:
        LosstuneError: If there is none; the message names the key and the place.
    """
    assert settings.weights is not None, "the caller checks it"
    if settings.has_weights_file:
        path = data_path(settings.weights, study_folder())
        if not path.is_file():
            kind = "is a folder" if path.is_dir() else "does not exist"
            others = [other.name for other in path.parent.glob("*") if other.name.endswith(WEIGHTS_FILES)]
            raise LosstuneError(
                f"{KEY}: found {settings.weights!r}, but {path} {kind}{did_you_mean(path.name, others)}"
            )
        return path
    if settings.library == "timm":
        return _of_timm(settings)
    return _of_torchvision(settings)


def _of_torchvision(settings: ModelSettings) -> Path:
    import torchvision

    builder, name = settings.name.partition(":")[2], str(settings.weights)
    known = torchvision.models.get_model_weights(builder)
    if name not in known.__members__:
        names = list(known.__members__)
        raise LosstuneError(
            f"{KEY}: found {name!r}, expected a file, or weights of {settings.name!r}: {', '.join(names)}"
            f"{did_you_mean(name, names)}"
        )
    url = known[name].url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    return _in_torch_hub(path, url, settings)


def _of_timm(settings: ModelSettings) -> Path:
    source = timm_models.source_of(settings.name.partition(":")[2], str(settings.weights))
    in_hub = Path(torch.hub.get_dir()) / "checkpoints" / (source.url or "").rpartition("/")[2]
    if source.url and (in_hub.is_file() or source.repository is None):
        return _in_torch_hub(in_hub, source.url, settings)
    import huggingface_hub  # timm needs it

    for file in source.files:
        if isinstance(path := huggingface_hub.try_to_load_from_cache(source.repository, file), str):
            return Path(path)
    _require_download(settings, f"{source.repository} in the cache of the Hugging Face Hub")
    for file in source.files:
        try:
            return Path(huggingface_hub.hf_hub_download(source.repository, file))
        except huggingface_hub.errors.EntryNotFoundError:
            continue
        except Exception as error:  # of several HTTP libraries
            raise LosstuneError(f"{KEY}: can't download {source.repository}: {in_one_line(error)}") from None
    raise LosstuneError(f"{KEY}: {source.repository} has no file {' or '.join(source.files)}")


def _in_torch_hub(path: Path, url: str, settings: ModelSettings) -> Path:
    """Return a file in torch.hub's cache, whose name has a part of its hash. Download it if that is allowed.

    Raises:
        LosstuneError: If it is missing or damaged.
    """
    hash_of_name = HASH.search(path.name)
    if not path.is_file():
        _require_download(settings, path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), hash_of_name and hash_of_name[1], progress=False)
        except (OSError, RuntimeError) as error:
            raise LosstuneError(f"{KEY}: can't download {url}: {in_one_line(error)}") from None
    if hash_of_name and not content_digest(path).startswith(hash_of_name[1]):
        raise LosstuneError(
            f"{KEY}: {path} is damaged: the hash in its name is {hash_of_name[1]}, found {content_digest(path)[:8]}; "
            "delete it"
        )
    return path


def _require_download(settings: ModelSettings, place: Path | str) -> None:
    """Raise unless ``model.download`` is true.

    Raises:
        LosstuneError: The message names the missing file.
    """
    if not settings.download:
        raise LosstuneError(
            f"{KEY}: {settings.weights!r} of {settings.name!r} is not on this machine, expected {place}; "
            "model.download: true downloads it"
        )


def digest_of(settings: ModelSettings) -> str:
    """Return the SHA-256 (64 hex digits) of the file's content, which is the identity of the weights.

    Raises:
        LosstuneError: As :func:`find`.
    """
    return content_digest(find(settings))


def read(settings: ModelSettings) -> Weights:
    """Return the tensors that ``model.weights`` means. A process reads the same file once.

    Raises:
        LosstuneError: If there is no such file, or it is no file of weights.
    """
    path = find(settings)
    return _read(path, _version(path))


def read_if_any(settings: ModelSettings) -> Weights | None:
    """Return :func:`read`, or None without ``model.weights``."""
    return None if settings.weights is None else read(settings)


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file. A process reads the same file once.

    Raises:
        LosstuneError: If it can't be read.
    """
    return _digest(path, _version(path))


def _version(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from None
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=8)
def _digest(path: Path, version: tuple[int, int]) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from None


@lru_cache(maxsize=1)
def _read(path: Path, version: tuple[int, int]) -> Weights:
    try:
        if path.suffix.lower() == ".safetensors":
            content: Any = load(path.read_bytes())
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise _unreadable(path, error) from None
    except SafetensorError as error:
        raise LosstuneError(f"{KEY}: {path} is not a complete safetensors file: {in_one_line(error)}") from None
    except pickle.UnpicklingError:
        raise LosstuneError(
            f"{KEY}: {path} holds more than tensors, and loading it would run code; expected a state dict, as "
            "torch.save(model.state_dict(), path) writes it"
        ) from None
    except Exception as error:  # torch has no error of its own for a damaged file
        raise LosstuneError(f"{KEY}: {path} can't be read: {type(error).__name__}: {in_one_line(error)}") from None
    tensors = _tensors(content)
    if not tensors:
        raise LosstuneError(
            f"{KEY}: {path} has no state dict: found {_kind(content)}, expected names with tensors, alone or below "
            f"{', '.join(CONTAINERS)}"
        )
    return {name: _as_array(tensor) for name, tensor in tensors.items()}


def _tensors(content: Any) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        return {}
    for key in CONTAINERS:
        if isinstance(content.get(key), Mapping):
            return _tensors(content[key])
    return {OLD_DENSENET.sub(r"\1\2", str(name)): value for name, value in content.items() if isinstance(value, Tensor)}


def _as_array(tensor: Tensor) -> Any:
    # NumPy has no bfloat16. All networks train in float32.
    return (tensor.float() if tensor.is_floating_point() else tensor).contiguous().numpy()


def _kind(content: Any) -> str:
    if isinstance(content, Mapping):
        return f"a dictionary with {', '.join(map(str, list(content)[:4])) or 'nothing'}"
    return f"a {type(content).__name__}"


def _unreadable(path: Path, error: OSError) -> LosstuneError:
    return LosstuneError(f"{KEY}: {path} can't be read: {error.strerror or in_one_line(error)}")
