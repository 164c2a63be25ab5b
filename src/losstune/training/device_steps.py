"""The steps of a training without the host: the numbers of an epoch are drawn ahead, and the device counts the steps.

So a CUDA graph can hold a step. On a CPU, the same code runs step by step. Shape suffixes: N samples, S batches of an
epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from losstune.training import mixing
from losstune.training.mixing import Target
from losstune.training.policies import Drawn, Draws

if TYPE_CHECKING:
    from losstune.training.training import Training


def obstacle(training: Training) -> str | None:
    """Return what in a training's settings needs the host in every step or epoch; None if nothing does."""
    if training.augment is not None and not isinstance(training.augment, Drawn):
        return "training.augmentation changes each image by itself"
    if not training.data.is_resident:
        return "the data does not fit the device"
    if training.scorer.waits:
        return "a metric is your own"
    return None


class DeviceSteps:
    """A training whose steps and scores read and write nothing but memory of the device.

    An epoch is :meth:`begin_epoch`, :meth:`step` as often as `num_updates`, and :meth:`evaluate`. The last two can be
    captured, and have the same effect when they are replayed.

    Attributes:
        training: The training, of which :func:`obstacle` finds nothing.
        num_updates: Steps of the optimiser in an epoch.
    """

    def __init__(self, training: Training) -> None:
        self.training = training
        self._augment = training.augment if isinstance(training.augment, Drawn) else None
        self.num_updates = training.num_batches // training.accumulation
        data = training.data
        self._order_SN = torch.zeros(training.num_batches, training.batch_size, dtype=torch.int64, device=data.device)
        # float32 is what torch's fused optimisers read on a GPU.
        dtype = torch.float32 if data.device.type == "cuda" else torch.float64
        self._rates = torch.as_tensor(training.rates, dtype=dtype, device=data.device)
        self._average_rates = torch.tensor(training.average_rates, dtype=torch.float64, device=data.device)
        self._batch, self._step = (torch.zeros(1, dtype=torch.int64, device=data.device) for _ in range(2))
        self._total = torch.zeros((), device=data.device)
        self._draws: Draws = ()

    def begin_epoch(self) -> None:
        """Draw the epoch's order and all its other random numbers, and bring them to the device."""
        training = self.training
        order = training.draw_order()[: self._order_SN.numel()]
        draws = [self._drawn(training.augmentation) for _ in range(training.num_batches)]
        self._begin(order.view_as(self._order_SN), draws)

    def rewind(self) -> None:
        """Begin at the first step again, with the random numbers of the last epoch that was begun."""
        self._batch.zero_()
        self._step.zero_()

    def _begin(self, order_SN: Tensor, draws: list[Draws]) -> None:
        _fill(self._order_SN, order_SN)
        stacked = tuple(torch.stack(values) for values in zip(*draws, strict=True))
        if len(self._draws) != len(stacked):
            self._draws = tuple(torch.empty_like(values, device=self._order_SN.device) for values in stacked)
        for buffer, values in zip(self._draws, stacked, strict=True):
            _fill(buffer, values)
        self._batch.zero_()
        self._total.zero_()

    def step(self) -> None:
        """Train on the next batches, up to and with a step of the optimiser."""
        training = self.training
        training.network.train()
        for _ in range(training.accumulation):
            index_N = _at(self._order_SN, self._batch)
            inputs = training.data.inputs(training.data.train_images, index_N)
            draws = tuple(_at(buffer, self._batch) for buffer in self._draws)
            if self._augment is not None:
                inputs = self._augment.apply(inputs, draws[: self._augment.num])
                draws = draws[self._augment.num :]
            target = Target(training.target[index_N])
            if training.task.training.mixes:
                inputs, target = mixing.apply(inputs, target.own, training.task.training, draws)
            self._total.add_(training.backward(inputs, target))
            self._batch.add_(1)
        average_rate = 0.0 if training.average is None else _at(self._average_rates, self._step)
        training.update(_at(self._rates, self._step), average_rate)
        self._step.add_(1)

    @torch.no_grad()
    def evaluate(self) -> Tensor:
        """Return what :meth:`read` needs, float64: whether all outputs are finite, the epoch's loss, and the scores."""
        training, data = self.training, self.training.data
        logits = training.outputs(data.validation_images)
        probabilities = training.loss.probabilities(logits)
        is_finite = torch.isfinite(probabilities).all()
        balanced = logits.argmax(1) if training.loss.spec.balanced_outputs else None
        scores = training.scorer.values(
            torch.nan_to_num(probabilities), data.validation_labels, balanced, data.validation_targets
        )
        return torch.cat([torch.stack([is_finite.double(), self._total.double()]), scores])

    def read(self, epoch: int, values: list[float]) -> None:
        """Add an epoch to the training's curve."""
        is_finite, total, *scores = values
        names = self.training.scorer.names
        self.training.add_epoch(epoch, total, dict(zip(names, scores, strict=True)) if is_finite else None)

    def try_out(self) -> str | None:
        """Take two steps, evaluate, and undo it; return what prevents a capture, after which the training is spoilt.

        What libraries do at first is then done. Call it on the stream on which the steps will be captured.
        """
        training, network = self.training, self.training.network
        device, num_batches = training.data.device, training.num_batches
        networks = [network] if training.average is None else [network, training.average.module]
        tensors = [values for one in networks for values in chain(one.parameters(), one.buffers())]
        kept = [(values, values.detach().clone()) for values in tensors]
        states = _random_states(device)
        self._begin(torch.zeros_like(self._order_SN, device="cpu"), [self._drawn(torch.Generator())] * num_batches)
        self.step()
        self.rewind()
        with _waiting_is_an_error(device) as found:
            self.step()
            self.evaluate()
        self.rewind()
        if found:
            return "a step waits for the device"
        if any(not torch.equal(now, before) for now, before in zip(_random_states(device), states, strict=True)):
            return "the network draws random numbers, such as dropout's"
        with torch.no_grad():
            for values, before in kept:
                values.copy_(before)
        training.optimizer.reset()
        return None

    def _drawn(self, generator: torch.Generator) -> Draws:
        training = self.training
        shape = torch.Size((training.batch_size, *training.data.input_shape))
        draws: Draws = ()
        if self._augment is not None:
            draws += self._augment.draw(shape, generator)
        if training.task.training.mixes:
            draws += mixing.draw(shape, training.task.training, generator)
        return draws


@contextmanager
def _waiting_is_an_error(device: torch.device) -> Iterator[list[str]]:
    """End the block where the host waits for a GPU, with a message in the list that this yields."""
    found: list[str] = []
    if device.type != "cuda":
        yield found
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield found
    except RuntimeError as error:
        if "synchronizing" not in str(error):
            raise
        found.append(str(error))
    finally:
        torch.cuda.set_sync_debug_mode("default")


def _at(table: Tensor, position: Tensor) -> Tensor:
    """Return the row of a table at a position (1,) that the device knows."""
    return table.index_select(0, position).squeeze(0)


def _fill(buffer: Tensor, values: Tensor) -> None:
    is_apart = buffer.device != values.device
    buffer.copy_(values.pin_memory() if is_apart else values, non_blocking=is_apart)


def _random_states(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states
