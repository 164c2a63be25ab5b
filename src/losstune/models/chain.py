"""A network whose layers follow one another: a body and a head, which the loss may replace."""

from __future__ import annotations

from torch import Tensor, nn


class Chain(nn.Sequential):
    """Layers of which the last :attr:`num_head` are the head."""

    num_head = 1

    @property
    def body(self) -> list[nn.Module]:
        """The layers before the head."""
        return list(self)[: -self.num_head]

    def head(self, features: Tensor) -> Tensor:
        """Return the logits (N, C) for the output of the body."""
        for layer in list(self)[-self.num_head :]:
            features = layer(features)
        return features
