"""Saved views of MLflow's runs table: filter, order and columns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

KIND_TAG = "mlflow.experimentKind"
KIND = "custom_model_development"
"""MLflow's name for classic model training."""

_VIEW_TAG = "mlflow.sharedViewState."
_MADE_MS = 1_700_000_000_000  # a constant, so that recreating a view gives the same value
_OF_TRAININGS = (
    "tags.`losstune.loss`",
    "tags.`losstune.status`",
    "params.`learning_rate`",
    "metrics.`val_accuracy`",
    "metrics.`val_nll`",
    "metrics.`val_ece`",
    "metrics.`epochs_done`",
    "attributes.`Duration`",
)
_OF_BLOCKS = (
    *_OF_TRAININGS[:4],
    "metrics.`test_accuracy`",
    "metrics.`test_nll`",
    "metrics.`test_ece`",
    *_OF_TRAININGS[6:],
)

STUDY_VIEW, NESTED_VIEW = "losstune-study", "losstune-nested"
TRIALS_VIEW, BLOCKS_VIEW = "losstune-trials", "losstune-blocks"


def view_tags() -> Mapping[str, str]:
    """Return the experiment's tags that contain the views, and the tag for the kind of experiment."""
    stage, trial = "tags.`losstune.role` = 'stage'", "tags.`losstune.stage` = 'tune'"
    block = "tags.`losstune.stage` = 'confirm' and tags.`losstune.role` != 'stage'"
    trial += " and tags.`losstune.role` != 'stage'"
    parents = ("attributes.`Description`", "attributes.`Duration`", "attributes.`Models`", "tags.`losstune.dirty`")
    start = "attributes.start_time"
    views = {
        STUDY_VIEW: _view("Stages and verdict", stage, parents, start, ascending=False),
        NESTED_VIEW: _view("All runs, nested", "", _OF_BLOCKS, start, ascending=False),
        TRIALS_VIEW: _view("Search: all trials", trial, _OF_TRAININGS, "metrics.`val_accuracy`", ascending=False),
        BLOCKS_VIEW: _view("Confirmation: all blocks", block, _OF_BLOCKS, "metrics.`test_accuracy`", ascending=False),
    }
    return MappingProxyType({KIND_TAG: KIND} | {f"{_VIEW_TAG}{key}": view for key, view in views.items()})


def route(experiment_id: str, view: str = STUDY_VIEW) -> str:
    """Return the path of a URL at which MLflow's UI opens a view.

    MLflow 3.17 takes the kind of its UI from the URL and from the browser's storage, not from the experiment. Without
    it, a new browser shows the UI for traces of language models.
    """
    return f"/#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={view}"


def _view(name: str, condition: str, columns: tuple[str, ...], order: str, *, ascending: bool) -> str:
    state = {
        "searchFilter": condition,
        "orderByKey": order,
        "orderByAsc": ascending,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": list(columns),
    }
    return json.dumps({"name": name, "createdAt": _MADE_MS, "updatedAt": _MADE_MS, "state": json.dumps(state)})
