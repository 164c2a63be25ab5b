"""Trained models in MLflow: an exported graph with its signature, which loads without losstune and without pickle."""

from __future__ import annotations

import copy
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from losstune.core.gc_pause import collection_paused

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from torch import nn

KEY, NOTE = "losstune.key", "mlflow.note.content"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A trained classifier to attach to a run.

    Attributes:
        module: Maps stored inputs (N, ...), uint8 or float32, to class probabilities (N, K).
        example: A few stored inputs, at least two, so that the batch size is exported as variable.
        key: Identity of the training that made it.
        name: Name in MLflow, such as the loss; letters, digits and underscores.
        card: The model card (Markdown).
        params: Parameters that MLflow shows with the model, such as its loss.
    """

    module: nn.Module
    example: np.ndarray[Any, Any]
    key: str
    name: str = "model"
    card: str = ""
    params: dict[str, str | int | float] = field(default_factory=dict)


def log_model(client: MlflowClient, run: Run, model: TrainedModel) -> None:
    """Attach the model to the run, unless it is already attached with all its files.

    Raises:
        ValueError: If the example holds fewer than two inputs.
        Exception: Any exception of ``torch.export`` for a module that it cannot trace.
    """
    if len(model.example) < 2:
        raise ValueError(f"a model's example needs at least 2 inputs, found {len(model.example)}")
    tags = {KEY: model.key} | ({NOTE: model.card} if model.card else {})
    for found in models_of(client, run, model.key):
        if any(found.tags.get(name) != value for name, value in tags.items()):
            client.set_logged_model_tags(found.model_id, tags)
        return
    import mlflow.pytorch
    import torch
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    module = copy.deepcopy(model.module).cpu().eval()
    example = np.ascontiguousarray(model.example)
    with torch.inference_mode():
        num_classes = module(torch.from_numpy(example)).shape[1]
    signature = ModelSignature(
        inputs=Schema([TensorSpec(example.dtype, (-1, *example.shape[1:]))]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, num_classes))]),
    )
    params = {name: str(value) for name, value in model.params.items()}
    logged = client.create_logged_model(
        run.info.experiment_id,
        name=model.name,
        source_run_id=run.info.run_id,
        tags=tags,
        params=params,
        model_type="classifier",
    )
    try:
        # To export imports torch's compiler, a third of which would go to the garbage collector.
        with tempfile.TemporaryDirectory() as folder, collection_paused(), _quiet_export():
            path = Path(folder) / model.name
            mlflow.pytorch.save_model(
                module,
                str(path),
                mlflow_model=Model(
                    artifact_path=logged.artifact_location,
                    model_uuid=logged.model_id,
                    run_id=run.info.run_id,
                    model_id=logged.model_id,
                ),
                signature=signature,
                input_example=example,
                pip_requirements=[f"{name}=={_public_version(name)}" for name in ("torch", "numpy")],
                serialization_format="pt2",
            )
            client.log_model_artifacts(logged.model_id, str(path))
    except BaseException:
        client.finalize_logged_model(logged.model_id, LoggedModelStatus.FAILED)
        raise
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, step=0)])


@contextmanager
def _quiet_export() -> Iterator[None]:
    # torch prints the graph that it fails to trace, and MLflow logs messages about the signature.
    logging.getLogger("torch.fx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def models_of(client: MlflowClient, run: Run, key: str) -> list[LoggedModel]:
    """Return the run's models that the training with this key made and whose files exist, newest first."""
    outputs = run.outputs.model_outputs if run.outputs else []
    logged = [client.get_logged_model(output.model_id) for output in outputs]
    whole = [
        found for found in logged if found.tags.get(KEY) == key and client.list_logged_model_artifacts(found.model_id)
    ]
    return sorted(whole, key=lambda found: int(found.creation_timestamp), reverse=True)


def _public_version(name: str) -> str:
    return version(name).partition("+")[0]
