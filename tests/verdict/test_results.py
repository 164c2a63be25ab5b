"""What the results say of each loss, and which losses a reader should look at."""

from __future__ import annotations

import pytest

from losstune.verdict.facts import DataFacts
from losstune.verdict.numbers import Score
from losstune.verdict.results import Results, SecondaryMetric, Verdict
from tests.report.pooled import make_example, make_pooled
from tests.report.studies import make_study
from tests.verdict import rows
from tests.verdict.test_pipeline import GATED


def scored(mean, **metrics):
    means = {"accuracy": mean} | metrics
    return {"scores": {metric: Score(mean=value, low=None, high=None) for metric, value in means.items()}}


def results(*losses, action="keep", chosen="cross_entropy", metric="accuracy"):
    return Results(
        study="s", protocol="p", earlier=(), model="cnn", metric=metric, alpha=0.05, rope=0.005, power=0.8,
        data=DataFacts(name="d", digest="d", num_train=1, num_validation=1, num_test=1, class_names=("a",)),
        num_searches=2, num_trials=3, num_blocks=4, stopping="fixed", num_saved=None, baseline="cross_entropy",
        selection="rule", losses=losses, variances=None, control=rows.control(), notes=(),
        verdict=Verdict(action=action, loss=chosen, sentence="A sentence."),
    )  # fmt: skip


BASELINE = rows.baseline(**scored(0.90))
FOCAL = rows.candidate("focal", "undecided", **scored(0.92, macro_f1=0.1))
GCE = rows.candidate("gce", "undecided", **scored(0.91, macro_f1=0.2))
LOST = rows.candidate("lost", None, scores={}, blocks=(), winner=None)
TWIN = rows.candidate("twin", None, part="control", **scored(0.99))


@pytest.mark.parametrize(
    ("loss", "standing"),
    [
        (LOST, "no winner"),
        (TWIN, "identical loss"),
        (rows.candidate("twin", None, part="alias"), "identical loss"),
        (FOCAL, "undecided"),
        (rows.candidate("focal", None), "no verdict"),
        (BASELINE, "baseline"),
    ],
)
def test_a_loss_stands_somewhere(loss, standing):
    assert loss.standing == standing


def test_losses_are_ranked_by_the_studys_metric_and_those_without_a_score_come_last():
    found = results(LOST, GCE, BASELINE, TWIN, FOCAL)
    assert [loss.loss for loss in found.ranked()] == ["twin", "focal", "gce", "cross_entropy", "lost"]
    by_f1 = results(LOST, FOCAL, GCE, metric="macro_f1")
    assert [loss.loss for loss in by_f1.ranked()] == ["gce", "focal", "lost"]
    assert found.of("gce") == GCE
    with pytest.raises(KeyError):
        found.of("unknown")


def test_the_loss_to_look_at_is_the_verdicts_or_the_best_candidate():
    losses = LOST, GCE, BASELINE, TWIN, FOCAL
    assert results(*losses, action="use", chosen="gce").subject() == "gce"
    for action, chosen in (("keep", "cross_entropy"), ("none", None)):
        assert results(*losses, action=action, chosen=chosen).subject() == "focal"
    assert results(*losses).losses_in_focus() == ["cross_entropy", "focal"]
    assert results(BASELINE, TWIN, LOST).subject() == "cross_entropy"
    assert results(BASELINE, TWIN, LOST).losses_in_focus() == ["cross_entropy"]
    lost_baseline = rows.baseline((), scores={}, winner=None)
    assert results(lost_baseline, FOCAL).losses_in_focus() == ["focal"]


def with_secondary(metric="accuracy"):
    loss = rows.baseline(**scored(0.9, nll=0.3, ece=0.1, auroc=0.99, profit=1234.5, cost=0.25))
    named = [("profit", False, False), ("auroc", False, True), ("cost", True, True), ("missing", False, False)]
    secondary = tuple(SecondaryMetric(name=n, minimize=m, percent=p) for n, m, p in named)
    return results(loss, metric=metric).model_copy(update={"secondary_metrics": secondary})


def test_the_metrics_that_a_study_names_come_before_the_others():
    assert with_secondary().other_metrics == ("profit", "auroc", "cost", "nll", "ece")
    assert with_secondary("nll").other_metrics == ("profit", "auroc", "cost", "accuracy", "ece")
    assert results(BASELINE, FOCAL).other_metrics == ("macro_f1",)


def test_each_metric_has_its_direction_and_its_unit():
    found = with_secondary()
    assert [name for name in found.other_metrics if found.is_minimised(name)] == ["cost", "nll", "ece"]
    assert [found.score(name, 0.25) for name in ("accuracy", "profit", "auroc", "cost", "nll")] == [
        *("25.00%", "0.25", "25.00%", "25.00%", "0.250")
    ]


def test_secondary_metrics_are_written_only_if_there_are_any():
    assert "secondary_metrics" not in results(BASELINE).model_dump(mode="json")
    found = with_secondary()
    assert Results.model_validate_json(found.model_dump_json()) == found


def test_norms_of_outputs_are_written_only_if_there_are_any():
    found = results(BASELINE, FOCAL.model_copy(update={"output_norms": {"0.0": 5.0, "1.0": 9.5}}))
    written = [loss.get("output_norms") for loss in found.model_dump(mode="json")["losses"]]
    assert written == [None, {"0.0": 5.0, "1.0": 9.5}]
    assert Results.model_validate_json(found.model_dump_json()) == found


def test_predictions_are_known_where_ece_is():
    """Any other metric may be the one number that a training loop of the user's own returns."""
    assert with_secondary().has_predictions
    assert not results(rows.baseline(**scored(0.9, nll=0.3)), metric="nll").has_predictions


def test_what_would_settle_a_loss_is_told_in_trainings_or_in_blocks():
    blocks = FOCAL.model_copy(update={"blocks_needed": 12})
    trainings = FOCAL.model_copy(update={"trainings_needed": 504, "reason": "budget"})
    assert (blocks.further, blocks.further_short) == ("about 12 more blocks", "+12")
    assert (trainings.further, trainings.further_short) == ("about 500 more trainings", "+500")
    assert (FOCAL.further, FOCAL.further_short) == (None, None)


def test_undecided_losses_come_in_the_order_of_what_they_need():
    losses = [
        FOCAL.model_copy(update={"loss": "never"}),
        FOCAL.model_copy(update={"loss": "much", "trainings_needed": 900}),
        FOCAL.model_copy(update={"loss": "little", "trainings_needed": 90}),
        rows.candidate("done", "better"),
        BASELINE,
    ]
    assert [loss.loss for loss in results(*losses).undecided] == ["little", "much", "never"]


def test_a_pooled_study_is_one_with_rounds():
    pooled = make_example().results()
    assert pooled.is_pooled
    assert not results(BASELINE).is_pooled
    assert "rounds" not in results(BASELINE).model_dump(mode="json")
    assert Results.model_validate_json(pooled.model_dump_json()) == pooled


def test_the_retrained_configurations_name_their_search():
    pooled = make_pooled().results().of("focal")
    assert pooled.retrained == [(search.search, search.winner) for search in pooled.searches]
    replicated = make_study(GATED).results().of("focal")
    assert [search for search, _ in replicated.retrained] == [0, 1]
