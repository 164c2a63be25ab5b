"""The controls of a study: the identity check, the noise floor, the positive control."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from losstune.core.records import Record, place_of
from losstune.verdict import wording
from losstune.verdict.comparison import blocks_difference, compare, decide
from losstune.verdict.control_results import Control, IdentityCheck, NoisePair, PositiveControl
from losstune.verdict.rules import Rules

Generator = Callable[..., np.random.Generator]


def control_of(
    baseline: str,
    identical: Mapping[str, str],
    blocks: Mapping[str, Sequence[Record]],
    confirm_records: Sequence[Record],
    rules: Rules,
    metric: str,
    generator: Generator,
    *,
    same_values: bool = True,
    pairs: tuple[NoisePair, ...] | None = None,
) -> Control:
    """Return the results of all controls.

    Args:
        baseline: The loss that all are compared with.
        identical: Maps a loss to the loss of this study that it is identical to.
        blocks: Blocks by loss, in order.
        confirm_records: All records of the confirmation, including controls.
        rules: The study's rules.
        metric: Name of the verdict's metric.
        generator: Returns a random stream for coordinates.
        same_values: Whether identical losses have the same values, and not the same gradients only: on soft labels, KL
            divergence is cross-entropy minus the entropy of the labels.
        pairs: Differences of identical losses, of a pooled study; by default they are computed over the blocks.
    """
    scores = {loss: scores_of(records, metric) for loss, records in blocks.items()}
    pairs = (
        pairs
        if pairs is not None
        else tuple(
            NoisePair(
                loss=loss,
                equals=equal_loss,
                difference=compare(scores, equal_loss, [], rules, _of_pair(equal_loss, generator))[loss],
            )
            for loss, equal_loss in identical.items()
            if scores.get(loss) and scores.get(equal_loss)
        )
    )
    degraded = [record for record in confirm_records if record.role == "degraded"]
    return Control(
        identity=_check_identity(baseline, identical, blocks, confirm_records, same_values=same_values),
        positive=_positive(degraded, scores.get(baseline, []), rules, metric, generator),
        pairs=pairs,
        noise_floor=max((abs(pair.difference.mean) for pair in pairs), default=None),
    )


def _of_pair(equal_loss: str, generator: Generator) -> Callable[[str], np.random.Generator]:
    return lambda loss: generator("difference", loss, equal_loss)


def scores_of(records: Iterable[Record], metric: str) -> list[float]:
    """Return the test scores of blocks."""
    return [(record.test or {})[metric] for record in records]


def _positive(
    degraded: Sequence[Record], baseline: Sequence[float], rules: Rules, metric: str, generator: Generator
) -> PositiveControl | None:
    if not degraded or not baseline:
        return None
    scores = scores_of(sorted(degraded, key=lambda record: place_of(record, rules.num_searches)), metric)
    # "crippled" only names the random stream: another name would change the intervals of earlier results.
    difference = blocks_difference(scores, baseline, rules, generator("difference", "crippled"))
    difference = difference.model_copy(update={"p_holm": difference.p_value})
    # The p-value if every block were worse by the same amount, which is the smallest possible one.
    num_blocks = min(len(scores), len(baseline))
    best = blocks_difference([-1.0] * num_blocks, [0.0] * num_blocks, rules, generator("difference", "certain"))
    decision = decide(difference, alpha=rules.alpha, rope=rules.rope, noise_floor=None, minimize=rules.minimize)
    return PositiveControl(
        learning_rate=degraded[0].configuration.learning_rate,
        difference=difference,
        detected=None if best.p_value > rules.alpha else decision == "worse",
    )


def _check_identity(
    baseline: str,
    identical: Mapping[str, str],
    blocks: Mapping[str, Sequence[Record]],
    confirm_records: Iterable[Record],
    *,
    same_values: bool,
) -> IdentityCheck | None:
    equal_losses = [loss for loss, equal_loss in identical.items() if equal_loss == baseline]
    if not equal_losses or baseline not in blocks:
        return None
    expected = blocks[baseline][0]
    controls = [record for record in confirm_records if record.role == "control"]
    if not controls:
        return IdentityCheck(loss=equal_losses[0], passed=False, detail="it was not trained")
    for control in controls:
        found = control if same_values else _with_losses_of(expected, control)
        if detail := _first_disagreement(expected, found):
            return IdentityCheck(loss=control.configuration.loss, passed=False, detail=detail)
    return IdentityCheck(
        loss=controls[0].configuration.loss,
        passed=True,
        detail=f"{wording.count(len(expected.curve), 'epoch')} and all test scores agree to the bit",
    )


def _with_losses_of(expected: Record, found: Record) -> Record:
    """Return a record with the training losses of another one in its curve."""
    curve = [
        theirs.model_copy(update={"train_loss": ours.train_loss})
        for ours, theirs in zip(expected.curve, found.curve, strict=False)
    ]
    return found.model_copy(update={"curve": (*curve, *found.curve[len(curve) :])})


def _first_disagreement(expected: Record, found: Record) -> str:
    if found.seed != expected.seed:
        return "it was trained on another seed"
    ours, theirs = expected.configuration, found.configuration
    for name in ("learning_rate", "weight_decay", *(ours.settings | theirs.settings)):
        if ours.values.get(name) != theirs.values.get(name):
            return f"it was trained with another {name.replace('_', ' ')}"
    if found.status != expected.status:
        return f"it {found.status}, but the baseline {expected.status}"
    for left, right in zip(expected.curve, found.curve, strict=False):
        if _text(left.train_loss) != _text(right.train_loss):
            losses = f"{right.train_loss!r} against {left.train_loss!r}"
            return f"they differ from epoch {left.epoch} on: training loss {losses}"
        if _text(left.model_dump()) != _text(right.model_dump()):
            return f"they differ from epoch {left.epoch} on, in the validation scores"
    if len(found.curve) != len(expected.curve):
        return f"it trained for {len(found.curve)} epochs, but the baseline for {len(expected.curve)}"
    for split, left_scores, right_scores in (
        ("validation", expected.validation, found.validation),
        ("test", expected.test, found.test),
    ):
        if _text(left_scores) != _text(right_scores):
            return f"their {split} scores differ"
    return "" if expected.confusion == found.confusion else "their predictions differ"


def _text(value: Any) -> str:
    # The text of a float is exact, and the texts of two NaNs are equal, unlike the NaNs.
    return json.dumps(value, sort_keys=True)
