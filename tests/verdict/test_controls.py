"""Identity gate, noise floor and positive control, from records that a test makes up."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest

from losstune import statistics
from losstune.verdict.comparison import Rules, compare
from losstune.verdict.controls import control_of
from tests.factories import make_record

BASE = (0.90, 0.91, 0.92, 0.90, 0.91, 0.92, 0.90, 0.91)
NOISE = np.array([3, -1, -4, 2, 5, -5, 1, -1]) * 1e-4  # zero in all
RULES = Rules(alpha=0.05, rope=0.005, power=0.8, num_searches=2)


def generator(*coordinates):
    return np.random.default_rng(zlib.crc32(repr(coordinates).encode()))


def block(loss, place, accuracy, **replaced):
    return make_record(
        loss=loss, stage="confirm", search=place % 2, index=place // 2, accuracy=accuracy, seed=100 + place, **replaced
    )


def blocks_of(**scores):
    return {loss: [block(loss, place, score) for place, score in enumerate(values)] for loss, values in scores.items()}


def found(blocks, identical, records=()):
    return control_of("base", identical, blocks, records, RULES, "accuracy", generator)


def test_the_noise_floor_is_the_largest_difference_of_losses_that_are_equal():
    blocks = blocks_of(
        base=BASE, twin=np.add(BASE, 0.001), other=np.add(BASE, 0.05), other_twin=np.add(BASE, 0.047 + NOISE)
    )
    control = found(blocks, {"twin": "base", "other_twin": "other", "lost": "base", "other": "lost"})
    assert [(pair.loss, pair.equals) for pair in control.pairs] == [("twin", "base"), ("other_twin", "other")]
    assert [pair.difference.mean for pair in control.pairs] == pytest.approx([0.001, -0.003])
    assert control.noise_floor == pytest.approx(0.003)
    # Equal losses are no candidates: nothing is corrected for them.
    assert all(pair.difference.p_holm is None for pair in control.pairs)
    scores = {loss: [record.test["accuracy"] for record in records] for loss, records in blocks.items()}
    (expected, *_) = (
        compare(scores, "other", [], RULES, lambda loss: generator("difference", loss, "other"))[loss]
        for loss in ("other_twin",)
    )
    assert control.pairs[1].difference == expected


def test_without_equal_losses_there_is_no_floor_and_no_gate():
    control = found(blocks_of(base=BASE, focal=BASE), {})
    assert (control.identity, control.positive, control.pairs, control.noise_floor) == (None, None, (), None)


def degraded(*scores):
    return [block("base", place, score, role="degraded", learning_rate=1e-5) for place, score in enumerate(scores)]


@pytest.mark.parametrize(
    ("scores", "detected"),
    [
        ([0.5] * 8, True),
        (BASE, False),
        # Ahead is not worse.
        ([0.99] * 8, False),
        # Six blocks are the fewest whose sign flips reach 0.05.
        ([0.5] * 6, True),
        ([0.5] * 5, None),
    ],
)
def test_the_degraded_baseline_must_be_found_worse(scores, detected):
    records = degraded(*scores)[::-1]  # in whatever order they come
    positive = found(blocks_of(base=BASE), {}, [*records, block("base", 0, 0.1)]).positive
    assert positive.detected is detected
    assert positive.learning_rate == 1e-5
    expected = statistics.paired_difference(
        scores, BASE[: len(scores)], alpha=0.05, rng=generator("difference", "crippled")
    )
    assert positive.difference.p_holm == positive.difference.p_value == expected.p_value
    assert (positive.difference.mean, positive.difference.low) == (expected.mean, expected.low)


def test_without_blocks_of_the_baseline_nothing_can_be_shown():
    assert found(blocks_of(base=()), {}, degraded(0.5, 0.5)).positive is None
    assert found(blocks_of(focal=BASE), {}, degraded(0.5, 0.5)).positive is None


def checked(identical=None, **update):
    """The gate's finding for a control that differs from the baseline's first block in `update`."""
    twin = block("twin", 0, BASE[0], role="control").model_copy(update=update)
    return found(blocks_of(base=BASE), identical or {"twin": "base"}, [block("twin", 0, 0.1), twin]).identity


FIRST = block("base", 0, BASE[0])


def changed(epoch, **update):
    curve = list(FIRST.curve)
    curve[epoch] = curve[epoch].model_copy(update=update)
    return {"curve": tuple(curve)}


def test_a_control_that_agrees_passes():
    check = checked()
    assert (check.loss, check.passed) == ("twin", True)
    assert check.detail == "3 epochs and all test scores agree to the bit"
    assert checked(identical={"twin": "focal"}) is None


def test_scores_that_are_no_numbers_agree_with_themselves():
    # A control that became NaN where the baseline did is the same model.
    first = FIRST.model_copy(update=changed(2, train_loss=math.nan))
    twin = block("twin", 0, BASE[0], role="control").model_copy(update=changed(2, train_loss=math.nan))
    assert found({"base": [first]}, {"twin": "base"}, [twin]).identity.passed


def test_a_control_that_was_not_trained_fails():
    check = found(blocks_of(base=BASE), {"twin": "base", "third": "base"}, [block("twin", 0, 0.9)]).identity
    assert (check.loss, check.passed, check.detail) == ("twin", False, "it was not trained")


CONFIGURATION = FIRST.configuration


@pytest.mark.parametrize(
    ("update", "detail"),
    [
        ({"seed": 7}, "it was trained on another seed"),
        (
            {"configuration": CONFIGURATION.model_copy(update={"learning_rate": 0.5})},
            "it was trained with another learning rate",
        ),
        (
            {"configuration": CONFIGURATION.model_copy(update={"weight_decay": 0.5})},
            "it was trained with another weight decay",
        ),
        (
            {"configuration": CONFIGURATION.model_copy(update={"settings": {"momentum": 0.5}})},
            "it was trained with another momentum",
        ),
        ({"status": "diverged"}, "it diverged, but the baseline finished"),
        (
            changed(1, train_loss=0.25),
            f"they differ from epoch 2 on: training loss 0.25 against {FIRST.curve[1].train_loss!r}",
        ),
        (changed(0, validation={"accuracy": 0.1}), "they differ from epoch 1 on, in the validation scores"),
        ({"curve": FIRST.curve[:2]}, "it trained for 2 epochs, but the baseline for 3"),
        ({"validation": {"accuracy": 0.1}}, "their validation scores differ"),
        ({"test": {"accuracy": 0.1}}, "their test scores differ"),
        ({"confusion": ((1, 0), (0, 1))}, "their predictions differ"),
    ],
)  # fmt: skip
def test_every_disagreement_is_named(update, detail):
    check = checked(**update)
    assert not check.passed
    assert check.detail == detail


def test_one_of_several_controls_that_disagrees_is_named():
    controls = [
        block("twin", 0, BASE[0], role="control"),
        block("third", 0, BASE[0], role="control").model_copy(update={"seed": 7}),
    ]
    check = found(blocks_of(base=BASE), {"twin": "base", "third": "base"}, controls).identity
    assert (check.loss, check.passed) == ("third", False)
