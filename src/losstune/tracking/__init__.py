"""The study in MLflow. The records on disk are the source of truth, and MLflow can be restored from them.

The execution of a stage is a parent run, and each of its trainings is a nested run. One background thread writes all of
them, so neither MLflow's import nor a slow server delays a training.
"""

from losstune.tracking.address import Address, data_name, experiment_of, locate
from losstune.tracking.links import RunLink, find_runs
from losstune.tracking.model import TrainedModel
from losstune.tracking.registry import Promotion, promote
from losstune.tracking.runs import DatasetInput, StageRun
from losstune.tracking.tracker import Tracker, TrackingSummary, open_tracker, sync
from losstune.tracking.ui import serve_ui

__all__ = [
    "Address",
    "DatasetInput",
    "Promotion",
    "RunLink",
    "StageRun",
    "Tracker",
    "TrackingSummary",
    "TrainedModel",
    "data_name",
    "experiment_of",
    "find_runs",
    "locate",
    "open_tracker",
    "promote",
    "serve_ui",
    "sync",
]
