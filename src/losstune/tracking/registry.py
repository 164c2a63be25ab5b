"""Register the models of a finished study in MLflow's model registry, with aliases for loading and serving."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from losstune.config.schema import TrackingSettings
from losstune.core.errors import LosstuneError
from losstune.tracking.address import locate
from losstune.tracking.connect import connect, reason_of
from losstune.tracking.model import KEY, models_of
from losstune.tracking.runs import StageRun

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion

MODEL, VERSIONS = "losstune.model_id", "mlflow.modelVersions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """A model in the registry.

    Attributes:
        alias: Its alias, such as ``"champion"``.
        address: URI by which MLflow loads it, such as ``models:/digits-cnn@champion``.
        version: Number of its version in the registry.
        is_new: Whether the version was added by this call.
    """

    alias: str
    address: str
    version: int
    is_new: bool


def registered_name(experiment: str) -> str:
    """Return the experiment's name in the form that is valid in the registry and in a URI, such as ``digits-cnn``."""
    return re.sub(r"[^\w.-]+", "-", experiment, flags=re.ASCII).strip("-.") or "study"


def promote(
    settings: TrackingSettings, experiment: str, root: Path, run: StageRun, keys: Mapping[str, str]
) -> list[Promotion]:
    """Register models that are attached to a run, and set aliases. A second call adds nothing.

    Args:
        settings: The tracking settings.
        experiment: Name of the run's experiment.
        root: Root of the study.
        run: The run with the models.
        keys: Key of the training that made the model, by alias.

    Raises:
        LosstuneError: If MLflow cannot be used, or lacks the run or one of its models.
    """
    address = locate(settings, root)
    name = registered_name(experiment)
    try:
        client = connect(address)
        shown = _find_run(client, experiment, run)
        models = {alias: _newest(client, shown, key) for alias, key in keys.items()}
        missing = [alias for alias, model in models.items() if model is None]
        if not missing:
            _make_model(client, name, f"Classifiers from the studies in MLflow's experiment '{experiment}'.")
            return [_point(client, name, alias, model) for alias, model in models.items() if model is not None]
    except Exception as error:
        raise LosstuneError(f"MLflow at {address.shown}: {reason_of(error)}") from None
    raise LosstuneError(
        f"MLflow at {address.shown}: no model of the {' and the '.join(missing)} is attached to the run '{run.name}'; "
        "`losstune report` attaches them, if the weights of the first blocks are in the ledger"
    )


def _find_run(client: MlflowClient, experiment: str, run: StageRun) -> Run | None:
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return None
    return next(iter(client.search_runs([found.experiment_id], f"tags.`{KEY}` = '{run.key}'", max_results=1)), None)


def _newest(client: MlflowClient, run: Run | None, key: str) -> LoggedModel | None:
    return next(iter(models_of(client, run, key)), None) if run is not None else None


def _make_model(client: MlflowClient, name: str, description: str) -> None:
    if not client.search_registered_models(f"name = '{name}'", max_results=1):
        client.create_registered_model(name, description=description)


def _point(client: MlflowClient, name: str, alias: str, model: LoggedModel) -> Promotion:
    versions = client.search_model_versions(f"name = '{name}'")  # this search returns no model ids, but tags
    version = next((found for found in versions if found.tags.get(MODEL) == model.model_id), None)
    is_new = version is None
    if version is None:
        version = _register(client, name, model)
    if str(client.get_registered_model(name).aliases.get(alias)) != str(version.version):
        client.set_registered_model_alias(name, alias, version.version)
    return Promotion(alias=alias, address=f"models:/{name}@{alias}", version=int(version.version), is_new=is_new)


def _register(client: MlflowClient, name: str, model: LoggedModel) -> ModelVersion:
    version = client.create_model_version(
        name,
        model.artifact_location,  # MLflow resolves `models:/…` at the process's tracking URI, not at this client's
        run_id=model.source_run_id,
        tags={KEY: model.tags[KEY], MODEL: model.model_id},
        description=model.tags.get("mlflow.note.content"),
        model_id=model.model_id,
    )
    # MLflow's UI links the model to its versions by this tag.
    shown = json.loads(model.tags.get(VERSIONS, "[]"))
    shown.append({"name": name, "version": int(version.version)})
    client.set_logged_model_tags(model.model_id, {VERSIONS: json.dumps(shown)})
    return version
