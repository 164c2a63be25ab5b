"""The resources per trial: cores, and a share of a GPU."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from losstune.config.schema import ResourceSettings


@dataclass(frozen=True, slots=True)
class TrialResources:
    """The resources of one trial.

    Attributes:
        cpus: CPU cores.
        gpus: Number of GPUs, a fraction if several trials share one.
    """

    cpus: float
    gpus: float

    def fitted(self, nodes: Iterable[tuple[float, float]]) -> TrialResources:
        """Return the resources with the cores reduced, so that every GPU of every node can be used.

        Args:
            nodes: CPUs and GPUs of each node there is.
        """
        if not self.gpus:
            return self
        # Trainings on a GPU use little CPU. Without this, a node with few cores and many GPUs leaves GPUs idle.
        ratios = [cpus / (gpus / self.gpus) for cpus, gpus in nodes if gpus and cpus]
        return replace(self, cpus=min([self.cpus, *(math.floor(100 * ratio) / 100 for ratio in ratios)]))

    def alone(self, nodes: Iterable[tuple[float, float]]) -> TrialResources:
        """Return resources that no other trial fits beside: a whole GPU, or all cores of the largest node.

        Args:
            nodes: CPUs and GPUs of each node there is.
        """
        if self.gpus:
            return replace(self, gpus=1.0)
        return replace(self, cpus=max((cpus for cpus, _ in nodes), default=self.cpus))


def resources_of(device: str, resources: ResourceSettings, num_per_gpu: int) -> TrialResources:
    """Return the resources of one trial: one core, and on a GPU its fraction of the GPU.

    Args:
        device: ``"cpu"`` or ``"cuda"``.
        resources: The settings, with the number of trials per GPU or ``"auto"``.
        num_per_gpu: Number of trials per GPU that ``"auto"`` means for this model.
    """
    if device == "cpu":
        return TrialResources(cpus=1, gpus=0)
    return TrialResources(
        cpus=1, gpus=1 / (num_per_gpu if resources.trials_per_gpu == "auto" else resources.trials_per_gpu)
    )
