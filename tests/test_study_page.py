"""docs/study.md: what the script says of made-up studies of known truth, and that the committed page is current."""

import json
import math
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import scipy

from losstune.config.load import load_params
from losstune.config.matrix import load_matrix
from losstune.core.records import Configuration
from tests.factories import make_execution, make_record
from tests.paths import REPOSITORY
from tests.report.pooled import make_pooled

REAL = REPOSITORY / "studies" / "real"
sys.path.insert(0, str(REAL))
try:
    import again
    import facts
    import findings
    import page
finally:
    sys.path.pop(0)

STUDIES = REAL / "studies"


@pytest.fixture(scope="module")
def base():
    """A real Results, whose numbers the tests replace."""
    return make_pooled({"cross_entropy": 0.9, "kl_divergence": 0.9, "keras_kl_divergence": 0.9, "gce": 0.9}).results()


def with_losses(base, **numbers):
    """The results with, for each loss, the mean, half-width and standard error of its difference, and its decision."""
    losses = []
    for loss in base.losses:
        if loss.loss in numbers:
            mean, reach, error, decision = numbers[loss.loss]
            given = next(one.difference for one in base.losses if one.difference)
            difference = given.model_copy(
                update={
                    "mean": mean,
                    "low": mean - reach,
                    "high": mean + reach,
                    "search_error": 0.6 * error,
                    "seed_error": 0.8 * error,
                }
            )
            loss = loss.model_copy(update={"difference": difference, "decision": decision})
        losses.append(loss)
    verdict = base.verdict.model_copy(update={"action": "keep", "loss": "cross_entropy"})
    return base.model_copy(update={"losses": tuple(losses), "verdict": verdict})


def alike(base, gce=(0.0, 0.004, 0.001, "equivalent")):
    none = (0.0, 0.004, 0.001, None)
    return with_losses(base, kl_divergence=none, keras_kl_divergence=(*none[:3], "equivalent"), gce=gce)


@pytest.fixture
def cells(base):
    """All cells have run, and nothing differs."""
    return [replace(cell, results=alike(base)) for cell in findings.load(REAL / "nowhere")]


def text_of(cells, times=None, repeated=None):
    text, _ = page.page(cells, times or {}, repeated or {})
    return re.sub(r"\s+", " ", text.replace("\n> ", " "))


def test_every_cell_has_its_condition():
    cells = findings.load(REAL / "nowhere")
    assert len(cells) == 25
    assert [cell.title for cell in cells if cell.name == "cifar10_unseen_tail50-frozen"] == ["cifar10_unseen_tail50"]
    assert {cell.data for cell in cells if cell.condition == "clean"} == {
        *("digits", "mnist", "cifar10", "mnist_rgb", "cifar10_unseen", "breast_cancer", "wine")
    }


@pytest.mark.parametrize("seed", range(3))
def test_studies_that_differ_much_are_pooled_as_a_sample(seed):
    """With equal errors far below the spread, the model's interval is that of Student's t for the plain mean."""
    means = np.random.default_rng(seed).normal(0.01, 0.02, 7)
    found = findings.pooled(means, [0.001] * 7)
    plain = scipy.stats.ttest_1samp(means, 0.0)
    assert found.mean == pytest.approx(means.mean())
    assert (found.low, found.high) == pytest.approx(tuple(plain.confidence_interval(0.95)), rel=1e-4)
    assert found.p_value == pytest.approx(plain.pvalue, rel=1e-4)
    assert found.spread == pytest.approx(math.sqrt(means.var(ddof=1) - 0.001**2), rel=1e-4)


def test_studies_that_agree_are_weighted_by_their_errors():
    """By hand: weights 1, 1/4 and 1/4 of 10^6; the interval is not narrower than their errors allow."""
    found = findings.pooled([0.0021, 0.0020, 0.0019], [0.001, 0.002, 0.002])
    assert found.mean == pytest.approx((0.0021 + (0.0020 + 0.0019) / 4) / 1.5)
    assert found.spread == 0.0
    reach = 4.302653 / math.sqrt(1.5e6)
    assert (found.low, found.high) == pytest.approx((found.mean - reach, found.mean + reach), rel=1e-5)
    assert findings.pooled([0.1, 0.2], [0.01, 0.01]) is None


