"""A trained network for users: stored input in, class probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import Tensor, nn


class Classifier(nn.Module):
    """Map input in stored units to class probabilities: link(network((input - mean) / std)).

    The network always runs in evaluation mode. If torch can trace the link, ``torch.export`` can export the
    classifier with a dynamic batch size.

    Attributes:
        network: Maps normalised input to logits.
        mean: Buffer (C, 1, 1) or (D,), in stored units.
        std: Buffer (C, 1, 1) or (D,), in stored units.
        link: Maps logits (N, K) to probabilities (N, K): the loss's link, such as ``BoundLoss.probabilities``.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        link: Callable[[Tensor], Tensor],
        *,
        images: bool = True,
    ) -> None:
        """Wrap a trained network.

        Args:
            network: Maps normalised input to logits; switched to evaluation mode.
            mean: Mean of each channel or feature over the training split, in stored units: 0 to 255 for uint8.
            std: Standard deviation, as `mean`; above 0.
            link: Maps logits to probabilities.
            images: Whether samples are images (C, H, W); otherwise they are features (D,).

        Raises:
            ValueError: If `mean` and `std` differ in length, or `std` is not positive.
        """
        super().__init__()
        if len(mean) != len(std) or min(std) <= 0:
            raise ValueError(f"expected as many std as mean, all above 0, found mean {mean!r} and std {std!r}")
        self.network = network
        self.link = link
        shape = (-1, 1, 1) if images else (-1,)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(shape))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(shape))
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, so that predictions depend neither on the rest of the batch nor on dropout."""
        return super().train(False)

    def forward(self, input_: Tensor) -> Tensor:
        """Return class probabilities (N, K) for stored input (N, C, H, W) or (N, D), uint8 or float32."""
        return self.link(self.network((input_.to(torch.float32) - self.mean) / self.std))
