from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from losstune.core.errors import LosstuneError
from losstune.core.files import canonical_json
from losstune.core.metric import STANDARD
from losstune.verdict.results import Results
from tests.report.studies import make_block, make_study

CROSS_ENTROPY = [0.90, 0.91, 0.92, 0.90, 0.91, 0.92, 0.90, 0.91, 0.92, 0.91]


def shifted(by, spread=(0.0,)):
    """The baseline's blocks, each moved by `by` and, in turn, by `spread`; alike in both searches, which take turns."""
    return [score + by + spread[i // 2 % len(spread)] for i, score in enumerate(CROSS_ENTROPY)]


def test_four_outcomes():
    results = make_study(
        {
            "cross_entropy": CROSS_ENTROPY,
            "kl_divergence": shifted(0.0, (0.001, -0.001)),
            "focal": shifted(0.02, (0.002, -0.002)),
            "poly1": shifted(0.0, (0.001, -0.001)),
            "square": shifted(-0.03, (0.002, -0.002)),
            "gce": shifted(0.004, (0.02, -0.02)),
        }
    ).results()
    assert {loss.loss: loss.decision for loss in results.losses} == {
        "cross_entropy": None,
        "kl_divergence": None,
        "focal": "better",
        "poly1": "equivalent",
        "square": "worse",
        "gce": "undecided",
    }
    assert [loss.part for loss in results.losses] == ["baseline", "control"] + ["candidate"] * 4
    assert results.of("gce").blocks_needed > 50
    assert results.of("focal").blocks_needed is None
    assert (results.verdict.action, results.verdict.loss) == ("use", "focal")


def test_numbers_of_a_loss_against_numpy_and_scipy():
    scores = shifted(0.01, (0.01, -0.004, 0.002))
    results = make_study({"cross_entropy": CROSS_ENTROPY, "focal": scores}).results()
    focal, differences = results.of("focal"), np.subtract(scores, CROSS_ENTROPY)
    assert focal.difference.mean == pytest.approx(differences.mean())
    assert focal.difference.sd == pytest.approx(differences.std(ddof=1))
    exact = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert focal.difference.p_blocks == pytest.approx(exact.pvalue)
    # One other loss: over the searches it is a paired t test on the means of each search's blocks.
    means = [differences[search::2].mean() for search in range(2)]
    assert focal.difference.p_search == pytest.approx(stats.ttest_1samp(means, 0.0).pvalue)
    assert focal.difference.p_value == max(focal.difference.p_blocks, focal.difference.p_search)
    assert focal.scores["accuracy"].mean == pytest.approx(np.mean(scores))
    assert [block["accuracy"] for block in focal.blocks] == scores
    assert set(focal.scores) == set(STANDARD)
    assert focal.num_trials == {"diverged": 2, "finished": 4}
    assert (focal.winner_index, focal.winner_validation, focal.default_validation) == (1, 0.90, 0.88)


def test_verdict_follows_the_metric_that_was_tuned():
    study = make_study({"cross_entropy": CROSS_ENTROPY, "focal": shifted(0.02)}, metric="macro_f1")
    lower = {"macro_f1": 0.5}
    study.confirm = [
        record.model_copy(update={"test": record.test | lower}) if record.configuration.loss == "focal" else record
        for record in study.confirm
    ]
    assert study.results().of("focal").decision == "worse"


def test_holm_counts_candidates_only():
    scores = {
        "cross_entropy": CROSS_ENTROPY,
        "kl_divergence": shifted(0.0, (0.001, -0.001)),
        "focal": shifted(0.02),
        "poly1": shifted(0.01),
    }
    results = make_study(scores, equals={"kl_divergence": "cross_entropy"}).results()
    # Ten of ten blocks: p = 2 / 2^10 for both, times two candidates, not three.
    assert [loss.difference.p_holm for loss in results.losses if loss.part == "candidate"] == [4 / 1024, 4 / 1024]
    assert results.of("kl_divergence").difference.p_holm is None
    assert results.of("kl_divergence").equals == "cross_entropy"


def test_alias_of_a_candidate_is_shown_but_not_counted():
    results = make_study(
        {"focal": CROSS_ENTROPY, "cross_entropy": shifted(0.02), "kl_divergence": shifted(0.03)}, baseline="focal"
    ).results()
    assert [loss.part for loss in results.losses] == ["baseline", "candidate", "alias"]
    assert results.of("cross_entropy").difference.p_holm == 2 / 1024
    assert results.verdict.loss == "cross_entropy"
    # No loss equals the baseline, so there is no gate, but the pair still measures the noise of the search.
    assert results.control.identity is None
    assert results.control.noise_floor == pytest.approx(0.01)


def test_significant_difference_below_the_noise_floor_is_undecided():
    scores = {"cross_entropy": CROSS_ENTROPY, "focal": shifted(0.02)}
    assert make_study(scores).results().of("focal").decision == "better"
    results = make_study(scores | {"kl_divergence": shifted(-0.025)}).results()
    assert results.control.noise_floor == pytest.approx(0.025)
    assert results.of("focal").difference.p_holm < 0.05
    assert results.of("focal").decision == "undecided"
    assert "focal is ahead by 2.00 ± 0.00 points, within the noise floor, undecided" in results.verdict.sentence
    assert "kl_divergence and cross_entropy are identical losses and differ by 2.50 points" in results.verdict.sentence


def test_wide_rope_makes_equivalent():
    scores = {"cross_entropy": CROSS_ENTROPY, "focal": shifted(0.02, (0.001, -0.001))}
    assert make_study(scores, rope=0.03).results().of("focal").decision == "equivalent"


GATED = {"cross_entropy": CROSS_ENTROPY, "kl_divergence": shifted(0.0, (0.001, -0.001)), "focal": shifted(0.02)}


def test_gate_holds_when_the_control_is_the_same_to_the_bit():
    results = make_study(GATED).results()
    assert results.control.identity.passed
    assert "3 epochs and all test scores agree to the bit" in results.control.identity.detail


def replace_control(study, **update):
    study.confirm = [
        record.model_copy(update=update) if record.role == "control" else record for record in study.confirm
    ]


def test_one_bit_in_the_training_loss_fails_the_gate():
    study = make_study(GATED)
    control = next(record for record in study.confirm if record.role == "control")
    last = control.curve[-1].model_copy(update={"train_loss": float(np.nextafter(control.curve[-1].train_loss, 9.0))})
    replace_control(study, curve=(*control.curve[:-1], last))
    results = study.results()
    assert not results.control.identity.passed
    assert "they differ from epoch 3 on: training loss 0.33333333333333337 against 0.3333333333333333" in (
        results.control.identity.detail
    )
    assert (results.verdict.action, results.verdict.loss) == ("none", None)
    assert results.verdict.sentence.startswith("No verdict on digits with the cnn: kl_divergence equals cross_entropy")
    assert all(loss.decision is None and loss.blocks_needed is None for loss in results.losses)
    assert results.of("focal").difference is not None


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"seed": 7}, "another seed"),
        ({"status": "diverged"}, "it diverged, but the baseline finished"),
        ({"curve": ()}, "it trained for 0 epochs, but the baseline for 3"),
        ({"confusion": ((30, 0, 0), (0, 30, 0), (0, 0, 30))}, "their predictions differ"),
        ({"test": {"accuracy": 0.5}}, "their test scores differ"),
        ({"validation": {"accuracy": 0.5}}, "their validation scores differ"),
    ],
)
def test_every_disagreement_fails_the_gate(update, message):
    study = make_study(GATED)
    replace_control(study, **update)
    assert message in study.results().control.identity.detail


