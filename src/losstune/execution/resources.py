"""The resources per trial: cores, and a GPU or a share of one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from losstune.config.schema import ResourceSettings

MOST_IN_SEQUENCE = 256
"""Trainings in a pack on a core."""

MOST_SIDE_BY_SIDE = 64
"""Trainings in a pack on a GPU. The worker itself finds out how many fit and pay."""


@dataclass(frozen=True, slots=True)
class TrialResources:
    """The resources of one trial, which is a pack of trainings.

    Attributes:
        cpus: CPU cores.
        gpus: Number of GPUs, a fraction if several trials share one.
        most: Most trainings in a pack. On a GPU they run side by side, on a core in groups or one after the other.
    """

    cpus: float
    gpus: float
    most: int = 1

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


def resources_of(device: str, resources: ResourceSettings, *, own_loop: bool = False) -> TrialResources:
    """Return the resources of one trial: one core, and on a GPU all of it.

    A training loop of the user's own trains one job at a time. Such trials share a GPU as processes.

    Args:
        device: ``"cpu"`` or ``"cuda"``.
        resources: The settings, with the number of trainings per GPU or ``"auto"``.
        own_loop: Whether a loop of the user's own trains. What it needs is not known, so with ``"auto"`` it has a GPU
            to itself.
    """
    if device == "cpu":
        return TrialResources(cpus=1, gpus=0, most=1 if own_loop else MOST_IN_SEQUENCE)
    if own_loop:
        return TrialResources(cpus=1, gpus=1 / (1 if resources.trials_per_gpu == "auto" else resources.trials_per_gpu))
    most = MOST_SIDE_BY_SIDE if resources.trials_per_gpu == "auto" else resources.trials_per_gpu
    return TrialResources(cpus=1, gpus=1, most=most)
