"""Early stopping by patience: ``training.patience``."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from losstune.core.metric import Metric


class BestEpoch:
    """The best epoch of a training so far, by its score on the validation split, with its weights.

    Args:
        metric: The metric that selects.
        patience: Epochs without a better score after which the training ends.
    """

    def __init__(self, metric: Metric, patience: int) -> None:
        self._metric, self._patience = metric, patience
        self._num_without = 0
        self._weights: dict[str, Tensor] = {}
        self.scores: Mapping[str, float] = {}

    @property
    def is_over(self) -> bool:
        """Whether the training ends."""
        return self._num_without >= self._patience

    def add(self, scores: Mapping[str, float], network: nn.Module) -> None:
        """Add an epoch; of two equal scores, the earlier one is the best."""
        name, sign = self._metric.name, self._metric.sign
        if not self.scores or sign * scores[name] > sign * self.scores[name]:
            self._num_without, self.scores = 0, scores
            self._weights = {key: value.detach().clone() for key, value in network.state_dict().items()}
        else:
            self._num_without += 1

    def restore(self, network: nn.Module) -> None:
        """Load the weights of the best epoch."""
        network.load_state_dict(self._weights)