def test_an_unbounded_difference_is_not_pooled(base):
    run = [alike(base, (mean, 0.004, 0.001, "undecided")) for mean in (0.001, 0.002, 0.003)]
    unbounded = alike(base, (0.5, math.inf, 0.0, "undecided"))
    assert findings.pooled_loss([*run, unbounded], "gce") == findings.pooled_loss(run, "gce")
    assert findings.pooled_loss(run, "gce").mean == pytest.approx(0.002)
    assert findings.pooled_loss(run, "unknown") is None


@pytest.mark.parametrize(("number", "low", "high"), [(6, 1, 6), (7, 1, 7), (25, 8, 18)])
def test_the_interval_of_a_median_is_of_order_statistics(number, low, high):
    """The usual table of ranks for 95%, as in Conover 1999, table A3's binomial."""
    values = np.random.default_rng(0).permutation(np.arange(1.0, number + 1))
    found = findings.median_interval(values)
    assert (found.value, found.low, found.high) == ((number + 1) / 2, low, high)


def test_a_median_of_few_has_no_interval():
    found = findings.median_interval([1.0, 2.0, 4.0])
    assert (found.value, found.low, found.high) == (2.0, -math.inf, math.inf)


def test_chance_of_intervals_without_zero():
    assert findings.chance(0, 25) == 1.0
    assert findings.chance(1, 25) == pytest.approx(1 - 0.95**25)
    assert findings.chance(2, 25) == pytest.approx(1 - 0.95**25 - 25 * 0.05 * 0.95**24)


def test_what_the_search_changes_is_computed_by_hand(base):
    scores = {"cross_entropy": (0.80, 0.90), "keras_kl_divergence": (0.82, 0.91), "gce": (0.84, 0.89)}
    losses = tuple(
        loss.model_copy(
            update={
                "default_validation": scores.get(loss.loss, (0.1, 0))[0],
                "best_of": (0.0,) * 7 + (scores.get(loss.loss, (0, 0.99))[1], 1.0),
            }
        )
        for loss in base.losses
    )
    found = findings.tuning(base.model_copy(update={"losses": losses, "num_trials": 8}))
    assert found.before == pytest.approx(0.02)
    assert found.after == pytest.approx(0.01)
    assert found.gain == pytest.approx(0.1)
    assert found.is_leader_new
    assert found.rank_correlation == pytest.approx(-0.5)


def test_learning_rates_are_those_of_the_winners(base):
    rates = {"cross_entropy": 0.01, "kl_divergence": 0.02, "gce": 0.005}
    losses = tuple(
        loss.model_copy(
            update={
                "winner": None
                if loss.loss not in rates
                else Configuration(
                    loss=loss.loss, hyperparameters={}, learning_rate=rates[loss.loss], weight_decay=0.01
                )
            }
        )
        for loss in base.losses
    )
    found = findings.learning_rates([base.model_copy(update={"losses": losses})] * 2)
    assert {loss: pytest.approx(values) for loss, values in found.items()} == {
        "kl_divergence": [2.0, 2.0],
        "gce": [0.5, 0.5],
    }


def test_nothing_differs(cells):
    text = text_of(cells)
    assert "All 25 studies have run." in text
    assert (
        "With correct labels, 0 of 14 comparisons in 7 studies found a loss better than cross_entropy (14 equivalent, "
        "0 worse and 0 undecided). No loss is better on average over the studies, and for 2 of 2 losses, the average "
        "rules out an advantage of 0.5 points. With 40% wrong training labels, 0 of 28 in 14 studies found "
        "a better one. With a long tail, 0 of 8 in 4 studies did. KL divergence, "
        "which is cross-entropy on hard labels, differs from it in 0 of 25 studies (chance alone gives 1.25 at most), "
        "and KL divergence with Keras's clipping in 0 of 25."
    ) in text
    assert "14 comparisons: 0 better, 14 equivalent, 0 worse, 0 undecided. No loss is better in any study." in text
    assert "at most 1.25 studies with a false claim" in text
    assert "there is no claim to repeat" in text


def test_a_loss_that_is_better_everywhere_with_noise_only(cells, base):
    better = alike(base, (0.05, 0.02, 0.005, "better"))
    noisy = [replace(cell, results=better) if cell.condition in ("sym40", "asym40") else cell for cell in cells]
    text = text_of(noisy)
    assert "14 of 28 in 14 studies found a better one, most often gce (14 of 14). With a long tail, 0 of 8" in text
    assert text.count("On average over the studies, gce (+5.00 [+4.") == 3
    assert "0 of 14 comparisons in 7 studies" in text
    assert "gce on wine (+5.00 [+3.00, +7.00])" in text
    assert "rules out a mean advantage of 0.5 points" in text


