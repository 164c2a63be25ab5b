"""What runs in a worker: packs of trainings, each stored as soon as it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import ray
from ray import tune

from losstune.core.errors import LosstuneError
from losstune.core.metric import Metric
from losstune.execution.trials.retries import Pack
from losstune.study.asha import Reached
from losstune.study.jobs import Timed, TrainPack
from losstune.study.ledger_writer import LedgerWriter
from losstune.study.provenance import public_versions
from losstune.training.sharing import SharedArrays
from losstune.training.task import Arrays, TrainingResult

REPORT_SEC = 0.5
"""How often a worker reports what it has stored. Tune takes some 15 ms for each report."""

OTHER_LIBRARIES = "has other libraries:"

Found = bytes | Timed | LosstuneError
"""How a training ended: its entry in the ledger as JSON, its result if the driver is to store it, or why it cannot be
stored."""


class _OtherLibrariesError(Exception):
    pass


class Asha:
    """Asks the process that decides for all workers whether a training continues.

    Args:
        decisions: Handle of the Ray actor of a :class:`losstune.study.asha.Decisions`.
        rungs: The epochs after which it is asked.
        metric: The metric that ranks.
    """

    def __init__(self, decisions: Any, rungs: tuple[int, ...], metric: Metric) -> None:
        self._decisions, self.rungs, self._metric = decisions, rungs, metric

    def goes_on(self, pack: Pack, number: int, result: TrainingResult) -> bool:
        """Return whether a training of a pack continues."""
        reached = Reached.of(pack.jobs[number], result, self._metric)
        return bool(ray.get(self._decisions.goes_on.remote(reached)))


class PackTrial(tune.Trainable):  # type: ignore[misc]
    """A trial of Tune trains a pack. One worker trains many packs, one after another.

    A step of the trial reports the trainings that ended in it, by their numbers in the pack.
    """

    def setup(  # noqa: D102
        self,
        config: dict[str, Any],
        *,
        arrays: Arrays | SharedArrays,
        train: TrainPack,
        asha: Asha | None,
        writer: LedgerWriter | None,
        versions: dict[str, str],
    ) -> None:
        # Nodes may join a cluster while the study runs.
        if versions and (found := public_versions(tuple(versions))) != versions:
            raise _OtherLibrariesError(f"{OTHER_LIBRARIES} {found}, expected {versions}")
        self._arrays = arrays.opened() if isinstance(arrays, SharedArrays) else arrays
        self._train, self._asha, self._writer = train, asha, writer
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:  # noqa: D102
        pack: Pack = new_config["pack"]
        asha = self._asha

        def goes_on(number: int, result: TrainingResult) -> bool:
            return asha is not None and asha.goes_on(pack, number, result)

        self._pack, self._num_left = pack, len(pack.jobs)
        self._progress: Iterator[tuple[int, Timed]] = self._train(
            [job.task for job in pack.jobs], self._arrays, asha.rungs if asha else (), goes_on
        )
        return True

    def step(self) -> dict[str, Any]:  # noqa: D102
        found: list[tuple[int, Found]] = []
        until = time.monotonic() + (REPORT_SEC if self._writer else 0.0)
        for number, timed in self._progress:
            found.append((number, self._kept(number, timed)))
            self._num_left -= 1
            if self._num_left and time.monotonic() >= until:
                break
        return {"found": found, "done": self._num_left == 0}

    def get_auto_filled_metrics(self, *_: Any, **__: Any) -> dict[str, Any]:  # noqa: D102
        # Tune would send back the whole configuration, and thus the pack, with every report.
        return {"trial_id": self.trial_id}

    def _kept(self, number: int, timed: Timed) -> Found:
        # The driver decides whether a training that ran out of memory is retried.
        if self._writer is None or timed.out_of_memory:
            return timed
        try:
            return self._writer.write(self._pack.jobs[number], timed).model_dump_json().encode()
        except LosstuneError as error:
            return error
