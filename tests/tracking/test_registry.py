import mlflow
import numpy as np
import pytest
from mlflow.entities import LoggedModelStatus

from losstune.config.schema import TrackingSettings
from losstune.core.errors import LosstuneError
from losstune.tracking import TrainedModel, open_tracker, promote
from losstune.tracking.registry import registered_name
from tests.tracking.conftest import make_run
from tests.tracking.test_model import Classifier, client_of, images, softmax

KEYS = {"champion": "k1", "baseline": "k2"}


def report_of(settings, root, keys=("k1", "k2")):
    models = [
        TrainedModel(
            module=Classifier(softmax if key == "k1" else lambda logits: (3 * logits).softmax(dim=1)),
            example=images(4),
            key=key,
            name=f"loss_{key}",
            card=f"# {key}",
        )
        for key in keys
    ]
    run = make_run(stage="report")
    assert open_tracker(settings, "digits cnn", root, run).finish("FINISHED", models=models).problem is None
    return run


def aliases(root):
    shown = client_of(root).get_registered_model("digits-cnn").aliases
    return {alias: int(version) for alias, version in shown.items()}


def test_a_name_that_addresses_take():
    assert registered_name("digits cnn") == "digits-cnn"
    assert registered_name("a/b: c@d") == "a-b-c-d"
    assert registered_name("//") == "study"


def test_the_aliases_load_their_models_and_a_second_time_adds_nothing(settings, root, monkeypatch):
    run = report_of(settings, root)
    first = promote(settings, "digits cnn", root, run, KEYS)
    again = promote(settings, "digits cnn", root, run, KEYS)
    assert [(one.alias, one.address, one.version, one.is_new) for one in first] == [
        ("champion", "models:/digits-cnn@champion", 1, True),
        ("baseline", "models:/digits-cnn@baseline", 2, True),
    ]
    assert [(one.version, one.is_new) for one in again] == [(1, False), (2, False)]
    client = client_of(root)
    assert len(client.search_model_versions("name = 'digits-cnn'")) == 2
    assert client.get_model_version("digits-cnn", "2").description == "# k2"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
    champion, baseline = (mlflow.pyfunc.load_model(one.address).predict(images(5)) for one in first)
    np.testing.assert_allclose(champion.sum(axis=1), 1, rtol=1e-5)
    cubed = champion**3 / (champion**3).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(baseline, cubed, rtol=1e-3, atol=1e-6)


def test_one_model_in_both_roles_is_one_version(settings, root):
    run = report_of(settings, root, keys=("k1",))
    promotions = promote(settings, "digits cnn", root, run, {"champion": "k1", "baseline": "k1"})
    assert [one.version for one in promotions] == [1, 1]
    assert aliases(root) == {"champion": 1, "baseline": 1}


def test_a_new_verdict_moves_the_alias(settings, root):
    run = report_of(settings, root)
    promote(settings, "digits cnn", root, run, KEYS)
    promote(settings, "digits cnn", root, run, {"champion": "k2", "baseline": "k2"})
    assert aliases(root) == {"champion": 2, "baseline": 2}


def test_the_card_is_the_models_description_and_follows_the_verdict(settings, root):
    report_of(settings, root)
    run = make_run(stage="report")
    changed = TrainedModel(module=Classifier(softmax), example=images(4), key="k1", card="# new")
    summary = open_tracker(settings, "digits cnn", root, run).finish("FINISHED", models=[changed])
    client = client_of(root)
    outputs = client.get_run(summary.run_id).outputs.model_outputs
    shown = {
        model.tags["losstune.key"]: (model.name, model.status, model.tags["mlflow.note.content"])
        for model in (client.get_logged_model(output.model_id) for output in outputs)
    }
    ready = LoggedModelStatus.READY
    assert shown == {"k1": ("loss_k1", ready, "# new"), "k2": ("loss_k2", ready, "# k2")}


@pytest.mark.parametrize("key", ["experiment", "model"])
def test_what_is_not_shown_is_told(settings, root, key):
    run = make_run(stage="report") if key == "experiment" else report_of(settings, root, keys=("k1",))
    missing = "champion and the baseline" if key == "experiment" else "baseline"
    with pytest.raises(LosstuneError, match=f"no model of the {missing} is attached to the run 'tune digits cnn'"):
        promote(settings, "digits cnn", root, run, KEYS)


def test_a_dead_server_is_told_in_one_line(root, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    dead = TrackingSettings(enabled=True, uri="http://me:secret@127.0.0.1:9", experiment=None)
    with pytest.raises(LosstuneError) as told:
        promote(dead, "digits cnn", root, make_run(stage="report"), KEYS)
    assert str(told.value) == "MLflow at http://127.0.0.1:9: it could not be reached"
