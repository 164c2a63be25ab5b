"""The data of a study as an MLflow dataset."""

from __future__ import annotations

import json
from typing import Any

from losstune.tracking.runs import DatasetInput

DIGEST_LENGTH = 16
"""MLflow stores 36 characters of a digest, and its UI shows all of them."""


def dataset_input(dataset: DatasetInput) -> Any:
    """Return the object that MLflow's client logs as input of a run."""
    from mlflow.entities import Dataset, InputTag
    from mlflow.entities import DatasetInput as MlflowDatasetInput

    num_rows = {} if dataset.num_rows is None else {"num_rows": dataset.num_rows}
    profile = {**num_rows, **dataset.profile}
    return MlflowDatasetInput(
        Dataset(
            name=dataset.name[:500],
            digest=dataset.digest[:DIGEST_LENGTH],
            source_type="local",
            source=json.dumps({"uri": dataset.source}),
            profile=json.dumps(profile) if profile else None,
        ),
        [InputTag("mlflow.data.context", "training")],
    )
