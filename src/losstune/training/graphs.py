"""Functions that run again and again without the host: held by a CUDA graph, or called one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

NUM_STREAMS = 32
"""torch has so many streams a device, and hands them out in turn."""


class Repeated(Protocol):
    """Functions of one stream each, which run side by side when the device can."""

    def __call__(self) -> Tensor | None:
        """Run them; return what they return, stacked, if that is tensors. It is valid until the next call."""


class Called:
    """Calls the functions, one after another."""

    def __init__(self, functions: Sequence[Callable[[], Tensor | None]]) -> None:
        self._functions = functions

    def __call__(self) -> Tensor | None:
        """Call them."""
        return _stacked([function() for function in self._functions])


class Captured:
    """Captures the functions in a CUDA graph, in which each has a stream of its own.

    Each function has run on its stream before, because autograd remembers the stream. They must read and write nothing
    but memory of the device.

    Args:
        functions: What to capture.
        streams: The stream of each.
        pool: Memory pool; graphs that never run at the same time share one.
    """

    def __init__(
        self, functions: Sequence[Callable[[], Tensor | None]], streams: Sequence[torch.cuda.Stream], pool: Any
    ) -> None:
        self._graph = torch.cuda.CUDAGraph()
        origin = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        # Threads of other parts, such as MLflow's, may call CUDA meanwhile.
        with torch.cuda.graph(self._graph, pool=pool, stream=origin, capture_error_mode="thread_local"):
            results = []
            for function, stream in zip(functions, streams, strict=True):
                stream.wait_stream(origin)
                with torch.cuda.stream(stream):
                    results.append(function())
            for stream in streams:
                origin.wait_stream(stream)
            self._output = _stacked(results)

    def __call__(self) -> Tensor | None:
        """Replay the graph."""
        self._graph.replay()
        return self._output


def _stacked(results: Sequence[Tensor | None]) -> Tensor | None:
    tensors = [result for result in results if result is not None]
    return torch.stack(tensors) if tensors else None
