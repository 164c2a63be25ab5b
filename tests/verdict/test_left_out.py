"""A report says what it leaves out, and why."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from losstune.verdict.left_out import left_out

ALL = {"softmax": 1, "link": 1, "scaled": 1}
SCORES = {"ece": 0.5, "mean_iou": 0.5}


@dataclass
class Loss:
    loss: str = "focal"
    scores: dict[str, float] = field(default_factory=lambda: {"mean_iou": 0.5})
    calibration: dict[str, Any] = field(default_factory=dict)
    num_failed_blocks: int = 0
    blocks: tuple[int, ...] = (1, 2)

    @property
    def has_predictions(self) -> bool:
        return "ece" in self.scores


@dataclass
class Data:
    class_names: tuple[str, ...] = ("cat", "dog")
    class_groups: dict[str, tuple[str, ...]] = field(default_factory=dict)


CASES = {
    "nothing": ([Loss(scores=SCORES, calibration=ALL)], Data(), []),
    "scores only": (
        [Loss()],
        Data(),
        [
            "Left out, because the training loop returns scores only: calibration and reliability, confusion matrices, "
            "test examples gained and lost, changed predictions, classes that are never predicted, every metric but "
            "mean_iou."
        ],
    ),
    "scores only, of a long tail": (
        [Loss()],
        Data(class_groups={"many": ("cat",), "few": ("dog",)}),
        [
            "Left out, because the training loop returns scores only: calibration and reliability, confusion matrices, "
            "test examples gained and lost, changed predictions, classes that are never predicted, recall by class "
            "frequency, every metric but mean_iou."
        ],
    ),
    "one has probabilities": (
        [Loss(scores=SCORES, calibration=ALL), Loss("sigmoid_bce", SCORES, calibration={"link": 1})],
        Data(),
        [
            "Left out for sigmoid_bce, because the training loop returns probabilities and no outputs "
            "(losstune.Logits): calibration of softmax and with a temperature."
        ],
    ),
    "no block finished": ([Loss(num_failed_blocks=2)], Data(), []),
    "no winner": ([Loss(scores={}, blocks=())], Data(), []),
    "no classes": (
        [Loss(scores=SCORES, calibration=ALL)],
        Data(()),
        ["Left out, because the number of classes is not known (data.options.num_classes): sizes of the gradients."],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_left_out_is_named(case):
    losses, data, expected = CASES[case]
    assert list(left_out(losses, "mean_iou", data)) == expected
