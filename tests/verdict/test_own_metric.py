"""A study judged by a metric of the user's own: the mirror image of one judged by accuracy, in the metric's units."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from losstune.config.metrics import MetricSettings
from losstune.core.errors import LosstuneError
from losstune.verdict.failures import with_worst, worst_score
from losstune.verdict.results import Results
from tests.factories import make_record
from tests.report.studies import judged_by, make_block, make_study
from tests.verdict.test_pipeline import CROSS_ENTROPY, GATED, shifted

COST = MetricSettings(name="my_metrics.py:cost", minimize=True)
GAIN = MetricSettings(name="my_metrics.py:gain")
SCORES = {
    "cross_entropy": CROSS_ENTROPY,
    "kl_divergence": shifted(0.0002),
    "focal": shifted(0.02),
    "square": shifted(-0.03),
    "gce": [score + 0.01 * (-1) ** block for block, score in enumerate(CROSS_ENTROPY)],
}


def negative(accuracy: float) -> float:
    """A cost of which everything is the exact mirror image."""
    return -accuracy


def without_failures(study):
    study.tune = [record for record in study.tune if record.status == "finished"]
    return study


@pytest.fixture(scope="module", params=["fixed", "anytime"])
def pair(request) -> tuple[Results, Results]:
    """The results by accuracy and by the cost."""
    study = without_failures(make_study(SCORES, stopping=request.param))
    if request.param == "anytime":
        # As many blocks as each loss's e-process takes: the losses that are better or worse are decided at once.
        study.params = study.params.model_copy(
            update={"confirm": study.params.confirm.model_copy(update={"num_blocks": len(CROSS_ENTROPY)})}
        )
        study.confirm = [r for r in study.confirm if not decided_before(study, r)]
    return study.results(), judged_by(study, COST, negative).results()


def decided_before(study, record) -> bool:
    from losstune.statistics import first_decision

    loss = record.configuration.loss
    if record.role != "block" or loss not in ("focal", "square", "gce"):
        return False
    _, num_blocks = first_decision(
        np.subtract(SCORES[loss], CROSS_ENTROPY), alpha=0.05, num_candidates=3, rope=0.005, every=2
    )
    return 2 * record.index + record.search >= num_blocks


def test_the_verdict_is_the_same_in_other_words(pair):
    by_accuracy, by_cost = pair
    assert (by_cost.verdict.action, by_cost.verdict.loss) == (by_accuracy.verdict.action, by_accuracy.verdict.loss)
    assert [loss.loss for loss in by_cost.ranked()] == [loss.loss for loss in by_accuracy.ranked()]
    assert by_cost.verdict.loss == "focal"
    start = by_cost.verdict.sentence.partition(". ")[0]
    assert start == (
        "On digits with the cnn, use focal: it beats cross_entropy by 0.0200 ± "
        f"{start.partition('± ')[2].partition(' ')[0]} in cost, lower in {len(by_cost.of('focal').blocks)} of "
        f"{len(by_cost.of('focal').blocks)} blocks"
    )
    assert "points" not in by_cost.verdict.sentence


def test_decisions_and_p_values_are_the_same_and_differences_have_the_other_sign(pair):
    by_accuracy, by_cost = pair
    for ours, theirs in zip(by_cost.losses, by_accuracy.losses, strict=True):
        assert (ours.decision, ours.blocks_needed) == (theirs.decision, theirs.blocks_needed)
        assert ours.winner == theirs.winner
        assert ours.overtakes == theirs.overtakes
        assert ours.best_of == pytest.approx([-score for score in theirs.best_of])
        assert ours.default_validation == pytest.approx(-theirs.default_validation)
        assert ours.optimism.mean == pytest.approx(-theirs.optimism.mean)
        assert [block["cost"] for block in ours.blocks] == [-block["accuracy"] for block in theirs.blocks]
        assert ours.scores["cost"].mean == pytest.approx(-theirs.scores["accuracy"].mean)
        assert ours.scores["accuracy"] == theirs.scores["accuracy"]
        if theirs.difference is None:
            assert ours.difference is None
            continue
        cost, accuracy = ours.difference, theirs.difference
        assert (cost.mean, cost.low, cost.high) == pytest.approx((-accuracy.mean, -accuracy.high, -accuracy.low))
        assert cost.equivalence_low == pytest.approx(-accuracy.equivalence_high)
        for name in ("sd", "p_value", "p_blocks", "p_search", "p_wilcoxon", "search_sd"):
            assert getattr(cost, name) == pytest.approx(getattr(accuracy, name)), name
        assert cost.p_holm == pytest.approx(accuracy.p_holm)
        for name in ("probability_better", "probability_low", "probability_high"):
            assert getattr(cost, name) == pytest.approx(getattr(accuracy, name)), name


def test_controls_hold_as_they_do_by_accuracy(pair):
    by_accuracy, by_cost = pair
    assert by_cost.control.identity == by_accuracy.control.identity
    assert by_cost.control.noise_floor == pytest.approx(by_accuracy.control.noise_floor)
    assert by_cost.control.positive.detected is by_accuracy.control.positive.detected is True
    assert by_cost.control.positive.difference.mean > 0


def test_what_a_reader_of_results_json_needs_to_show_it(pair):
    by_cost = pair[1]
    assert (by_cost.metric, by_cost.minimize, by_cost.percent) == ("cost", True, False)
    assert by_cost.selection.startswith("lowest final validation score")
    assert Results.model_validate_json(by_cost.model_dump_json()) == by_cost


def test_a_metric_to_maximise_is_as_accuracy():
    study = without_failures(make_study(SCORES))
    by_accuracy, by_gain = study.results(), judged_by(study, GAIN, lambda accuracy: accuracy).results()
    for ours, theirs in zip(by_gain.losses, by_accuracy.losses, strict=True):
        assert ours.difference == theirs.difference
        assert ours.decision == theirs.decision
    assert "it beats cross_entropy by 0.0200 ± 0.0000 in gain, higher in 10 of 10 blocks" in by_gain.verdict.sentence


def test_a_fraction_of_the_user_s_own_is_shown_in_percent():
    fraction = MetricSettings(name="my_metrics.py:error", minimize=True, percent=True)
    study = judged_by(without_failures(make_study(SCORES)), fraction, lambda accuracy: 1.0 - accuracy)
    sentence = study.results().verdict.sentence
    assert "it beats cross_entropy by 2.00 ± 0.00 points of error, lower in 10 of 10 blocks" in sentence


def test_the_rope_is_in_the_units_of_the_metric():
    study = judged_by(without_failures(make_study(GATED, rope=300.0)), COST, lambda accuracy: -10_000 * accuracy)
    focal = study.results().of("focal")
    assert focal.difference.mean == pytest.approx(-200.0)
    assert focal.decision == "equivalent"
    assert "focal is ahead by 200 ± 0, which is equivalent, within ±300" in study.results().verdict.sentence


def test_a_failed_block_counts_with_the_worst_score_of_the_search():
    study = make_study(SCORES, rope=0.01)
    lost = make_block("square", 4, 0.9, status="diverged")
    study.confirm = [
        lost if (r.configuration.loss, r.role, r.search, r.index) == ("square", "block", 0, 2) else r
        for r in study.confirm
    ]
    results = judged_by(study, COST, lambda accuracy: 1.0 - accuracy).results()
    # The first epoch of the worst configuration of the search: 0.88 - 0.1.
    assert results.worst == pytest.approx(0.22)
    square = results.of("square")
    assert [block["cost"] for block in square.blocks].count(results.worst) == 1
    assert square.num_failed_blocks == 1
    assert all(math.isfinite(value) for value in (square.difference.mean, square.difference.sd, *square.best_of))
    assert math.isfinite(square.scores["cost"].mean)
    assert (
        "square diverged or failed in 1 of 10 blocks, counted with cost 0.220, the worst validation score of any trial "
        "and epoch of the search." in results.notes
    )


def test_a_loss_that_never_trained_has_no_winner_and_breaks_nothing():
    study = judged_by(make_study(GATED, without_winner=["square"]), COST, negative)
    square = study.results().of("square")
    assert (square.winner, square.standing) == (None, "no winner")
    assert study.results().ranked()[-1].loss == "square"
    bare = judged_by(make_study({"cross_entropy": CROSS_ENTROPY[:2]}, without_winner=["focal"]), COST, negative)
    bare.tune = [record for record in bare.tune if record.status == "diverged"]
    bare.confirm = []
    nothing = bare.results()
    assert nothing.worst is None
    assert all(loss.best_of == () and loss.default_validation is None for loss in nothing.losses)


@pytest.mark.parametrize(("settings", "expected"), [(COST, -0.5), (GAIN, -0.9)])
def test_the_worst_score_is_over_all_epochs_of_the_search(settings, expected):
    record = make_record(curve=[0.5, 0.9, 0.6])
    study = judged_by(make_study(GATED), settings, negative)
    study = dataclasses.replace(study, tune=[record, make_record(index=1, status="failed")], confirm=[])
    trials = judged_by(study, settings, negative).tune
    worst = worst_score(trials, settings.measure)
    assert worst == expected
    first, second = with_worst(trials, settings.measure.name, worst)
    assert first == trials[0]
    assert second.validation[settings.measure.name] == worst
    assert second.validation["accuracy"] == 0.0


def test_a_bounded_metric_keeps_its_own_worst_score():
    assert make_study(GATED, without_winner=["square"]).results().worst == 0.0


def test_records_with_the_metric_alone_give_a_verdict():
    study = judged_by(without_failures(make_study(SCORES)), COST, negative)

    def bare(record):
        def only(scores):
            return None if scores is None else {"cost": scores["cost"]}

        curve = [epoch.model_copy(update={"validation": only(epoch.validation)}) for epoch in record.curve]
        update = {"validation": only(record.validation), "test": only(record.test), "curve": tuple(curve)}
        return record.model_copy(update=update | {"confusion": None, "predictions": None})

    whole = study.results()
    study.tune, study.confirm = list(map(bare, study.tune)), list(map(bare, study.confirm))
    results = study.results()
    assert set(results.of("focal").scores) == {"cost"}
    assert results.verdict == whole.verdict


def test_a_record_without_the_metric_is_refused():
    study = judged_by(make_study(GATED), COST, negative)
    study.tune = make_study(GATED).tune
    with pytest.raises((LosstuneError, KeyError), match="cost"):
        study.results()
