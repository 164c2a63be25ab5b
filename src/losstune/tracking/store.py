"""Write a stage's execution and its trainings to MLflow. Called from one thread."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from losstune.tracking.address import Address
from losstune.tracking.bulk import BulkWriter
from losstune.tracking.connect import connect
from losstune.tracking.dataset import DIGEST_LENGTH, dataset_input
from losstune.tracking.model import TrainedModel, log_model
from losstune.tracking.runs import Child, StageRun
from losstune.tracking.views import view_tags

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Run

# MLflow's limits: 1000 entities a batch, 100 parameters, 100 tags.
MAX_METRICS_PER_BATCH = 800
MAX_PARAMS_PER_BATCH = 100
PAGE_SIZE = 1000

NOTE = "mlflow.note.content"
VERDICT = "Verdict:"


_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class _Known:
    """A run that the experiment already has."""

    run_id: str
    parent_id: str | None = None
    status: str = "RUNNING"
    outcome: str | None = None
    params: frozenset[str] = frozenset()
    ended_ms: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the run was written completely."""
        return self.status != "RUNNING"


class Store:
    """An MLflow experiment with the parent run of one stage's execution.

    Args:
        address: Address of MLflow.
        experiment: The experiment's name. It is created if missing, and restored if deleted.
        run: The stage's execution. An existing parent run with its key is reopened.
        tags: Tags of the parent.
        started_at: Start of a new parent, Unix time in seconds; None for now.
        resume: Whether an existing parent is running again. If false, its tags do not change, nor does its status if
            that is ``"FINISHED"``.

    Raises:
        Exception: Any exception of MLflow if it cannot be reached or used.
    """

    def __init__(
        self,
        address: Address,
        experiment: str,
        run: StageRun,
        tags: Mapping[str, str],
        *,
        started_at: float | None = None,
        resume: bool = True,
    ) -> None:
        self._address = address
        self._dataset = run.dataset
        self._is_over = False
        self._idle_ms = 0
        self._client = connect(address)
        self._experiment = self._open_experiment(experiment, view_tags(run.metric, run.minimize, run.secondary))
        self._known = {
            key: _Known(
                run_id=found.info.run_id,
                parent_id=found.data.tags.get("mlflow.parentRunId"),
                status=found.info.status,
                outcome=found.data.tags.get("losstune.status"),
                params=frozenset(found.data.params),
                ended_ms=found.info.end_time,
            )
            for found in self._search(f"tags.`losstune.stage` = '{run.stage}'")
            if (key := found.data.tags.get("losstune.key"))
        }
        self.parent_id = self._open_parent(run, tags, started_at, resume)

    @property
    def hint(self) -> str | None:
        """One-line message for the user about the experiment, or None."""
        if self._artifacts_are_elsewhere:
            return (
                f"MLflow keeps the artifacts of experiment '{self._experiment.name}' in "
                f"{self._experiment.artifact_location}, not in this folder (was it moved?); to have them here, "
                f"delete {self._address.database or 'the experiment'} and run `losstune track sync`"
            )
        return None

    def log_new(self, children: Iterable[Child]) -> None:
        """Log those trainings that have no run yet, all in one transaction, if the database allows that.

        Otherwise this does nothing. :meth:`log_child` returns at once for what is logged.
        """
        new: dict[str, Child] = {}
        for child in children:
            if child.key not in self._known:
                new.setdefault(child.key, child)
        if self._bulk is None or not new:
            return
        run_ids = self._bulk.write(list(new.values()), self.parent_id, self._dataset, DIGEST_LENGTH)
        for run_id, child in zip(run_ids or (), new.values(), strict=False):
            self._known[child.key] = _Known(run_id, self.parent_id, child.status, child.tags.get("losstune.status"))

    def log_child(self, child: Child) -> bool:
        """Log a training as a run nested in the parent, unless the experiment already has it.

        A partly written run of an earlier attempt is completed. If a failed training ended differently when it was
        retried, the new result replaces the failure.

        Returns:
            Whether the training is nested in this parent.
        """
        known, outcome = self._known.get(child.key), child.tags.get("losstune.status")
        if known is not None and known.outcome != outcome:
            self._client.delete_run(known.run_id)
            del self._known[child.key]
            known = None
        if known is not None and known.is_whole:
            return self._adopt(known)
        if known is None:
            self.log_new([child])
            if child.key in self._known:
                return True
            tags = {**child.tags, "mlflow.parentRunId": self.parent_id}
            run_id = self._create_run(child.name, tags, child.started_ms)
            known = self._known[child.key] = _Known(run_id, self.parent_id, outcome=outcome)
        self._log(known.run_id, child.params, child.points)
        self._log_dataset(known.run_id)
        self._client.set_terminated(known.run_id, child.status, child.ended_ms)
        self._known[child.key] = replace(known, status=child.status)
        return known.parent_id == self.parent_id

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Log metrics of the parent whose values have changed."""
        from mlflow.entities import Metric

        shown, now = self._client.get_run(self.parent_id).data.metrics, _now_ms()
        changed = [Metric(name, value, now, 0) for name, value in metrics.items() if shown.get(name) != value]
        if changed:
            self._client.log_batch(self.parent_id, metrics=changed)

    def log_text(self, name: str, text: str) -> None:
        """Write a text as an artifact of the parent."""
        if not self._artifacts_are_elsewhere:
            self._client.log_text(self.parent_id, text, name)

    def log_artifacts(self, artifacts: Mapping[Path, str]) -> list[str]:
        """Copy files and folders, each into the artifact folder it is mapped to.

        Returns:
            One message for each path that was left out.
        """
        if self._artifacts_are_elsewhere:
            return []
        problems = []
        for path, folder in artifacts.items():
            if path.is_dir():
                self._client.log_artifacts(self.parent_id, str(path), folder or None)
            elif path.is_file():
                self._client.log_artifact(self.parent_id, str(path), folder or None)
            else:
                problems.append(f"{path}: no such file")
        return problems

    def log_model(self, model: TrainedModel) -> None:
        """Attach the model to the parent, unless it is attached already. Update its card."""
        if not self._artifacts_are_elsewhere:
            log_model(self._client, self._client.get_run(self.parent_id), model)

    def set_note(self, note: str) -> None:
        """Write the parent's description (Markdown)."""
        self._client.set_tag(self.parent_id, NOTE, note)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags of the parent."""
        self._log(self.parent_id, tags=tags)

    def annotate_siblings(self, note: str, protocol: str) -> None:
        """Put a verdict above the descriptions of the other stage runs of the same registration."""
        run = f"#/experiments/{self._experiment.experiment_id}/runs/{self.parent_id}"
        where = f"{run}/artifacts/report.html?workflowType=machine_learning"
        head = f"{VERDICT} {note} [The report]({where})"
        condition = f"tags.`losstune.role` = 'stage' and tags.`losstune.protocol_hash` = '{protocol}'"
        for run in self._search(condition):
            if run.info.run_id != self.parent_id:
                shown = run.data.tags.get(NOTE, "")
                rest = shown.partition("\n\n")[2] if shown.startswith(VERDICT) else shown
                wanted = "\n\n".join(text for text in (head, rest) if text)
                if wanted != shown:
                    self._client.set_tag(run.info.run_id, NOTE, wanted)

    def terminate(self, status: str, ended_at: float | None = None) -> None:
        """End the parent; `ended_at` is Unix time in seconds, None for now.

        The end of a resumed parent is moved back by the length of its pause. MLflow cannot change its start, and so the
        duration is the time that it ran.
        """
        if not self._is_over:
            ended_ms = _now_ms() - self._idle_ms if ended_at is None else round(ended_at * 1000)
            self._client.set_terminated(self.parent_id, status, ended_ms)

    def close(self) -> None:
        """Close open connections. The next write opens them again."""
        if self._bulk is not None:
            self._bulk.close()

    def _open_experiment(self, name: str, views: Mapping[str, str]) -> Experiment:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            folder = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.")[:60] or "study"
            artifacts = self._address.artifacts
            try:
                self._client.create_experiment(
                    name, artifact_location=None if artifacts is None else str(artifacts / folder), tags=dict(views)
                )
            except Exception:
                if self._client.get_experiment_by_name(name) is None:  # else another study made it
                    raise
            return self._client.get_experiment_by_name(name)
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        for tag, value in views.items():
            if tag not in found.tags:  # keeps the user's changes
                self._client.set_experiment_tag(found.experiment_id, tag, value)
        return found

    def _open_parent(self, run: StageRun, tags: Mapping[str, str], started_at: float | None, resume: bool) -> str:
        known = self._known.get(run.key)
        if known is None:
            started_ms = _now_ms() if started_at is None else round(started_at * 1000)
            known = self._known[run.key] = _Known(self._create_run(run.name, tags, started_ms))
        elif resume:
            if known.is_whole and known.ended_ms is not None:
                self._idle_ms = max(0, _now_ms() - known.ended_ms)
            self._client.update_run(known.run_id, status="RUNNING", name=run.name)
            self._log(known.run_id, tags=tags)
        else:
            self._is_over = known.status == "FINISHED"
        if resume and self._address.is_own:
            # Only one stage of a study runs at a time, so runs that are still open were killed under other settings.
            for other in self._parents:
                if not other.is_whole and other.run_id != known.run_id:
                    self._client.set_terminated(other.run_id, "KILLED")
        # A logged parameter cannot be changed. The key covers everything that defines the study, so only settings that
        # do not affect the result can differ from those of an earlier execution.
        new = {name: str(value) for name, value in run.params.items() if name not in known.params}
        self._log(known.run_id, new)
        self._log_dataset(known.run_id)
        return known.run_id

    def _create_run(self, name: str, tags: Mapping[str, str], started_ms: int) -> str:
        created = self._client.create_run(
            self._experiment.experiment_id, start_time=started_ms, tags=dict(tags), run_name=name
        )
        return str(created.info.run_id)

    @cached_property
    def _bulk(self) -> BulkWriter | None:
        """The faster writer. It is used only for the study's own database, which can be restored."""
        if self._address.database is None or not self._address.is_own:
            return None
        return BulkWriter(self._address.database, self._experiment.experiment_id, self._experiment.artifact_location)

    def _adopt(self, known: _Known) -> bool:
        if known.parent_id == self.parent_id:
            return True
        if any(other.run_id == known.parent_id for other in self._parents):
            return False
        self._client.set_tag(known.run_id, "mlflow.parentRunId", self.parent_id)  # its parent was deleted
        return True

    @cached_property
    def _parents(self) -> list[_Known]:
        return [known for known in self._known.values() if known.parent_id is None]

    def _log(
        self,
        run_id: str,
        params: Mapping[str, str] | None = None,
        points: Sequence[tuple[str, float, int, int]] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(name, value, timestamp, step) for name, value, step, timestamp in points]
        batches = {
            "metrics": _batches(metrics, MAX_METRICS_PER_BATCH),
            "params": _batches([Param(*item) for item in (params or {}).items()], MAX_PARAMS_PER_BATCH),
            "tags": _batches([RunTag(*item) for item in (tags or {}).items()], MAX_PARAMS_PER_BATCH),
        }
        while batch := {kind: items for kind, found in batches.items() if (items := next(found, None))}:
            self._client.log_batch(run_id, **batch)

    def _log_dataset(self, run_id: str) -> None:
        if self._dataset is None:
            return
        inputs = [dataset_input(self._dataset)]
        try:
            self._client.log_inputs(run_id, inputs)
        except Exception:  # another study may have created the same row meanwhile
            self._client.log_inputs(run_id, inputs)

    def _search(self, condition: str) -> Iterator[Run]:
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment.experiment_id], condition, max_results=PAGE_SIZE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    @property
    def _artifacts_are_elsewhere(self) -> bool:
        # The location of an experiment is absolute and cannot be changed. After the folder was moved, MLflow would
        # create the old one again.
        expected = self._address.artifacts
        location = Path(self._experiment.artifact_location)
        return expected is not None and location.is_absolute() and not location.is_relative_to(expected)


def _batches(items: list[_Item], size: int) -> Iterator[list[_Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _now_ms() -> int:
    return round(time.time() * 1000)
