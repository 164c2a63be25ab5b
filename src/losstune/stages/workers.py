"""Find the device and precision of the machines that will train: this one, or the nodes of a cluster."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from losstune.core.gc_pause import collection_paused
from losstune.execution.cluster import address_source, cluster_address
from losstune.stages.device import resolve_device
from losstune.training.precision import resolve_precision

if TYPE_CHECKING:
    from losstune.execution.trials.nodes import Node


def find_device(params: Params, folder: Path, versions: Mapping[str, str]) -> tuple[str, str]:
    """Return ``"cuda"`` or ``"cpu"``, and ``"float32"`` or ``"bfloat16"``, for the settings.

    A study uses one kind of device and one precision, because results of different ones are not comparable. On a
    cluster, the device is a GPU if any node has one, and the precision is one that all nodes with this device support.

    Args:
        params: The study's settings.
        folder: The study's folder, which is not used here.
        versions: Versions on this machine of the libraries that compute the results. The nodes of a cluster must have
            the same ones.

    Raises:
        LosstuneError: If a GPU is requested and there is none, or a node of the cluster is unsuitable.
    """
    address = cluster_address(params.resources)
    if address is not None:
        with collection_paused():
            from losstune.execution.trials import nodes as cluster

        nodes = cluster.survey(params.resources, tuple(versions), params.training, params.model)
        return _of_cluster(nodes, params, versions, address)
    device = resolve_device(params.resources.device)
    return device, resolve_precision(params.training, params.model, device).precision


def _of_cluster(nodes: Sequence[Node], params: Params, versions: Mapping[str, str], address: str) -> tuple[str, str]:
    wanted, source = params.resources.device, address_source(params.resources)
    with_gpu = [node for node in nodes if node.gpus]
    if wanted == "cuda" and not with_gpu:
        raise LosstuneError(
            f"resources.device: found 'cuda', but no node of the cluster at {address!r} has a GPU; expected auto or cpu"
        )
    device = "cuda" if with_gpu and wanted != "cpu" else "cpu"
    used = with_gpu if device == "cuda" else [node for node in nodes if node.cpus]
    for node in used:
        if dict(node.versions) != dict(versions):
            raise LosstuneError(
                f"{source}: node {node.name} of the cluster at {address!r} has {_text(node.versions)}, "
                f"expected {_text(versions)} as here, because other versions round differently"
            )
        if device not in node.precision:
            raise LosstuneError(
                f"{source}: node {node.name} of the cluster at {address!r} offers a GPU that PyTorch does not see there"
            )
    print(
        f"on the Ray cluster at {address}: {len(used)} nodes, {sum(node.cpus for node in used):g} cores, "
        f"{sum(node.gpus for node in used):g} GPUs",
        file=sys.stderr,
    )
    # With auto, all nodes use the precision that every node supports.
    chosen = {node.precision[device] for node in used}
    return device, chosen.pop() if len(chosen) == 1 else "float32"


def _text(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())
