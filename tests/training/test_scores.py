"""A training computes the metrics that its task names, and no others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn import metrics as reference

from losstune.config.metrics import NAMES, CostSettings, MetricSettings
from losstune.config.settings import OwnSettings
from losstune.core.errors import LosstuneError
from losstune.core.metric import METRICS, SOFT, STANDARD
from losstune.losses.registry import get
from losstune.training import own_loop
from losstune.training.loop import train
from losstune.training.metrics import evaluate
from losstune.training.own_loop_check import check_loop
from losstune.training.scores import BY_NAME, SOFT_BY_NAME, Scorer
from tests.small import digits_arrays, small_task
from tests.training.test_metrics import draw

FURTHER = tuple(name for name in NAMES if name not in STANDARD)
COSTS = CostSettings(name="expected_cost", costs=tuple(tuple(row) for row in (1 - np.eye(10)).tolist()))
OWN = """
import numpy as np
from sklearn import metrics
from losstune import Logits, Result

def error(probabilities, labels): return float((probabilities.argmax(1) != labels).mean())
def broken(probabilities, labels): return float("nan") if len(labels) > 20 else 1.0

def outputs(job, part):
    generator = np.random.default_rng(1)
    logits = generator.standard_normal((len(part.labels), 10)) + 3 * np.eye(10)[part.labels.numpy()]
    return (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)

def probabilities(job):
    for epoch in range(1, job.epochs + 1):
        job.report(epoch, outputs(job, job.validation))
    return Result(validation=outputs(job, job.validation), test=outputs(job, job.test) if job.score_test else None)

def number(job):
    for epoch in range(1, job.epochs + 1):
        job.report(epoch, 0.5 + epoch / 100)
    return Result(validation=0.6, test=0.6 if job.score_test else None)
"""


@pytest.fixture(autouse=True)
def _study(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)


def trained(**settings):
    ((result,),) = train(small_task(test=True, **settings), digits_arrays(), get("cross_entropy").bind())
    return result


def test_every_name_has_a_function():
    assert {*BY_NAME, *SOFT_BY_NAME} == set(FURTHER)
    assert set(SOFT_BY_NAME) == set(SOFT)
    assert {*NAMES, "ece", "expected_cost"} == METRICS.keys()


def test_a_training_has_what_its_task_names_after_every_epoch_and_on_the_test_split():
    own = MetricSettings(name="mine.py:error", minimize=True)
    plain, whole = trained(), trained(metrics=(*FURTHER, COSTS, own))
    expected = [*STANDARD, *(name for name in FURTHER if name not in SOFT), "expected_cost", *SOFT, "error"]
    for scores, before in (
        (whole.test, plain.test),
        *((epoch.validation, old.validation) for epoch, old in zip(whole.curve, plain.curve, strict=True)),
    ):
        assert list(scores) == expected
        assert {name: scores[name] for name in STANDARD} == before, "the others change nothing"
        assert scores["expected_cost"] == pytest.approx(1 - scores["accuracy"])
        assert scores["error"] == pytest.approx(1 - scores["accuracy"])
        for name in expected[:-2]:
            low, high = METRICS[name].bounds
            assert low <= scores[name] <= high
    assert whole.test["top_5_accuracy"] > whole.test["accuracy"]
    assert (plain.predictions, plain.calibration) == (whole.predictions, whole.calibration)


def test_equal_trainings_have_equal_bits():
    assert trained(metrics=(*FURTHER, COSTS)) == trained(metrics=(*FURTHER, COSTS))


def test_all_leave_the_device_in_one_transfer(monkeypatch):
    probabilities, target = draw(50, 10)
    scorer = Scorer(small_task(metrics=(*FURTHER, COSTS)))
    transfers = []
    for name in ("tolist", "item"):
        plain = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda tensor, plain=plain: transfers.append(1) or plain(tensor))
    scorer.scores(probabilities, target)
    assert len(transfers) == 1


def test_balanced_accuracy_alone_rests_on_decisions_of_its_own():
    probabilities, target = draw(60, 10)
    scorer = Scorer(small_task(metrics=(*FURTHER, COSTS)))
    other = scorer.scores(probabilities, target, target)
    assert other.pop("balanced_accuracy") == 1.0
    assert other.items() < scorer.scores(probabilities, target).items()


def test_without_further_metrics_it_is_what_evaluate_returns():
    probabilities, target = draw(60, 10)
    assert Scorer(small_task()).scores(probabilities, target) == evaluate(probabilities, target)


@pytest.mark.parametrize(("score", "key"), [("broken", "tune.metric"), ("auroc", "tune.secondary_metrics.broken")])
def test_a_metric_of_the_user_s_own_is_named_by_its_key(score, key):
    task = small_task(metrics=("auroc", MetricSettings(name="mine.py:broken")), score=score)
    with pytest.raises(LosstuneError, match=f"^{key}: found 'mine.py:broken', which returned nan"):
        Scorer(task).scores(*draw(60, 10))


def with_loop(name, **settings):
    task = small_task(test=True, **settings)
    return replace(task, training=task.training.model_copy(update={"loop": OwnSettings(name=f"mine.py:{name}")}))


def of_own_loop(name, **settings):
    ((result,),) = own_loop.train(with_loop(name, **settings), digits_arrays(), get("cross_entropy").bind())
    return result


def test_probabilities_of_a_loop_of_the_user_s_own_are_scored_by_all():
    own = MetricSettings(name="mine.py:error", minimize=True)
    result = of_own_loop("probabilities", metrics=("auroc", "kappa", COSTS, own), score="auroc")
    assert list(result.test) == [*STANDARD, "auroc", "kappa", "expected_cost", "error"]
    generator, labels = np.random.default_rng(1), digits_arrays().test_labels
    logits = generator.standard_normal((len(labels), 10)) + 3 * np.eye(10)[labels]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert result.test["auroc"] == pytest.approx(reference.roc_auc_score(labels, p, multi_class="ovr"), abs=1e-4)
    assert result.test["kappa"] == pytest.approx(reference.cohen_kappa_score(labels, p.argmax(1)))
    assert result.test["error"] == result.test["expected_cost"] == pytest.approx((p.argmax(1) != labels).mean())
    assert result.curve[0].validation.keys() == result.test.keys()


def test_a_number_of_such_a_loop_is_the_study_s_metric():
    result = of_own_loop("number", metrics=("auroc", "kappa"), score="auroc")
    assert result.test == result.validation == {"auroc": 0.6}


NUMBER = "mine.py:number returns a number, so kappa, mcc can't be computed"


@pytest.mark.parametrize(("metrics", "expected"), [(("kappa", "auroc", "mcc"), [NUMBER]), (("auroc",), [])])
def test_the_check_says_what_a_number_leaves_out(metrics, expected):
    task = with_loop("number", metrics=metrics, score="auroc")
    notes = check_loop(task, digits_arrays(), get("cross_entropy").bind())
    assert [note for note in notes if "can't be computed" in note] == expected