def test_a_claim_waits_for_its_repetition(cells, base):
    claim = alike(base, (0.03, 0.01, 0.002, "better"))
    some = [replace(cell, results=claim) if cell.name in {"wine-mlp", "digits_sym40-cnn"} else cell for cell in cells]
    text = text_of(some)
    assert "Better is gce on wine (+3.00 [+2.00, +4.00])." in text
    assert "1 of 14 comparisons in 7 studies" in text
    assert "No loss is better on average" in text
    assert "2 studies have 2 claims of a better loss. Not repeated: digits_sym40 and wine" in text
    assert "Table 4." not in text
    again_found = text_of(some, repeated={"wine": alike(base, (0.001, 0.01, 0.002, "undecided"))})
    joined = again_found.replace("\n> ", " ").replace("\n", " ")
    assert (
        "Of 1 claim there: 1 undecided in the repetition. The sign is the same 1 time. The second estimate is" in joined
    )
    assert "smaller than the first one 1 of 1 times." in joined
    assert (
        "Of 1 claim that was repeated with other seeds, 0 were found again (0 of 1 with correct labels) and 1 kept the"
        in joined
    )
    assert "Not repeated: digits_sym40 (`make" in again_found
    assert "| wine | gce | +3.00 [+2.00, +4.00] | +0.10 [-0.90, +1.10] | undecided |" in again_found


def test_claims_of_repetitions_alone_are_named(cells, base):
    claim = alike(base, (0.03, 0.01, 0.002, "better"))
    wine = [replace(cell, results=claim) if cell.name == "wine-mlp" else cell for cell in cells]
    text = text_of(wine, repeated={"wine": claim, "mnist": claim}).replace("\n", " ")
    assert "2 studies were repeated" in text
    assert "Of 1 claim there: 1 better in the repetition. The sign is the same 1 time. The second estimate is" in text
    assert "smaller than the first one 0 of 1 times." in text
    assert "New in the repetitions: gce on mnist (+3.00 [+2.00, +4.00])." in text


def test_without_claims_there_is_nothing_to_repeat(cells, base):
    assert "No study found a better loss, so there is no claim to repeat." in text_of(cells)


def test_an_effect_of_kl_would_be_told(cells, base):
    effect = with_losses(
        alike(base), kl_divergence=(0.02, 0.01, 0.002, None), keras_kl_divergence=(-0.02, 0.01, 0.002, "worse")
    )
    some = [replace(cell, results=effect) if place < 5 else cell for place, cell in enumerate(cells)]
    text = text_of(some)
    expected = 1 - sum(math.comb(25, k) * 0.05**k * 0.95 ** (25 - k) for k in range(5))
    assert expected < 0.05
    assert f"| kl_divergence | 5 of 25 | 1.25 | {expected:.3f} |" in text
    assert "excludes zero in 5 of 25 studies, more than chance explains by their number" in text


def test_missing_studies_and_those_without_a_verdict_are_named(cells, base):
    none = alike(base)
    none = none.model_copy(update={"verdict": none.verdict.model_copy(update={"action": "none", "loss": None})})
    changed = [
        replace(cell, results=None)
        if cell.condition == "tail50"
        else replace(cell, results=none)
        if cell.name == "wine-mlp"
        else cell
        for cell in cells
    ]
    text = text_of(changed)
    assert "21 of the 25 studies have run. These have not: mnist_tail50, cifar10_tail50, mnist_rgb_tail50 and" in text
    assert "No study counts yet: long tail of 50:1." in text
    assert "1 study has no verdict, because a control failed: wine." in text
    assert "Correct labels: 6 of 7 studies count, with 12 comparisons" in text
    assert "differs from it in 0 of 21 studies" in text


def test_a_page_without_any_study():
    text, drawn = page.page(findings.load(REAL / "nowhere"), {}, {})
    assert "0 of the 25 studies have run." in text
    assert all(svg.startswith("<?xml") for svg in drawn.values())


