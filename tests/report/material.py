"""What a fabricated study gives besides its results, with predictions and calibration where a test asks for them."""

from __future__ import annotations

import numpy as np

from losstune.core.labels import pack
from losstune.core.records import Calibration
from losstune.report.diagnostics import Diagnostics, gather
from tests.factories import make_execution
from tests.report.studies import Study, place

RATES = (1e-5, 1e-1)
BINS = ((0, 0, 0.0), (50, 20, 25.0), (50, 45, 45.0))


def diagnostics_of(study: Study, **replaced) -> Diagnostics:
    """Gathered from a study whose every training took two seconds and searched four decades."""
    settings = {
        "executions": [make_execution(record) for record in (*study.tune, *study.confirm)],
        "learning_rates": dict.fromkeys(study.params.losses, RATES),
    } | replaced
    executions = settings.pop("executions")
    return gather(study.results(), study.tune, study.confirm, executions, **settings)


def with_predictions(study: Study, predictions: dict[tuple[str, int], list[int]]) -> Study:
    """The study with predictions for some blocks, by loss and block."""
    study.confirm = [
        record.model_copy(
            update={
                "predictions": pack(np.array(predictions[record.configuration.loss, place(record)]))
                if record.role == "block" and (record.configuration.loss, place(record)) in predictions
                else None
            }
        )
        for record in study.confirm
    ]
    return study


def with_calibration(study: Study) -> Study:
    """The study with the same reliability diagram in every block and for every way."""
    fit = Calibration(nll=0.5, brier=0.3, bins=BINS)
    ways = dict.fromkeys(("softmax", "link", "scaled"), fit)
    study.confirm = [record.model_copy(update={"calibration": ways, "temperature": 1.5}) for record in study.confirm]
    return study
