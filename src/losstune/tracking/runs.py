"""MLflow's view of a stage and its trainings: names, tags, parameters, metrics. Does not import mlflow."""

from __future__ import annotations

import getpass
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from losstune.core.records import Entry, Record, Status
from losstune.study.provenance import Provenance

Scalar = str | int | float

RUN_STATUS: Mapping[Status, str] = {
    "finished": "FINISHED",
    # A trial that ASHA stopped is finished as planned. The tag losstune.status tells that it was stopped.
    "stopped": "FINISHED",
    "diverged": "FAILED",
    "failed": "FAILED",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInput:
    """The dataset of a run in MLflow.

    Attributes:
        name: Such as ``"digits"``.
        digest: Hash of the prepared data. MLflow shows its beginning, and the tag ``losstune.data_digest`` all of it.
        source: Origin of the data, in words or as a URL without credentials.
        num_rows: Size of the training split.
        profile: Further facts, such as the sizes of the other splits.
    """

    name: str
    digest: str
    source: str
    num_rows: int | None = None
    profile: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRun:
    """The execution of a stage, which is the parent run.

    Attributes:
        stage: Such as ``"tune"``.
        key: Identity of the planned trainings. An execution that resumes them reuses the parent run.
        name: Name of the run.
        params: The study's settings. Each child repeats them, because MLflow's filters ignore parents.
        tags: Tags such as ``protocol_hash``, named without the prefix ``losstune.``. Each child repeats them.
        dataset: The training data, if any.
        families: Family of each loss, which becomes a tag for filters.
        metric: The study's metric, by which the views of a new experiment are ordered.
        minimize: Whether a lower value of it is better.
        secondary: The metrics that the study names besides it, which the views show, too.
    """

    stage: str
    key: str
    name: str
    params: Mapping[str, Scalar] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    dataset: DatasetInput | None = None
    families: Mapping[str, str] = field(default_factory=dict)
    metric: str = "accuracy"
    minimize: bool = False
    secondary: tuple[str, ...] = ()


class Point(NamedTuple):
    """A value of a metric. The step is an epoch, the time is in milliseconds since 1970."""

    name: str
    value: float
    step: int
    timestamp_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A training as a run of MLflow."""

    key: str
    name: str
    status: str
    started_ms: int
    ended_ms: int
    tags: Mapping[str, str]
    params: Mapping[str, str]
    points: tuple[Point, ...]


def child_of(entry: Entry, run: StageRun, facts: Provenance) -> Child:
    """Return the run of a training. It depends only on the arguments, its times included."""
    record, execution = entry.record, entry.execution
    return Child(
        key=record.key,
        name=name_of(record),
        status=RUN_STATUS[record.status],
        started_ms=_milliseconds(execution.started_at),
        ended_ms=_milliseconds(execution.started_at + execution.duration_sec),
        tags=_tags_of(entry, run, facts),
        params=_params_of(record, run),
        points=tuple(_points_of(entry)),
    )


def name_of(record: Record) -> str:
    """Return, say, ``focal #0.3 lr=0.0012 gamma=2`` (search 0, trial 3).

    The name of a block is ``focal · block 0.3 lr=…``, that of a control ``kl_divergence · control lr=…``.
    """
    configuration, number = record.configuration, record.number
    loss = configuration.loss
    who = {"trial": f"{loss} #{number}", "block": f"{loss} · block {number}"}.get(
        record.role, f"{loss} · {record.role}"
    )
    values = {"lr": configuration.learning_rate, **configuration.further}
    return " ".join([who, *(f"{name}={value:.3g}" for name, value in values.items())])


def stage_tags(run: StageRun, facts: Provenance) -> dict[str, str]:
    """Return the parent's tags."""
    tags = {
        **_shared_tags(run, facts),
        **_git_tags(run, facts, facts.git.short_commit),
        "losstune.key": run.key,
        "losstune.role": "stage",
        "losstune.hardware": f"{facts.hardware.cpu}, {facts.hardware.num_cores} cores"
        + "".join(f", {gpu}" for gpu in facts.hardware.gpus),
    }
    return tags | {f"losstune.version.{name}": version for name, version in facts.versions.items()}


def _tags_of(entry: Entry, run: StageRun, facts: Provenance) -> dict[str, str]:
    record, execution = entry.record, entry.execution
    tags = {
        **_shared_tags(run, facts),
        **_git_tags(run, facts, execution.commit),
        "losstune.key": record.key,
        "losstune.stage": record.stage,
        "losstune.loss": record.configuration.loss,
        "losstune.role": record.role,
        "losstune.search": str(record.search),
        "losstune.index": str(record.index),
        "losstune.seed": str(record.seed),
        "losstune.status": record.status,
        "losstune.device": execution.device,
    }
    family = run.families.get(record.configuration.loss)
    if family is not None:
        tags["losstune.family"] = family
    if record.stage == "confirm":
        tags["losstune.block"] = record.number
    if record.cause is not None:
        tags |= {"losstune.cause": record.cause, "mlflow.note.content": f"{record.status}: {record.cause}"}
    elif record.status == "stopped":
        epochs = f"{len(record.curve)} epoch" + "s" * (len(record.curve) != 1)
        tags["mlflow.note.content"] = f"stopped by ASHA: after {epochs} other trials of its search were better"
    return tags


def _shared_tags(run: StageRun, facts: Provenance) -> dict[str, str]:
    tags = {"losstune.stage": run.stage} | {f"losstune.{name}": value for name, value in run.tags.items()}
    optional = {"losstune.dvc_exp_name": facts.dvc_experiment, "losstune.dvc_exp_rev": facts.dvc_baseline}
    return tags | {name: value for name, value in optional.items() if value is not None}


def _git_tags(run: StageRun, facts: Provenance, commit: str | None) -> dict[str, str]:
    # The commit that trained, which may be earlier than the one that logs.
    tags = {"mlflow.user": _user(), "mlflow.source.name": f"losstune {run.stage}", "mlflow.source.type": "LOCAL"}
    if commit is None:
        return tags
    sha, dirty = commit.removesuffix("-dirty"), str(commit.endswith("-dirty")).lower()
    optional = {"mlflow.source.git.repoURL": facts.git.remote_url}
    if facts.git.commit is not None and facts.git.commit.startswith(sha):
        sha = facts.git.commit
        optional["mlflow.source.git.branch"] = facts.git.branch
    tags |= {"losstune.commit": commit, "losstune.dirty": dirty}
    tags |= {"mlflow.source.git.commit": sha, "mlflow.source.git.dirty": dirty}
    return tags | {name: value for name, value in optional.items() if value is not None}


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may have a user without a name
        return "unknown"


def _params_of(record: Record, run: StageRun) -> dict[str, str]:
    configuration = record.configuration
    loss = configuration.loss
    params: dict[str, Scalar] = {
        **run.params,
        "loss": loss,
        "learning_rate": configuration.learning_rate,
        "weight_decay": configuration.weight_decay,
        **configuration.settings,
        "num_parameters": record.num_parameters,
        **{f"{loss}.{name}": value for name, value in configuration.hyperparameters.items()},
    }
    return {name: str(value) for name, value in params.items()}


def _points_of(entry: Entry) -> Iterator[Point]:
    # Infinite values are left out: MLflow stores them as 1.8e308, which ruins the scale of charts.
    return (point for point in _all_points_of(entry) if math.isfinite(point.value))


def _all_points_of(entry: Entry) -> Iterator[Point]:
    record, execution = entry.record, entry.execution
    failed = record.status in ("diverged", "failed")
    # A diverged or failed training ends in the epoch after its last finished one.
    last = (record.curve[-1].epoch if record.curve else 0) + (1 if failed else 0)
    final = {f"val_{name}": value for name, value in record.validation.items()}
    final |= {f"test_{name}": value for name, value in (record.test or {}).items()}
    final |= {"duration_sec": execution.duration_sec, "epochs_done": float(len(record.curve))}

    def point(name: str, value: float, step: int) -> Point:
        share = step / max(last, 1)
        return Point(name, value, step, _milliseconds(execution.started_at + share * execution.duration_sec))

    for epoch in record.curve:
        yield point("train_loss", epoch.train_loss, epoch.epoch)
        yield point("learning_rate", epoch.learning_rate, epoch.epoch)
        for name, value in epoch.validation.items():
            if epoch.epoch != last or f"val_{name}" not in final:
                yield point(f"val_{name}", value, epoch.epoch)
    for name, value in final.items():
        yield point(name, value, last)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
