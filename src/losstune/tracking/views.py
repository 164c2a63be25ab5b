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
_OF_ALL = ("tags.`losstune.loss`", "tags.`losstune.status`", "params.`learning_rate`")
_LAST = ("metrics.`epochs_done`", "attributes.`Duration`")

STUDY_VIEW, NESTED_VIEW = "losstune-study", "losstune-nested"
TRIALS_VIEW, BLOCKS_VIEW = "losstune-trials", "losstune-blocks"


def view_tags(metric: str = "accuracy", minimize: bool = False, secondary: tuple[str, ...] = ()) -> Mapping[str, str]:
    """Return the experiment's tags that contain the views, and the tag for the kind of experiment.

    Args:
        metric: Metric by which trainings are ordered, the best first.
        minimize: Whether lower is better.
        secondary: Further metrics to show.
    """
    others = [name for name in dict.fromkeys((*secondary, "nll", "ece")) if name != metric]
    validation, test = f"metrics.`val_{metric}`", f"metrics.`test_{metric}`"
    of_trainings = (*_OF_ALL, validation, *(f"metrics.`val_{name}`" for name in others), *_LAST)
    of_blocks = (*_OF_ALL, validation, test, *(f"metrics.`test_{name}`" for name in others), *_LAST)
    stage, trial = "tags.`losstune.role` = 'stage'", "tags.`losstune.stage` = 'tune'"
    block = "tags.`losstune.stage` = 'confirm' and tags.`losstune.role` != 'stage'"
    trial += " and tags.`losstune.role` != 'stage'"
    parents = ("attributes.`Description`", "attributes.`Duration`", "attributes.`Models`", "tags.`losstune.dirty`")
    start = "attributes.start_time"
    views = {
        STUDY_VIEW: _view("Stages and verdict", stage, parents, start, ascending=False),
        NESTED_VIEW: _view("All runs, nested", "", of_blocks, start, ascending=False),
        TRIALS_VIEW: _view("Search: all trials", trial, of_trainings, validation, ascending=minimize),
        BLOCKS_VIEW: _view("Confirmation: all blocks", block, of_blocks, test, ascending=minimize),
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
