from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import recall_score

from losstune.losses import get
from losstune.training.loop import train
from losstune.verdict.class_groups import class_groups, group_recalls
from tests.factories import make_record
from tests.small import digits_arrays, small_task

LONG_TAIL = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


def test_thirds_of_the_classes_by_their_training_samples():
    assert class_groups(LONG_TAIL, "auto") == {"many": (0, 1, 2, 3), "medium": (4, 5, 6), "few": (7, 8, 9)}
    assert class_groups([5, 90, 40], "auto") == {"many": (1,), "medium": (2,), "few": (0,)}


@pytest.mark.parametrize("counts", [[], [90, 9], [90, 80, 10], [50] * 10])
def test_balanced_data_and_two_classes_have_no_groups(counts):
    assert class_groups(counts, "auto") == {}
    assert class_groups(LONG_TAIL, "none") == {}


def test_limits_of_the_users_own():
    """Liu et al. 2019: many above 100, few below 20."""
    assert class_groups([500, 100, 20, 19, 1], (20, 100)) == {"many": (0,), "medium": (1, 2), "few": (3, 4)}
    assert class_groups([500, 400], (20, 100)) == {"many": (0, 1)}


def block(confusion):
    return make_record(stage="confirm").model_copy(update={"confusion": confusion})


def test_the_recall_of_a_group_is_the_mean_over_its_classes():
    confusion = ((8, 2, 0), (1, 2, 3), (0, 1, 1))
    true = [0] * 10 + [1] * 6 + [2] * 2
    said = [0] * 8 + [1] * 2 + [0] + [1] * 2 + [2] * 3 + [1, 2]
    expected = recall_score(true, said, labels=[0, 2], average="macro")
    assert group_recalls([block(confusion)], (0, 2)) == [pytest.approx(expected)]


def test_all_classes_together_are_balanced_accuracy_also_of_outputs_that_ignore_the_prior():
    tail = replace(digits_arrays(), digest="tail", train_labels=np.minimum(digits_arrays().train_labels * 3 % 10, 4))
    tail = replace(tail, num_classes=5, validation_labels=tail.validation_labels % 5, test_labels=tail.test_labels % 5)
    for loss in ("cross_entropy", "logit_adjusted"):
        (result,) = list(train(small_task(loss, test=True), tail, get(loss)))[-1]
        assert (result.balanced_hits is None) == (loss == "cross_entropy")
        found = make_record(stage="confirm").model_copy(
            update={"confusion": result.confusion, "balanced_hits": result.balanced_hits}
        )
        assert group_recalls([found], range(5)) == [pytest.approx(result.test["balanced_accuracy"])]


def test_classes_without_test_samples_and_lost_blocks():
    confusion = ((8, 2), (0, 0))
    assert group_recalls([block(confusion)], (0, 1)) == [0.8]
    assert group_recalls([block(confusion)], (1,)) == []
    assert group_recalls([block(confusion), block(None)], (0,)) == [0.8, 0.0]
    assert group_recalls([block(None)], (0,)) == []
