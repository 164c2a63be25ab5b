"""The exponential moving average of the weights: ``training.ema``."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

WARMUP = (1, 10)
"""TensorFlow's ``num_updates``: the decay after n steps is at most (1 + n) / (10 + n), so that the average of a short
training is not that of its first steps."""


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of the network that averages weights and buffers, such as the statistics of batch normalisation.

    The first update copies them.

    Args:
        network: The network, on its device.
        decay: Share of the average that a step keeps.
    """

    def update(averages: Sequence[Tensor], current: Sequence[Tensor], _: Tensor | int) -> None:
        num = int(model.n_averaged)  # on the host, unlike the argument
        share = min(decay, (WARMUP[0] + num) / (WARMUP[1] + num))
        get_ema_multi_avg_fn(share)(averages, current, num)  # type: ignore[no-untyped-call]

    model = AveragedModel(network, multi_avg_fn=update, use_buffers=True)
    return model
