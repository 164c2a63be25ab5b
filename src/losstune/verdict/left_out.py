"""The parts of a report that need class predictions, where a training loop of the user's own returns scores only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from losstune.verdict.facts import DataFacts
from losstune.verdict.results import LossResult

NEED_PREDICTIONS = (
    "calibration and reliability",
    "confusion matrices",
    "test examples gained and lost",
    "changed predictions",
    "classes that are never predicted",
)


def left_out(losses: Sequence[LossResult], metric: str, data: DataFacts) -> Iterator[str]:
    """Yield a sentence on the parts that are left out, and one on those left out as the classes are not known.

    Args:
        losses: Results of the losses.
        metric: Name of the study's metric.
        data: Facts about the data.
    """
    confirmed = [loss for loss in losses if loss.scores and loss.num_failed_blocks < len(loss.blocks)]
    if not all(loss.has_predictions for loss in confirmed):
        recalls = ("recall by class frequency",) if data.class_groups else ()
        parts = (*NEED_PREDICTIONS, *recalls, f"every metric but {metric}")
        yield f"Left out, because the training loop returns scores only: {', '.join(parts)}."
    elif absent := [loss.loss for loss in confirmed if loss.calibration.keys() == {"link"}]:
        yield (
            f"Left out for {', '.join(absent)}, because the training loop returns probabilities and no outputs "
            "(losstune.Logits): calibration of softmax and with a temperature."
        )
    if not data.class_names:
        yield "Left out, because the number of classes is not known (data.options.num_classes): sizes of the gradients."
