"""Properties of a cluster's nodes that affect the results of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from losstune.config.schema import ResourceSettings
from losstune.config.settings import ModelSettings, TrainingSettings
from losstune.core.errors import LosstuneError
from losstune.execution.cluster import address_source, cluster_address
from losstune.execution.trials.connection import connected
from losstune.study.provenance import public_versions
from losstune.training.precision import resolve_precision

PATIENCE_SEC = 120.0
"""Time limit for a node's answer. The first answer starts a worker and imports torch."""

DEVICES = ("cpu", "cuda")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of a cluster.

    Attributes:
        name: Address in the cluster.
        cpus: Cores that Ray may use.
        gpus: GPUs that Ray may use.
        versions: Public version of each requested library; ``"none"`` for one that is not installed.
        precision: Precision that ``training.precision`` means there, by device.
    """

    name: str
    cpus: float
    gpus: float
    versions: Mapping[str, str]
    precision: Mapping[str, str]


def survey(
    resources: ResourceSettings, libraries: Sequence[str], training: TrainingSettings, model: ModelSettings
) -> list[Node]:
    """Collect the properties of every node of the cluster.

    Args:
        resources: The settings, with the cluster's address.
        libraries: Libraries whose versions are needed.
        training: The settings whose precision is to be resolved.
        model: The model to train.

    Raises:
        LosstuneError: If no Ray answers at the address, or one of its nodes does not answer.
    """
    with connected(resources):
        alive = [node for node in ray.nodes() if node["Alive"]]
        answers = [
            # Requests no core, or else it would wait while the cluster is busy.
            _facts.options(
                num_cpus=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
                max_retries=0,
            ).remote(tuple(libraries), training, model)
            for node in alive
        ]
        nodes = []
        for node, answer in zip(alive, answers, strict=True):
            name = node["NodeManagerAddress"]
            try:
                versions, precision = ray.get(answer, timeout=PATIENCE_SEC)
            except (RayError, GetTimeoutError) as error:
                reason = str(error).strip().splitlines()[-1]
                raise LosstuneError(
                    f"{address_source(resources)}: a node ({name}) of the cluster at {cluster_address(resources)!r} "
                    f"cannot train: {reason}"
                ) from None
            found = node["Resources"]
            nodes.append(
                Node(
                    name=name,
                    cpus=found.get("CPU", 0.0),
                    gpus=found.get("GPU", 0.0),
                    versions=versions,
                    precision=precision,
                )
            )
    return nodes


# By default Ray hides a node's GPUs from a task that asks for none.
@ray.remote(runtime_env={"env_vars": {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}})  # type: ignore[untyped-decorator]
def _facts(
    libraries: tuple[str, ...], training: TrainingSettings, model: ModelSettings
) -> tuple[dict[str, str], dict[str, str]]:
    import torch

    devices = DEVICES if torch.cuda.is_available() else DEVICES[:1]
    return public_versions(libraries), {
        device: resolve_precision(training, model, device).precision for device in devices
    }
