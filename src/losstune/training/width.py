"""How many trainings of a kind a GPU takes side by side: measured while they train."""

from __future__ import annotations

from collections.abc import Hashable

GROWTH = 4
LEAST_GAIN = 1.25
"""A group of four times as many trainings has to finish this many times as many in a second, or the growth ends."""

MAX_WIDTH = 64
MEMORY_SHARE = 0.8
"""Share of the free memory that a group may take."""


class Width:
    """The size of the groups of one kind of training: 1, 4, 16, 64, as long as larger groups are quicker a training.

    The result of a training does not depend on the size of its group.

    Args:
        fixed: The size that the user set; None to measure it.
    """

    def __init__(self, fixed: int | None = None) -> None:
        self._size = fixed or 1
        self._is_growing = fixed is None
        self._rate = 0.0

    @property
    def size(self) -> int:
        """The largest size of the next group."""
        return self._size

    def add(self, size: int, seconds: float, bytes_each: int, free_bytes: int) -> None:
        """Add what a group took.

        Args:
            size: Its number of trainings; a group smaller than :attr:`size` says nothing about it.
            seconds: Its wall-clock time.
            bytes_each: Memory of a training.
            free_bytes: Memory that is free without the group.
        """
        if not self._is_growing or size < self._size:
            return
        rate = size / seconds
        if rate < LEAST_GAIN * self._rate:
            # A size that gains nothing is kept only if it loses nothing: it was measured once.
            self._is_growing = False
            self._size = size if rate > self._rate else max(1, size // GROWTH)
            return
        self._rate = rate
        most = int(MEMORY_SHARE * free_bytes / max(1, bytes_each))
        self._size = max(1, min(GROWTH * size, MAX_WIDTH, most))
        self._is_growing = self._size > size

    def shrink(self, size: int) -> bool:
        """Halve the size after a group ran out of memory; return whether a smaller group is possible."""
        self._size, self._is_growing = max(1, size // 2), False
        return size > 1


_widths: dict[Hashable, Width] = {}


def width_of(kind: Hashable, fixed: int | None) -> Width:
    """Return the width of a kind of training, which this process keeps."""
    return _widths.setdefault((kind, fixed), Width(fixed))
