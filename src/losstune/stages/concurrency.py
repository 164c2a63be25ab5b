"""How many trainings of a study run at the same time."""

from __future__ import annotations

from losstune.core.machine import num_cores
from losstune.execution.cluster import cluster_address
from losstune.stages import execute
from losstune.stages.study import Study


def num_workers_of(study: Study) -> int | None:
    """Return how many trainings run at the same time; None on a cluster, where only Ray knows."""
    resources = study.params.resources
    if resources.executor == "inline":
        return 1
    if cluster_address(resources) is not None:
        return None
    num = num_cores()
    if study.device == "cuda":
        import torch

        num = min(num, int(torch.cuda.device_count() / execute.resources_of(study).gpus))
    return max(1, num if resources.max_concurrent == "auto" else min(num, resources.max_concurrent))
