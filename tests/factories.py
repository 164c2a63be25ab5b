"""Fabricated records for tests: every field has a plausible value, a test names only what it is about."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

from losstune.core.records import Configuration, Epoch, Execution, Record, Role, Stage, Status

WORST_SCORES = {"accuracy": 0.0, "balanced_accuracy": 0.0, "macro_f1": 0.0, "nll": math.inf, "brier": 2.0, "ece": 1.0}


def make_scores(accuracy: float, **replaced: float) -> dict[str, float]:
    """All six metrics of a model of that accuracy, the rest derived from it."""
    error = 1.0 - accuracy
    scores = {
        "accuracy": accuracy,
        "balanced_accuracy": accuracy * 0.99,
        "macro_f1": accuracy * 0.98,
        "nll": 0.05 + 3.0 * error,
        "brier": 1.5 * error,
        "ece": 0.01 + 0.2 * error,
    }
    return scores | replaced


def make_confusion(accuracy: float, num_classes: int = 3, num_samples: int = 90) -> tuple[tuple[int, ...], ...]:
    """Counts of about that accuracy: the errors of a class go to the next one."""
    per_class = num_samples // num_classes
    correct = round(accuracy * per_class)
    rows = [[0] * num_classes for _ in range(num_classes)]
    for label in range(num_classes):
        rows[label][label] = correct
        rows[label][(label + 1) % num_classes] = per_class - correct
    return tuple(tuple(row) for row in rows)


def make_record(
    *,
    loss: str = "cross_entropy",
    stage: Stage = "tune",
    role: Role | None = None,
    search: int = 0,
    index: int = 0,
    accuracy: float = 0.9,
    status: Status = "finished",
    seed: int = 1,
    hyperparameters: Mapping[str, int | float] | None = None,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-2,
    curve: Sequence[float] | None = None,
    num_epochs: int = 3,
    num_classes: int = 3,
    test: Mapping[str, float] | None = None,
) -> Record:
    """A record that ends at `accuracy`; `curve` is the validation accuracy of every epoch."""
    lost = status in ("diverged", "failed")
    role = role or ("trial" if stage == "tune" else "block")
    if curve is not None:
        accuracy = curve[-1]
    else:
        curve = [] if lost else [accuracy - 0.1 / (epoch + 1) for epoch in range(num_epochs - 1)] + [accuracy]
    scores = WORST_SCORES if lost else make_scores(accuracy)
    identity = f"{loss}/{stage}/{role}/{search}/{index}/{status}/{seed}/{learning_rate}/{weight_decay}"
    return Record(
        key=hashlib.sha256(identity.encode()).hexdigest(),
        stage=stage,
        role=role,
        search=search,
        index=index,
        seed=seed,
        configuration=Configuration(
            loss=loss,
            hyperparameters=dict(hyperparameters or {}),
            learning_rate=learning_rate,
            weight_decay=weight_decay,
        ),
        status=status,
        cause="a gradient became NaN at epoch 1" if lost else None,
        num_parameters=1234,
        curve=tuple(
            Epoch(
                epoch=number,
                learning_rate=learning_rate,
                train_loss=1.0 / number,
                validation={name: value for name, value in make_scores(score).items() if name != "ece"},
            )
            for number, score in enumerate(curve, start=1)
        ),
        validation=dict(scores),
        test=None if stage == "tune" else dict(test or scores),
        confusion=None if stage == "tune" else make_confusion(0.0 if lost else accuracy, num_classes),
    )


def make_execution(record: Record, *, duration_sec: float = 2.0) -> Execution:
    """How `record` came about."""
    return Execution(
        key=record.key, started_at=1_700_000_000.0, duration_sec=duration_sec, device="cpu", commit="0" * 40
    )