def test_another_configuration_is_no_control():
    study = make_study(GATED)
    moved = study.confirm[-1].configuration.model_copy(update={"weight_decay": 0.5})
    replace_control(study, configuration=moved)
    assert "another weight decay" in study.results().control.identity.detail


def test_control_that_was_not_trained_fails_the_gate():
    study = make_study(GATED)
    study.confirm = [record for record in study.confirm if record.role != "control"]
    results = study.results()
    assert results.control.identity.detail == "it was not trained"
    assert results.verdict.action == "none"


def test_study_without_identical_losses_says_so():
    results = make_study({"cross_entropy": CROSS_ENTROPY, "focal": shifted(0.02)}).results()
    assert (results.control.identity, results.control.pairs, results.control.noise_floor) == (None, (), None)
    assert any(note.startswith("No control:") for note in results.notes)
    assert results.verdict.action == "use"


def test_diverged_block_counts_with_the_worst_score():
    study = make_study({"cross_entropy": CROSS_ENTROPY, "focal": shifted(0.02)})
    study.confirm = [
        make_block("focal", 3, 0.0, status="diverged")
        if (record.configuration.loss, record.number) == ("focal", "1.1")
        else record
        for record in study.confirm
    ]
    results = study.results()
    focal = results.of("focal")
    assert focal.num_failed_blocks == 1
    assert focal.scores["accuracy"].mean == pytest.approx(np.mean([*shifted(0.02)[:3], 0.0, *shifted(0.02)[4:]]))
    assert (focal.scores["nll"].mean, focal.scores["nll"].low) == (float("inf"), None)
    assert focal.decision == "undecided"
    assert "focal diverged or failed in 1 of 10 blocks, counted with the worst scores." in results.notes


