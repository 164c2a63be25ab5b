"""The initial weights of this project's networks."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn


def init_normal(weight: Tensor, mode: Literal["fan_in", "fan_out"] = "fan_in") -> None:
    """Initialise the weights of a layer before a ReLU as in He et al. 2015; do nothing on the meta device."""
    if not weight.is_meta:  # there, torch would import its compiler and change nothing
        nn.init.kaiming_normal_(weight, mode=mode, nonlinearity="relu")
