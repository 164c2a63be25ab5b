"""The smallest images that a network takes."""

from __future__ import annotations

from collections.abc import Sequence

from losstune.core.errors import LosstuneError


def require_sides(model: str, sides: Sequence[int], smallest: int) -> None:
    """Check the sides of the images of a built-in network.

    Raises:
        LosstuneError: If the shorter one has fewer pixels than the network needs.
    """
    if min(sides) < smallest:
        raise LosstuneError(
            f"model.name: {model!r} needs images of at least {smallest}x{smallest} pixels, found {sides[0]}x{sides[1]}"
            "; 'cnn' and 'mlp' take any size"
        )
