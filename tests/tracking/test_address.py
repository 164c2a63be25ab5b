import socket

import pytest

from losstune.config.load import load_params
from losstune.config.schema import TrackingSettings
from losstune.core.errors import LosstuneError
from losstune.tracking import experiment_of, locate, serve_ui
from tests.paths import REPOSITORY


def choose(uri):
    return TrackingSettings(enabled=True, uri=uri, experiment=None)


def test_the_default_is_what_plain_mlflow_ui_opens(tmp_path):
    address = locate(choose(None), tmp_path)
    assert address.uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert address.artifacts == tmp_path / "mlruns"
    assert address.is_own


def test_params_come_before_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://example.com:5000")
    assert locate(choose(None), tmp_path).uri == "http://example.com:5000"
    assert locate(choose("http://127.0.0.1:5001"), tmp_path).uri == "http://127.0.0.1:5001"


def test_a_server_decides_where_artifacts_go(tmp_path):
    address = locate(choose("https://me:secret@example.com"), tmp_path)
    assert (address.artifacts, address.database, address.is_own) == (None, None, False)
    assert str(address) == "https://example.com"


@pytest.mark.parametrize(("uri", "file"), [("sqlite:///runs/x.db", "runs/x.db"), ("sqlite:///../x.db", "../x.db")])
def test_a_relative_database_counts_from_the_root(tmp_path, monkeypatch, uri, file):
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    address = locate(choose(uri), tmp_path / "root")
    assert address.database == (tmp_path / "root" / file).resolve()
    assert not address.is_own


def test_an_absolute_database_stays_where_it_is(tmp_path):
    address = locate(choose(f"sqlite:///{tmp_path}/x.db?mode=rw"), tmp_path / "root")
    assert address.database == tmp_path / "x.db"
    assert address.uri == f"sqlite:///{tmp_path}/x.db?mode=rw"


def test_a_database_server_keeps_no_artifacts(tmp_path):
    address = locate(choose("postgresql+psycopg2://me:secret@example.com/mlflow"), tmp_path)
    assert address.artifacts == tmp_path / "mlruns"
    assert "secret" not in str(address)


def test_the_interface_of_a_server_is_its_own(tmp_path):
    with pytest.raises(LosstuneError, match=r"tracked at https://example\.com; open that address"):
        serve_ui(choose("https://me:secret@example.com"), tmp_path, 5000)


def test_a_taken_port_is_told(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LosstuneError, match=f"port {port} of 127.0.0.1 is taken"):
            serve_ui(choose(None), tmp_path, port)


@pytest.mark.parametrize(
    ("data", "experiment", "name"),
    [
        ({}, None, "digits cnn"),
        ({"name": "imagefolder", "root": "/data/birds"}, None, "birds cnn"),
        ({"name": "npz", "root": "/data/sensors.npz"}, None, "sensors cnn"),
        ({"name": "table", "root": "/data/people.csv"}, None, "people cnn"),
        ({"name": "huggingface", "root": "/data/saved"}, None, "saved cnn"),
        ({}, "ours", "ours"),
    ],
)
def test_an_experiment_is_named_by_data_and_model(data, experiment, name):
    params = load_params(REPOSITORY / "params.yaml")
    changed = params.model_copy(
        update={
            "data": params.data.model_copy(update=data),
            "tracking": params.tracking.model_copy(update={"experiment": experiment}),
        }
    )
    assert experiment_of(changed) == name