def test_loss_without_winner_is_reported_and_not_counted():
    results = make_study({"cross_entropy": CROSS_ENTROPY, "focal": shifted(0.02)}, without_winner=["apl"]).results()
    apl = results.of("apl")
    assert (apl.winner, apl.blocks, apl.difference, apl.decision) == (None, (), None, None)
    assert apl.num_trials == {"diverged": 6}
    assert results.of("focal").difference.p_holm == 2 / 1024
    assert "apl has no winner: all trials of one of its searches diverged or failed." in results.notes
    assert results.ranked()[-1].loss == "apl"


def test_baseline_without_winner_gives_no_verdict():
    results = make_study({"focal": shifted(0.02)}, without_winner=["cross_entropy"]).results()
    assert results.verdict.action == "none"
    assert "every trial of the baseline cross_entropy diverged or failed" in results.verdict.sentence
    assert results.of("focal").difference is None


def test_study_of_the_control_alone_gives_no_verdict():
    results = make_study({"cross_entropy": CROSS_ENTROPY, "kl_divergence": CROSS_ENTROPY}).results()
    assert "there is no loss to compare with cross_entropy" in results.verdict.sentence


def test_too_few_blocks_are_noted():
    few = {"cross_entropy": CROSS_ENTROPY[:5], "focal": shifted(0.02)[:5]}
    results = make_study(few).results()
    assert results.of("focal").decision == "undecided"
    assert results.of("focal").difference.low == float("-inf")
    # Three blocks of one search, two of the other: with another search of three they are nine.
    assert results.of("focal").blocks_needed == 4
    assert any("with 6 blocks or more, and more easily with 8 (confirm.num_blocks)" in note for note in results.notes)
    assert not any("confirm.num_blocks" in note for note in make_study(GATED).results().notes)


def test_blocks_that_are_just_enough_are_noted():
    def study(num_blocks):
        # With the control, whose searches agree; two losses alone say too little of the luck of a search.
        scores = {"focal": shifted(0.02), "cross_entropy": CROSS_ENTROPY, "kl_divergence": CROSS_ENTROPY}
        return make_study({loss: values[:num_blocks] for loss, values in scores.items()})

    results = study(6).results()
    assert results.of("focal").difference.p_holm == 2 / 2**6
    assert results.of("focal").decision == "better"
    assert (
        "6 blocks are just enough for 1 loss: the smallest Holm p-value is 0.031, for a loss that is ahead or behind "
        "in every block. One tie with cross_entropy doubles it, to more than 0.05. 8 or more blocks allow ties "
        "(confirm.num_blocks)."
    ) in results.notes
    # It is no empty threat: with one tie nothing is found, and with eight blocks it still is.
    for num_blocks, decision in ((6, "undecided"), (8, "better")):
        tied = study(num_blocks)
        tied.confirm[0] = make_block("focal", 0, CROSS_ENTROPY[0])
        assert tied.results().of("focal").decision == decision
    assert not any("confirm.num_blocks" in note for note in study(7).results().notes)


