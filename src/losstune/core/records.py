"""Records of finished trainings: frozen rows, written once, read by everything else."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 3

Status = Literal["finished", "stopped", "diverged", "failed"]
"""``finished``: trained to the last epoch. ``stopped``: ended early by ASHA. ``diverged``: the training loss or an
output became NaN or infinite. ``failed``: an exception. The last two carry the worst score of every metric."""

Stage = Literal["tune", "confirm"]
Role = Literal["trial", "block", "control", "degraded"]
"""``trial``: a configuration of the search. ``block``: a winner on a fresh seed. ``control``: the baseline's winning
configuration trained with the loss that equals it, on the first block's seeds: it must agree to the bit.
``degraded``: the baseline's winner at a hundredth of its learning rate, on a block's seeds: it must be found worse."""


class Row(BaseModel):
    """An immutable row; JSON writes an infinite value as the text ``Infinity``."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Configuration(Row):
    """A point of the search space.

    Attributes:
        loss: Name of the loss.
        hyperparameters: The loss's own, by name.
        learning_rate: Peak learning rate.
        weight_decay: Decoupled from the gradient with ``adamw``, an L2 penalty with ``sgd``.
    """

    loss: str
    hyperparameters: dict[str, int | float]
    learning_rate: float
    weight_decay: float


class Epoch(Row):
    """One epoch of a learning curve.

    Attributes:
        epoch: Counted from 1.
        learning_rate: At the epoch's last step.
        train_loss: Mean training loss over the epoch's samples, in the loss's own units.
        validation: Metric name to value, measured after the epoch on the validation split.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    validation: dict[str, float]


class Calibration(Row):
    """How well test probabilities fit what happened, for one way of making probabilities of the model's outputs.

    Attributes:
        nll: In nats, see :func:`losstune.training.metrics.evaluate`.
        brier: Mean squared distance from the one-hot truth, 0 to 2.
        bins: By bin of the confidence, (i/15, (i+1)/15], the number of samples, how many of them were recognised,
            and the sum of their confidences.
    """

    nll: float
    brier: float
    bins: tuple[tuple[int, int, float], ...]


class Record(Row):
    """A finished training. It holds nothing that differs between two runs of the same commit on the same machine.

    Attributes:
        schema_version: Of this row's layout.
        key: SHA-256 of all that determines the result (64 hex digits); the identity of the work.
        stage: Which stage asked for it.
        role: What it is for, see :data:`Role`.
        search: Which of its loss's independent searches, from 0: the one a trial belongs to, or whose winner a block
            retrains.
        index: Number within that search: of a trial (0 is the published defaults), or of a block.
        seed: Root of the training's random streams.
        configuration: What was trained.
        status: How it ended, see :data:`Status`.
        cause: Why it diverged or failed, in one line; None otherwise.
        num_parameters: Trainable parameters of the model.
        curve: One entry per finished epoch.
        validation: Final metrics on the validation split.
        test: Final metrics on the test split; None where it was not read.
        confusion: Test-split counts, ``confusion[true][predicted]``; None where it was not read.
        predictions: Predicted class of every sample of the test split, see :func:`losstune.core.labels.pack`; None
            where it was not read.
        calibration: On the test split, by way of making probabilities: ``softmax`` of the bare outputs, the loss's
            own ``link``, and ``scaled``, softmax of the outputs over `temperature`; None where it was not read.
        temperature: Fitted on the validation split; None where the test split was not read.
    """

    schema_version: int = SCHEMA_VERSION
    key: str
    stage: Stage
    role: Role
    search: int = 0
    index: int
    seed: int
    configuration: Configuration
    status: Status
    cause: str | None = None
    num_parameters: int
    curve: tuple[Epoch, ...]
    validation: dict[str, float]
    test: dict[str, float] | None = None
    confusion: tuple[tuple[int, ...], ...] | None = None
    predictions: str | None = None
    calibration: dict[str, Calibration] | None = None
    temperature: float | None = None

    @property
    def number(self) -> str:
        """Return search and index as people read them, ``0.3``."""
        return f"{self.search}.{self.index}"


def place_of(record: Record, num_searches: int) -> int:
    """Return where a block comes in the order of all: the first of every search, then the second of every search.

    The order is that in which anytime stopping looks; `num_searches` blocks in a row are one of each search.
    """
    return record.index * num_searches + record.search


class Execution(Row):
    """How and when a record came about; differs from run to run and is kept apart for that reason.

    Attributes:
        key: Of the record.
        started_at: Unix time, seconds.
        duration_sec: Wall-clock of the training with its evaluations.
        device: Kind of device, ``"cpu"`` or ``"cuda"``.
        commit: Git commit that trained it, with ``-dirty`` where the work tree differed; None outside Git.
        processor: Model of the CPU or GPU that trained it; None where it is not known.
    """

    key: str
    started_at: float
    duration_sec: float
    device: str
    commit: str | None
    processor: str | None = None


class Entry(Row):
    """A finished training as the ledger keeps it."""

    record: Record
    execution: Execution
