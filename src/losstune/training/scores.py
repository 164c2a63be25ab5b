"""The scores of a training: the standard metrics, and those that its task names."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from losstune.config.metrics import KEY, SECONDARY_KEY, CostSettings
from losstune.training import decision_metrics, metrics, ranking_metrics, soft_metrics
from losstune.training.own_metric import Score, load_metric
from losstune.training.task import Task

BY_NAME: dict[str, metrics.Metric] = {
    "top_5_accuracy": decision_metrics.top_5_accuracy,
    "auroc": ranking_metrics.auroc,
    "average_precision": ranking_metrics.average_precision,
    "kappa": decision_metrics.kappa,
    "quadratic_kappa": decision_metrics.quadratic_kappa,
    "mcc": decision_metrics.mcc,
}


SOFT_BY_NAME: dict[str, metrics.Metric] = {
    "expected_accuracy": soft_metrics.expected_accuracy,
    "soft_nll": soft_metrics.soft_nll,
}
"""Metrics of probabilities (N, C) against soft labels (N, C)."""


class Scorer:
    """Computes every metric of a training from class probabilities.

    Args:
        task: What is trained.

    Raises:
        LosstuneError: If a metric of the user's own can't be loaded.
    """

    def __init__(self, task: Task) -> None:
        self._further: dict[str, metrics.Metric] = {}
        self._soft: dict[str, metrics.Metric] = {}
        self._own: dict[str, Score] = {}
        for metric in task.metrics:
            if isinstance(metric, str) and metric in SOFT_BY_NAME:
                self._soft[metric] = SOFT_BY_NAME[metric]
            elif isinstance(metric, str):
                self._further[metric] = BY_NAME[metric]
            elif isinstance(metric, CostSettings):
                costs_CC = torch.tensor(metric.costs, dtype=torch.float64, device=task.device)
                self._further[metric.name] = partial(decision_metrics.expected_cost, costs_CC=costs_CC)
            elif metric.is_function:  # a training loop returns the others
                name = metric.measure.name
                self._own[name] = load_metric(metric, KEY if name == task.score else f"{SECONDARY_KEY}.{name}")

    def scores(
        self,
        probabilities_NC: Tensor,
        target_N: Tensor,
        balanced_N: Tensor | None = None,
        soft_NC: Tensor | None = None,
    ) -> dict[str, float]:
        """Return every metric by name.

        Args:
            probabilities_NC: As in :func:`losstune.training.metrics.evaluate`.
            target_N: True classes (N,); of soft labels, the modes.
            balanced_N: As in :func:`losstune.training.metrics.evaluate`.
            soft_NC: Soft labels; None if every sample has one class.

        Raises:
            LosstuneError: If a metric of the user's own returns no finite number.
        """
        found = self.values(probabilities_NC, target_N, balanced_N, soft_NC).tolist()
        scores = dict(zip(self.names, found, strict=True))
        return scores | {name: metric(probabilities_NC, target_N) for name, metric in self._own.items()}

    @property
    def waits(self) -> bool:
        """Whether the scores need the host: a metric of the user's own."""
        return bool(self._own)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of :meth:`values` in their order."""
        return metrics.names((*self._further, *self._soft))

    def values(
        self,
        probabilities_NC: Tensor,
        target_N: Tensor,
        balanced_N: Tensor | None = None,
        soft_NC: Tensor | None = None,
    ) -> Tensor:
        """Return every metric but the user's own, float64, without waiting for the device; see :meth:`scores`."""
        further = dict(self._further)
        if self._soft:
            rows_NC = F.one_hot(target_N, probabilities_NC.shape[1]) if soft_NC is None else soft_NC
            further |= {name: partial(_against, metric, rows_NC) for name, metric in self._soft.items()}
        return metrics.values(probabilities_NC, target_N, balanced_N, further)


def _against(metric: metrics.Metric, soft_NC: Tensor, probabilities_NC: Tensor, target_N: Tensor) -> Tensor:
    """Return a metric against soft labels, in the form of one against classes."""
    return metric(probabilities_NC, soft_NC)