def test_times_are_of_the_same_training(tmp_path):
    """gce takes twice as long in each pair, though its median alone does not say so."""
    folder = tmp_path / "results"
    for name in ("tune", "confirm"):
        (folder / name).mkdir(parents=True)
    seconds = {("cross_entropy", 0): 1.0, ("cross_entropy", 1): 9.0, ("cross_entropy", 2): 1.0, ("gce", 1): 18.0}
    trials = [(make_record(loss=loss, index=index), time) for (loss, index), time in seconds.items()]
    blocks = [
        (make_record(loss=loss, stage="confirm", role=role), time)
        for loss, role, time in (("cross_entropy", "block", 2.0), ("gce", "block", 4.0), ("gce", "control", 99.0))
    ]
    for rows, records, executions in (
        (trials, "tune/trials", "tune/executions"),
        (blocks, "confirm/blocks", "confirm/executions"),
    ):
        (folder / f"{records}.jsonl").write_text("".join(f"{row.model_dump_json()}\n" for row, _ in rows))
        (folder / f"{executions}.jsonl").write_text(
            "".join(f"{make_execution(row, duration_sec=time).model_dump_json()}\n" for row, time in rows)
        )
    found = facts.facts_of(tmp_path)
    assert (found["trainings"], found["seconds"]) == (7, 134.0)
    assert found["losses"]["gce"] == {"trainings": 2, "median_seconds": 11.0, "relative": 2.0}
    assert found["losses"]["cross_entropy"] == {"trainings": 4, "median_seconds": 1.5, "relative": 1.0}
    assert found["commits"] == ["0" * 40]


def test_facts_of_studies_without_records_are_kept(tmp_path):
    (tmp_path / "wine-mlp").mkdir()
    (tmp_path / "wine-mlp" / "results.json").write_text("{}")
    known = {"wine-mlp": {"trainings": 3}, "digits-cnn": {"trainings": 4}}
    assert facts.facts_in(tmp_path, known) == known


def test_what_it_costs(cells):
    times = {
        name: {
            "trainings": 1000,
            "seconds": 1800.0,
            "commits": ["abc"],
            "processors": ["CPU"],
            "losses": {"cross_entropy": {"relative": 1.0}, "gce": {"relative": slow}},
        }
        for name, slow in (("wine-mlp", 1.5), ("digits-cnn", 1.7), ("mnist-cnn8", 4.0))
    }
    text = text_of(cells, times)
    assert "3 studies took 3,000 trainings and 1.5 core-hours" in text
    assert "gce takes 1.5 times the seconds" in text
    assert "| gce | 1.70 | 1.50 | 4.00 | 3 |" in text
    assert "at commit `abc`" in text


def test_a_repetition_differs_in_name_and_seed_alone():
    (wine,) = [
        cell for cell in load_matrix(load_params(REAL / "params.yaml"), REAL / "matrix.yaml") if cell.name == "wine-mlp"
    ]
    repeated = again.cell_again("wine")
    assert (repeated.name, repeated.params.study.name) == ("wine_again-mlp", "real-wine_again-mlp")
    assert repeated.params.study.seed != wine.params.study.seed
    same = {"study", "tracking"}
    assert repeated.params.model_dump(exclude=same) == wine.params.model_dump(exclude=same)
    with pytest.raises(SystemExit, match="vine: no such study, expected one of digits, "):
        again.cell_again("vine")


def test_the_committed_page_is_what_the_script_writes(committed):
    studies = committed / STUDIES.relative_to(REPOSITORY)
    cells = findings.load(studies)
    times = json.loads((studies.parent / "facts.json").read_text(encoding="utf-8"))
    text, drawn = page.page(cells, times, page.repeated_in(studies, cells), page.across_in(studies))
    assert text == (REPOSITORY / "docs/study.md").read_text(encoding="utf-8"), "run python studies/real/page.py"
    for name, svg in drawn.items():
        committed = (REPOSITORY / "docs" / name).read_text(encoding="utf-8")
        assert re.sub(r"\d+\.\d+", "", svg) == re.sub(r"\d+\.\d+", "", committed), "run python studies/real/page.py"


def test_the_readme_begins_with_what_was_found():
    """`python docs/quote_results.py` writes it."""
    lines = (REPOSITORY / "docs/study.md").read_text(encoding="utf-8").splitlines(keepends=True)
    finding = "".join(line for line in lines if line.startswith("> "))
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert f"<!-- finding of docs/study.md -->\n{finding}<!-- end -->\n" in text[: text.index("## ")]
    assert len(finding.splitlines()) <= 7
