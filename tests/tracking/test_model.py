import shutil

import mlflow
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from torch import nn

from losstune.tracking import TrainedModel, open_tracker, sync
from tests.tracking.conftest import make_run


class Classifier(nn.Module):
    """Stored images in, probabilities out; batch statistics that evaluation mode must not touch."""

    def __init__(self, link):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(4 * 36, 5)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
        self.link = link

    def forward(self, images):
        return self.link(self.head(self.layers(images.to(torch.float32) / 255)))


def softmax(logits):
    return logits.softmax(dim=1)


class Doubled(torch.autograd.Function):
    """A function with a backward pass of its own, as several losses have."""

    @staticmethod
    def forward(ctx, logits):
        return (2 * logits).softmax(dim=1)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def depends_on_values(logits):
    while float(logits.abs().max()) > 1:
        logits = logits / 2
    return logits.softmax(dim=1)


def images(num, dtype=np.uint8):
    return np.random.default_rng(num).integers(0, 256, (num, 1, 8, 8)).astype(dtype)


def attach(settings, root, model):
    following = open_tracker(settings, "digits-cnn", root, make_run(stage="confirm"))
    return following.finish("FINISHED", models=[model])


def client_of(root):
    return MlflowClient(tracking_uri=f"sqlite:///{root}/mlflow.db")


def models_of(root, run_id):
    return [output.model_id for output in client_of(root).get_run(run_id).outputs.model_outputs]


def load(root, model_id, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
    return mlflow.pyfunc.load_model(f"models:/{model_id}")


@pytest.mark.parametrize("link", [softmax, Doubled.apply], ids=["softmax", "own backward"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_loaded_model_predicts_the_same_for_any_batch(settings, root, monkeypatch, link, dtype):
    module = Classifier(link).eval()
    winner = TrainedModel(module=module, example=images(4, dtype), key="k", params={"loss": "focal"})
    summary = attach(settings, root, winner)
    assert summary.problem is None
    (model_id,) = models_of(root, summary.run_id)
    loaded = load(root, model_id, monkeypatch)
    for num in (1, 2, 7):
        with torch.inference_mode():
            expected = module(torch.from_numpy(images(num, dtype))).numpy()
        np.testing.assert_allclose(loaded.predict(images(num, dtype)), expected, rtol=0, atol=1e-6)


def test_the_model_comes_with_signature_example_and_requirements_and_without_pickle(settings, root, monkeypatch):
    module = Classifier(softmax).train()
    summary = attach(settings, root, TrainedModel(module=module, example=images(4), key="k"))
    assert module.training, "the caller's module stays as it was"
    (model_id,) = models_of(root, summary.run_id)
    loaded = load(root, model_id, monkeypatch)
    signature = loaded.metadata.signature
    assert signature.inputs.inputs[0].shape == (-1, 1, 8, 8)
    assert signature.inputs.inputs[0].type == np.dtype(np.uint8)
    assert signature.outputs.inputs[0].shape == (-1, 5)
    np.testing.assert_array_equal(loaded.input_example, images(4))
    shown = client_of(root).get_logged_model(model_id)
    assert shown.tags["losstune.key"] == "k"
    assert shown.status == "READY"
    folder = root / "mlruns" / "digits-cnn" / "models" / model_id / "artifacts"
    assert f"torch=={torch.__version__.split('+')[0]}" in (folder / "requirements.txt").read_text().split()
    assert not [path for path in folder.rglob("*") if path.suffix in {".pth", ".pkl", ".pickle"}]
    assert (folder / "data" / "model.pt2").exists()


def test_attaching_again_adds_nothing_but_lost_files_come_back(settings, root):
    winner = TrainedModel(module=Classifier(softmax), example=images(4), key="k")
    summary = attach(settings, root, winner)
    attach(settings, root, winner)
    sync(settings, "digits-cnn", root, make_run(stage="confirm"), [], models=[winner])
    assert len(models_of(root, summary.run_id)) == 1
    shutil.rmtree(root / "mlruns")
    sync(settings, "digits-cnn", root, make_run(stage="confirm"), [], models=[winner])
    newest = max(
        (client_of(root).get_logged_model(model_id) for model_id in models_of(root, summary.run_id)),
        key=lambda model: model.creation_timestamp,
    )
    assert client_of(root).list_logged_model_artifacts(newest.model_id)


def test_a_model_that_cannot_be_exported_is_told_and_stops_nothing(settings, root, capfd):
    winner = TrainedModel(module=Classifier(depends_on_values), example=images(4), key="k")
    summary = attach(settings, root, winner)
    assert "the model could not be attached: " in summary.problem
    assert client_of(root).get_run(summary.run_id).info.status == "FINISHED"
    assert models_of(root, summary.run_id) == []
    assert capfd.readouterr() == ("", "")


def test_an_example_of_one_is_told(settings, root):
    summary = attach(settings, root, TrainedModel(module=Classifier(softmax), example=images(1), key="k"))
    assert "a model's example needs at least 2 inputs, found 1" in summary.problem
