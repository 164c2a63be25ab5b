"""What each loss costs beside cross-entropy: time of forward and backward, and peak memory, as ratios.

    python benchmarks/losses.py                     # on the GPU if there is one, else on one CPU core
    python benchmarks/losses.py --compiled --losses focal gce entmax

Each loss's step alternates with a step of ``F.cross_entropy`` on the same logits, so that a machine that is slower
for a while is so for both; the time is the median of the paired ratios. Memory is the peak of what a step
allocates, the logits themselves left out: counted by the CUDA allocator on a GPU, on a CPU tensor by tensor (not
with ``--compiled``, whose buffers can't be seen). Both losses are compiled with ``--compiled``, or neither.

The aim is 3 at most for a closed form, and 6 for a loss that has to sort or to search for a root.
"""

from __future__ import annotations

import argparse
import statistics
import time
import weakref
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from losstune.losses.registry import get, registry
from losstune.losses.spec import BoundLoss

SHAPES = ((1024, 10), (1024, 1000), (64, 32000))
SEARCHING = {"bi_tempered", "entmax"}
"""Losses that sort or search for a root."""

Step = Callable[[], object]


class PeakMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that live at the same time, from those made while it is active."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live, self.peak = 0, 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {id_of(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and id_of(leaf) not in given | self._known:
                self._add(leaf)
        return result

    def _add(self, tensor: Tensor) -> None:
        storage, identity = tensor.untyped_storage(), id_of(tensor)
        size = storage.nbytes()
        self._known.add(identity)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._remove, identity, size)

    def _remove(self, identity: int, size: int) -> None:
        self._known.discard(identity)
        self.live -= size


def id_of(tensor: Tensor) -> int:
    """Return what is the same for two views of one memory."""
    return int(tensor.untyped_storage()._cdata)


def make_step(loss: Callable[[Tensor, Tensor], Tensor], logits_NC: Tensor, target_N: Tensor) -> Step:
    """Return a function that runs the loss forward and backward once."""

    def step() -> None:
        logits_NC.grad = None
        loss(logits_NC, target_N).mean().backward()  # type: ignore[no-untyped-call]

    return step


def seconds(step: Step, num_calls: int, device: str) -> float:
    """Return the time of a call, in seconds."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(num_calls):
        step()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / num_calls


def peak_bytes(step: Step, device: str) -> int:
    """Return the most bytes that a call holds at once, beyond what it is given."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        torch.cuda.synchronize()
        return int(torch.cuda.max_memory_allocated() - before)
    memory = PeakMemory()
    with memory:
        step()
    return memory.peak


def cross_entropy(logits_NC: Tensor, target_N: Tensor) -> Tensor:
    """Return what all is compared with."""
    return F.cross_entropy(logits_NC, target_N, reduction="none")


def compare(
    loss: BoundLoss, shape: tuple[int, int], device: str, *, compiled: bool, repeats: int
) -> tuple[float, float | None]:
    """Return the ratios of time and of peak memory to cross-entropy's."""
    generator = torch.Generator().manual_seed(0)
    num_samples, num_classes = shape
    logits_NC = (2 * torch.randn(shape, generator=generator)).to(device).requires_grad_()
    target_N = torch.randint(num_classes, (num_samples,), generator=generator).to(device)
    functions: list[Callable[[Tensor, Tensor], Tensor]] = [lambda z, y: loss(z, y), cross_entropy]
    if compiled:
        torch.compiler.reset()
        functions = [torch.compile(function, fullgraph=True, dynamic=False) for function in functions]
    ours, reference = (make_step(function, logits_NC, target_N) for function in functions)
    for step in (ours, reference):
        step()
        step()
    # About 50 ms a measurement, so that the clock doesn't matter.
    num_calls = max(1, min(500, int(0.05 / seconds(reference, 5, device))))
    ratios = [seconds(ours, num_calls, device) / seconds(reference, num_calls, device) for _ in range(repeats)]
    if compiled and device == "cpu":
        return statistics.median(ratios), None
    logits_NC.grad = None
    memory = peak_bytes(ours, device)
    logits_NC.grad = None
    return statistics.median(ratios), memory / peak_bytes(reference, device)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--losses", nargs="+", default=list(registry()), help="all by default")
    parser.add_argument("--compiled", action="store_true", help="through torch.compile, some 10 s a loss and shape")
    parser.add_argument("--repeats", type=int, default=7, help="pairs of measurements")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        torch.set_num_threads(1)
    print(f"device {device}, torch {torch.__version__}, {'compiled' if options.compiled else 'eager'}")
    print("time and peak memory of forward and backward, cross_entropy = 1")
    print(f"{'':<22}" + "".join(f"{f'({n}, {c})':>18}" for n, c in SHAPES))
    for name in options.losses:
        cells = []
        for shape in SHAPES:
            ratio, memory = compare(get(name).bind(), shape, device, compiled=options.compiled, repeats=options.repeats)
            over = "!" if ratio > (6 if name in SEARCHING else 3) else " "
            cells.append(f"{ratio:9.1f}{over}" + (f"{memory:7.1f} " if memory is not None else " " * 8))
        print(f"{name:<22}" + "".join(cells), flush=True)
    print("! above the aim: 3 for a closed form, 6 for one that sorts or searches")


if __name__ == "__main__":
    main()
