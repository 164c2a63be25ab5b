import json

import pytest

from losstune.tracking.views import BLOCKS_VIEW, TRIALS_VIEW, view_tags


@pytest.mark.parametrize(("metric", "minimize"), [("accuracy", False), ("expected_cost", True)])
def test_trainings_are_ordered_by_the_study_s_metric_the_best_first(metric, minimize):
    tags = view_tags(metric, minimize)
    for view, split in ((TRIALS_VIEW, "val"), (BLOCKS_VIEW, "test")):
        state = json.loads(json.loads(tags[f"mlflow.sharedViewState.{view}"])["state"])
        assert state["orderByKey"] == f"metrics.`{split}_{metric}`"
        assert state["orderByAsc"] is minimize
        assert state["orderByKey"] in state["selectedColumns"]


def test_secondary_metrics_are_columns_and_none_is_there_twice():
    tags = view_tags("nll", True, ("auroc", "ece"))
    for view, shown in (
        (TRIALS_VIEW, ["val_nll", "val_auroc", "val_ece"]),
        (BLOCKS_VIEW, ["val_nll", "test_nll", "test_auroc", "test_ece"]),
    ):
        columns = json.loads(json.loads(tags[f"mlflow.sharedViewState.{view}"])["state"])["selectedColumns"]
        assert [column for column in columns if "_" in column and "metrics" in column][:-1] == [
            f"metrics.`{name}`" for name in shown
        ]
