"""Records of finished trainings: frozen rows, written once, read by everything else."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

SCHEMA_VERSION = 3

Status = Literal["finished", "stopped", "diverged", "failed"]
"""``finished``: trained to the last epoch. ``stopped``: ended early by ASHA. ``diverged``: the training loss or an
output became NaN or infinite. ``failed``: an exception. The last two carry the worst score of every metric."""

Stage = Literal["tune", "confirm"]
Role = Literal["trial", "block", "control", "degraded"]
"""``trial``: a configuration of the search. ``block``: a winner on a fresh seed. ``control``: the baseline's winning
configuration, trained with the loss that equals the baseline, on the first block's seeds: the results must be
bit-identical. ``degraded``: the baseline's winner at a hundredth of its learning rate, on a block's seeds: the
analysis must find it worse."""


class Row(BaseModel):
    """An immutable row; JSON writes an infinite value as the text ``Infinity``."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Configuration(Row):
    """A point of the search space.

    Attributes:
        loss: Name of the loss.
        hyperparameters: Values of the loss's hyperparameters, by name.
        learning_rate: Peak learning rate.
        weight_decay: Decoupled with ``adamw`` and ``muon``, an L2 penalty with the other optimisers.
        settings: Values of further settings that are searched, by their name in ``training``; not written if empty.
    """

    loss: str
    hyperparameters: dict[str, int | float]
    learning_rate: float
    weight_decay: float
    settings: dict[str, float] = {}

    @property
    def further(self) -> dict[str, int | float]:
        """Every value by its name, without learning rate and weight decay."""
        return {**self.settings, **self.hyperparameters}

    @property
    def values(self) -> dict[str, int | float]:
        """Every value by its name."""
        return {"learning_rate": self.learning_rate, "weight_decay": self.weight_decay, **self.further}

    @model_serializer(mode="wrap")
    def _without_empty_settings(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = serialize(self)
        if not values.get("settings", True):
            del values["settings"]
        return values


class Epoch(Row):
    """One epoch of a learning curve.

    Attributes:
        epoch: Number of the epoch, from 1.
        learning_rate: Learning rate of the epoch's last step.
        train_loss: Mean training loss over the epoch's samples, in the units of the loss.
        validation: Metric name to value on the validation split, measured after the epoch.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    validation: dict[str, float]


class Calibration(Row):
    """Calibration on the test split, for one way to compute probabilities from the model's outputs.

    Attributes:
        nll: Negative log-likelihood in nats, see :func:`losstune.training.metrics.evaluate`.
        brier: Mean squared distance from the one-hot target, 0 to 2.
        bins: For each confidence bin (i/15, (i+1)/15], the number of samples, the number of correct predictions,
            and the sum of the confidences.
    """

    nll: float
    brier: float
    bins: tuple[tuple[int, int, float], ...]


class Record(Row):
    """A finished training. Two runs of the same commit on the same machine give the same record.

    The attributes about the test split are None if the training did not read it.

    Attributes:
        schema_version: Version of this row's layout.
        key: SHA-256 of everything that determines the result (64 hex digits); identifies the training.
        stage: The stage that requested it.
        role: Its purpose, see :data:`Role`.
        search: Number of the loss's independent search, from 0: the search of a trial, or the search whose winner a
            block retrains.
        index: Number of the trial (0 is the published defaults) or block within that search.
        seed: Root of the training's random streams.
        configuration: What was trained.
        status: How it ended, see :data:`Status`.
        cause: Why it diverged or failed, in one line; None otherwise.
        num_parameters: Number of the model's trainable parameters.
        curve: One entry per finished epoch.
        validation: Final metrics on the validation split.
        test: Final metrics on the test split.
        confusion: Counts on the test split, ``confusion[true][predicted]``.
        balanced_hits: Test samples of each class that the predictions of balanced accuracy get right, of a loss whose
            outputs ignore the class prior; None where these are the predictions of `confusion`.
        predictions: Predicted class of every sample of the test split, see :func:`losstune.core.labels.pack`.
        calibration: Calibration on the test split for three kinds of probabilities: ``softmax`` of the outputs, the
            loss's ``link``, and ``scaled``, the softmax of the outputs divided by `temperature`.
        temperature: Temperature fitted on the validation split; None if the test split was not read.
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
    balanced_hits: tuple[int, ...] | None = None
    predictions: str | None = None
    calibration: dict[str, Calibration] | None = None
    temperature: float | None = None

    @property
    def number(self) -> str:
        """Return search and index for display, ``0.3``."""
        return f"{self.search}.{self.index}"


def place_of(record: Record, num_searches: int) -> int:
    """Return a block's position in the order of all blocks: first the first of every search, then the second.

    Anytime stopping tests the blocks in this order. Any `num_searches` consecutive blocks hold one of each search.
    """
    return record.index * num_searches + record.search


class Execution(Row):
    """How and when a record was produced. It differs from run to run, so it is separate from the record.

    Attributes:
        key: Key of the record.
        started_at: Unix time, seconds.
        duration_sec: Wall-clock time of the training with its evaluations.
        device: Kind of device, ``"cpu"`` or ``"cuda"``.
        commit: Git commit that trained it, with ``-dirty`` if the work tree had changes; None outside Git.
        processor: Model of the CPU or GPU that trained it; None if unknown.
        note: Why it was trained more slowly than others on a GPU; None if it was not.
    """

    key: str
    started_at: float
    duration_sec: float
    device: str
    commit: str | None
    processor: str | None = None
    note: str | None = None


class Entry(Row):
    """A finished training as stored in the ledger."""

    record: Record
    execution: Execution
