"""The kind of device and the precision of a study's trainings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from losstune.config.schema import Params, ResourceSettings
from losstune.core.errors import LosstuneError
from losstune.core.records import Execution
from losstune.execution.cluster import cluster_address
from losstune.stages.layout import TRIAL_EXECUTIONS
from losstune.training.precision import resolve_precision

FindDevice = Callable[[Params, Path, Mapping[str, str]], tuple[str, str]]
"""Returns device and precision, given settings, the study's folder, and the versions that every worker must have."""


def recorded_device(params: Params, folder: Path, versions: Mapping[str, str]) -> tuple[str, str]:
    """Return device and precision without contacting a cluster. The device is that of the finished trials.

    Raises:
        LosstuneError: If a GPU is requested on this machine and there is none.
    """
    if cluster_address(params.resources) is None:
        device = resolve_device(params.resources.device)
    else:
        device = _first_device(folder / TRIAL_EXECUTIONS)
    return device, resolve_precision(params.training, params.model, device).precision


def check_device(resources: ResourceSettings) -> None:
    """Raise if this machine trains and lacks the device in the settings.

    Raises:
        LosstuneError: If a GPU is asked for and there is none.
    """
    if cluster_address(resources) is None:
        resolve_device(resources.device)


def resolve_device(device: str) -> str:
    """Return ``"cuda"`` or ``"cpu"`` for ``resources.device`` on this machine.

    Raises:
        LosstuneError: If a GPU is asked for and there is none.
    """
    import torch

    if device == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        hidden = "" if visible is None else f" (CUDA_VISIBLE_DEVICES in the environment is {visible!r})"
        raise LosstuneError(
            f"resources.device: found 'cuda', but PyTorch sees no GPU here{hidden}; expected auto or cpu"
        )
    return "cpu"


def _first_device(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return Execution.model_validate_json(file.readline()).device
    except (OSError, ValueError):
        return "cpu"
