"""The resources per trial: cores, and a share of a GPU."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from losstune.config.schema import ResourceSettings


@dataclass(frozen=True, slots=True)
class TrialResources:
    """What one trial gets.

    Attributes:
        cpus: CPU cores.
        gpus: GPUs, a fraction where several trials share one.
    """

    cpus: float
    gpus: float

    def fitted(self, nodes: Iterable[tuple[float, float]]) -> TrialResources:
        """Return the share with so few cores that every node's GPUs can be filled.

        Args:
            nodes: CPUs and GPUs of each node there is.
        """
        if not self.gpus:
            return self
        # A GPU's trainings ask little of a CPU; without this, a node of few cores and many GPUs leaves some idle.
        ratios = [cpus / (gpus / self.gpus) for cpus, gpus in nodes if gpus and cpus]
        return replace(self, cpus=min([self.cpus, *(math.floor(100 * ratio) / 100 for ratio in ratios)]))

    def alone(self, nodes: Iterable[tuple[float, float]]) -> TrialResources:
        """Return a share beside which nothing else fits: a whole GPU, or all cores of the largest node.

        Args:
            nodes: CPUs and GPUs of each node there is.
        """
        if self.gpus:
            return replace(self, gpus=1.0)
        return replace(self, cpus=max((cpus for cpus, _ in nodes), default=self.cpus))


def resources_of(device: str, resources: ResourceSettings, num_per_gpu: int) -> TrialResources:
    """Return what one trial gets: a core, and on a GPU its part of one.

    Args:
        device: ``"cpu"`` or ``"cuda"``.
        resources: With the user's own number of trials a GPU, or ``"auto"``.
        num_per_gpu: What ``"auto"`` means for this model.
    """
    if device == "cpu":
        return TrialResources(cpus=1, gpus=0)
    return TrialResources(
        cpus=1, gpus=1 / (num_per_gpu if resources.trials_per_gpu == "auto" else resources.trials_per_gpu)
    )
