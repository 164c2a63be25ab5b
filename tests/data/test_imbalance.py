"""Which classes accuracy hardly sees: by their share of the splits that are selected and judged on."""

from __future__ import annotations

import pytest

from losstune.data.imbalance import hint
from losstune.data.manifest import ClassCounts, Manifest


def manifest(test, validation=None):
    counts = ClassCounts(train=test, validation=validation or test, test=test)
    return Manifest(
        name="npz",
        class_names=tuple(f"c{label}" for label in range(len(test))),
        counts=counts,
        input_shape=(4,),
        dtype="float32",
        mean=(0.0,) * 4,
        std=(1.0,) * 4,
        label_noise=0.0,
        num_labels_changed=0,
        digest="d",
        development_digest="e",
        test_digest="f",
    )


def test_a_thousand_to_one_is_told_with_the_metric_that_sees_it():
    told = hint(manifest((1000, 1)), "accuracy", 0.005)
    assert "accuracy hardly depends on the class 'c1'" in told
    assert "0.1% of the" in told
    assert "loses 0.1 points" in told
    assert "less than 0.5 is negligible" in told
    assert "balanced_accuracy and macro_f1" in told


@pytest.mark.parametrize("metric", ["balanced_accuracy", "macro_f1"])
def test_metrics_that_weigh_all_classes_alike_see_it(metric):
    assert hint(manifest((1000, 1)), metric, 0.005) is None


@pytest.mark.parametrize(
    ("counts", "rope", "is_told"),
    [
        ((500, 500), 0.005, False),
        ((995, 5), 0.005, True),  # 0.5 points, no more than the ROPE
        ((994, 6), 0.005, False),
        ((980, 20), 0.02, True),  # 2 points are no difference in this study
        ((999, 1), 0.0, True),  # however small a difference is asked for
        ((10,) * 1000, 0.005, False),  # many classes, none of them rare
        ((100,) * 999 + (9,), 0.005, True),
        ((100,) * 999 + (11,), 0.005, False),  # more than a tenth of an equal share
    ],
)
def test_rare_is_what_costs_no_difference_and_is_far_below_an_equal_share(counts, rope, is_told):
    assert (hint(manifest(counts), "accuracy", rope) is not None) == is_told


def test_a_long_tail_of_the_split_that_is_selected_on_is_told_though_the_test_split_is_balanced():
    assert "of the validation split" in hint(manifest((50, 50), validation=(1000, 2)), "accuracy", 0.005)


def test_of_many_classes_a_few_are_named_and_the_rest_counted():
    told = hint(manifest((100_000, 50, 40, 30, 20, 10)), "accuracy", 0.005)
    assert "the classes 'c5', 'c4', 'c3', … (5 in all)" in told
