import shutil

import pytest

from losstune.config.schema import TrackingSettings
from losstune.core.library_logging import configure_environment
from losstune.core.records import Entry
from losstune.study import provenance
from losstune.tracking import DatasetInput, StageRun, locate
from losstune.tracking.store import Store
from tests.factories import make_execution, make_record


def make_entry(**arguments):
    record = make_record(**arguments)
    return Entry(record=record, execution=make_execution(record))


def make_run(**replaced):
    arguments = {
        "stage": "tune",
        "key": "a" * 64,
        "name": "tune digits cnn",
        "params": {"model": "cnn", "epochs": 3, "label_noise": 0.0},
        "tags": {"data_digest": "d" * 64, "protocol_hash": "e" * 64},
        "dataset": DatasetInput(name="digits", digest="d" * 64, source="scikit-learn", num_rows=1000),
    }
    return StageRun(**(arguments | replaced))


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    names = ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV")
    for name in names:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def facts():
    return provenance.collect()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """A database with its tables, which take seconds to make."""
    configure_environment()
    folder = tmp_path_factory.mktemp("mlflow")
    settings = TrackingSettings(enabled=True, uri=None, experiment=None)
    Store(locate(settings, folder), "another study", make_run(stage="another"), {})
    return folder / "mlflow.db"


@pytest.fixture
def root(tmp_path, empty_database):
    """A study's root with an empty experiment database in it."""
    folder = tmp_path / "a study"
    folder.mkdir()
    shutil.copy(empty_database, folder / "mlflow.db")
    return folder


@pytest.fixture
def settings():
    return TrackingSettings(enabled=True, uri=None, experiment=None)
