"""The scores that a training loop of the user's own reports and returns: a number, or class probabilities.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from losstune.core import labels
from losstune.core.errors import LosstuneError
from losstune.losses.spec import BoundLoss
from losstune.training import metrics
from losstune.training.calibration import calibration
from losstune.training.device_data import DeviceData
from losstune.training.job import Logits
from losstune.training.scores import Scorer
from losstune.training.task import Task

EXPECTED = "expected a number, class probabilities (N, C), or losstune.Logits of outputs (N, C)"

Split = Literal["validation", "test"]

TOLERANCE = 1e-3
"""Largest distance of a row's sum from 1. Probabilities in bfloat16 are that precise."""


class Scores:
    """Turns what a loop reports into metrics by name.

    Args:
        task: What is trained.
        loss: Its loss.
        data: The data; None if the loop reads it itself.
        found: Beginning of a message: the key and the loop.
    """

    def __init__(self, task: Task, loss: BoundLoss, data: DeviceData | None, found: str) -> None:
        self._task, self._data, self._found = task, data, found
        if data is not None:
            loss = data.with_counts(loss, task.training.soft_labels)
        self._loss = loss
        self._scorer = Scorer(task)

    def of(self, value: Any, split: Split, how: str) -> dict[str, float] | None:
        """Return the metrics of a score or of probabilities; None if it is not finite.

        Raises:
            LosstuneError: If it is neither, or has the wrong shape.
        """
        if _is_number(value):
            score = float(value)
            return {self._task.score: score} if math.isfinite(score) else None
        outputs_NC, probabilities_NC = self._outputs(value, split, how)
        if not bool(torch.isfinite(probabilities_NC).all()):
            return None
        sums_N = probabilities_NC.sum(1)
        worst = int((sums_N - 1).abs().argmax())
        if float((sums_N[worst] - 1).abs()) > TOLERANCE or float(probabilities_NC.min()) < -TOLERANCE:
            raise LosstuneError(
                f"{self._found} {how} probabilities of the {split} split that are none: row {worst} sums to "
                f"{float(sums_N[worst]):.4g}, expected non-negative rows that sum to 1, such as those of "
                "job.probabilities(logits)"
            )
        is_balanced = outputs_NC is not None and self._loss.spec.balanced_outputs
        balanced_N = outputs_NC.argmax(1) if is_balanced and outputs_NC is not None else None
        scores = self._scorer.scores(probabilities_NC, self._labels(split), balanced_N, self._soft(split))
        if self._task.score not in scores:
            raise LosstuneError(
                f"{self._found} {how} class probabilities, of which losstune can't compute {self._task.score}; "
                f"expected the {self._task.score} of the {split} split, a number"
            )
        return scores

    def not_finite(self, value: Any) -> str:
        """Return what is not finite, in words."""
        return f"{float(value)}" if _is_number(value) else "NaN or infinite"

    def predictions(self, validation: Any, test: Any) -> dict[str, Any]:
        """Return the fields of a result that come from test predictions; none if the loop returned a number."""
        if test is None or _is_number(test) or self._data is None:
            return {}
        outputs_NC, test_NC = self._outputs(test, "test", "returned")
        target_N = self._labels("test")
        predicted_N = test_NC.argmax(1)
        counts = metrics.confusion_matrix(predicted_N, target_N, self._data.num_classes)
        fields: dict[str, Any] = {
            "confusion": tuple(tuple(row) for row in counts.tolist()),
            "predictions": labels.pack(predicted_N.cpu().numpy()),
        }
        if outputs_NC is not None and self._loss.spec.balanced_outputs:
            hits = metrics.hits_by_class(outputs_NC.argmax(1), target_N, self._data.num_classes)
            fields["balanced_hits"] = hits
        found = {"link": calibration(test_NC, target_N)}
        if outputs_NC is not None:
            found = {"softmax": calibration(outputs_NC.softmax(1), target_N), **found}
            validation_NC = None if _is_number(validation) else self._outputs(validation, "validation", "returned")[0]
            if validation_NC is not None:
                temperature = metrics.fit_temperature(validation_NC, self._labels("validation"))
                scaled_NC = (outputs_NC.double() / temperature).softmax(1).float()
                found["scaled"] = calibration(scaled_NC, target_N)
                fields["temperature"] = temperature.item()
        return fields | {"calibration": found}

    def _outputs(self, value: Any, split: Split, how: str) -> tuple[Tensor | None, Tensor]:
        """Return the model's outputs, if they are known, and the probabilities, without a check of their values."""
        if isinstance(value, Logits):
            outputs_NC = self._array(value.values, split, how)
            return outputs_NC, self._loss.probabilities(outputs_NC)
        probabilities_NC = self._array(value, split, how)
        if not self._link_is_softmax():
            return None, probabilities_NC
        return _log(probabilities_NC), probabilities_NC  # equal to the outputs, up to a constant

    def _array(self, value: Any, split: Split, how: str) -> Tensor:
        """Return an array of shape (N, C) on the data's device."""
        if not isinstance(value, Tensor | np.ndarray | list | tuple):
            what = "nothing" if value is None else f"a {type(value).__name__}"
            raise LosstuneError(f"{self._found} {how} {what} as the {split} score, {EXPECTED}")
        try:
            tensor = value.detach() if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
        except (TypeError, ValueError):
            raise LosstuneError(
                f"{self._found} {how} a {type(value).__name__} as the {split} score, {EXPECTED}"
            ) from None
        if self._data is None:
            raise LosstuneError(
                f"{self._found} {how} an array of shape {tuple(tensor.shape)} as the {split} score, expected a number: "
                "losstune knows no labels of data that the loop reads itself"
            )
        expected = (len(self._labels(split)), self._data.num_classes)
        if tensor.shape != expected or not tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            raise LosstuneError(
                f"{self._found} {how} {kind} of shape {tuple(tensor.shape)} for the "
                f"{split} split, expected a number, or probabilities of shape {expected}"
            )
        return tensor.to(self._data.device)

    def _labels(self, split: Split) -> Tensor:
        assert self._data is not None
        found = self._data.validation_labels if split == "validation" else self._data.test_labels
        assert found is not None, "the test split is scored only where the task has one"
        return found

    def _soft(self, split: Split) -> Tensor | None:
        assert self._data is not None
        return self._data.validation_targets if split == "validation" else self._data.test_targets

    def _link_is_softmax(self) -> bool:
        if self._loss.spec.needs_counts:
            return False
        logits_NC = torch.linspace(-3.0, 3.0, 8).view(2, 4)
        return torch.allclose(self._loss.probabilities(logits_NC), logits_NC.softmax(1), atol=1e-6)


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor | np.ndarray):
        return value.ndim == 0
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _log(probabilities_NC: Tensor) -> Tensor:
    return probabilities_NC.double().clamp(min=metrics.NLL_EPSILON**2).log()