def test_twins_of_a_twin_are_twins_of_the_baseline():
    # The baseline is itself another loss's identical loss, and a third loss equals that one: all three are one.
    scores = {
        "focal": shifted(0.02),
        "kl_divergence": CROSS_ENTROPY,
        "gce": shifted(0.0, (0.001, -0.001)),
        "cross_entropy": shifted(0.0, (0.002, -0.002)),
    }
    equals = {"kl_divergence": "cross_entropy", "gce": "cross_entropy"}
    results = make_study(scores, baseline="kl_divergence", equals=equals).results()
    assert [loss.part for loss in results.losses] == ["candidate", "baseline", "control", "control"]
    assert {pair.equals for pair in results.control.pairs} == {"kl_divergence"}
    assert results.control.identity.loss == "gce"


def test_missing_block_is_named():
    study = make_study(GATED)
    study.confirm = [r for r in study.confirm if (r.configuration.loss, r.number) != ("focal", "1.3")]
    with pytest.raises(LosstuneError, match=r"focal has no test scores for block 1\.3 \(10 in all\)"):
        study.results()


def test_block_of_another_configuration_is_refused():
    study = make_study(GATED)
    study.tune = [r for r in study.tune if (r.configuration.loss, r.index) != ("focal", 1)]
    with pytest.raises(LosstuneError, match=r"block 0\.0 of focal was trained with another configuration"):
        study.results()


def test_blocks_on_other_seeds_are_refused():
    study = make_study(GATED)
    study.confirm = [
        r.model_copy(update={"seed": 5}) if (r.configuration.loss, r.number) == ("focal", "0.1") else r
        for r in study.confirm
    ]
    with pytest.raises(LosstuneError, match=r"block 0\.1 was not trained on the same seed"):
        study.results()


def test_equal_records_give_equal_bytes_in_any_order():
    study = make_study(GATED)
    first = study.results().model_dump_json()
    study.tune.reverse()
    study.confirm.reverse()
    assert study.results().model_dump_json() == first


def test_adding_a_loss_leaves_the_intervals_of_the_others():
    alone, together = make_study(GATED).results(), make_study(GATED | {"gce": shifted(0.01)}).results()
    assert alone.of("focal").scores == together.of("focal").scores


def test_results_survive_json_with_infinities():
    study = make_study({"cross_entropy": CROSS_ENTROPY[:3], "focal": shifted(0.02)[:3]})
    study.confirm[-1] = make_block("focal", 2, 0.0, status="failed")
    results = study.results()
    assert Results.model_validate_json(results.model_dump_json()) == results


def test_results_can_be_written_as_strict_json():
    study = make_study({"cross_entropy": CROSS_ENTROPY[:3], "focal": shifted(0.02)[:3]})
    study.confirm[-1] = make_block("focal", 2, 0.0, status="failed")
    text = canonical_json(study.results().model_dump(mode="json"))
    assert Results.model_validate_json(text) == study.results()


@pytest.mark.parametrize(("score", "expected"), [(0.75, "better"), (0.25, "worse")])
def test_a_difference_on_the_border_of_the_rope_is_not_within(score, expected):
    results = make_study({"cross_entropy": [0.5] * 8, "focal": [score] * 8}, rope=0.25, degraded=0.0).results()
    assert results.of("focal").decision == expected


def test_baseline_stays_the_baseline_behind_its_twin():
    scores = {"kl_divergence": shifted(0.0, (0.001, -0.001)), "cross_entropy": CROSS_ENTROPY, "focal": shifted(0.02)}
    results = make_study(scores).results()
    assert [loss.part for loss in results.losses] == ["control", "baseline", "candidate"]
    assert results.control.pairs[0].equals == "cross_entropy"
