from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from losstune.core.errors import LosstuneError
from losstune.report.compare import comparison
from losstune.report.compare.revisions import read_revision
from losstune.report.compare.scores import compare_scores, design_of
from losstune.report.compare.trees import find_tree
from losstune.stages.compare import PLACES, compare_revisions
from tests.report.compare.repo import LEVELS, block_scores
from tests.report.pooled import LEVELS as POOLED_LEVELS
from tests.report.pooled import make_pooled


def compare(repo, a, b, **options):
    return compare_revisions(repo.folder, a, b, force=options.pop("force", False))


def of(comparison, loss):
    return next(row for row in comparison.scores.losses if row.loss == loss)


def test_a_refactor_is_identical(history_repo):
    found = compare(history_repo, "base", "refactor")
    assert all(row.is_identical and row.difference is None for row in found.scores.losses)
    assert found.sentence == "Against base, refactor is identical to the bit for all 4 losses."
    code = found.changes.code
    assert code.is_identical
    assert code.others == ("losstune.report.page",)
    assert found.changes.params == ()


def test_another_range_is_compared_in_pairs(history_repo):
    found = compare(history_repo, "base", "range")
    assert found.scores.design == "paired"
    before, after = block_scores(), block_scores(shift=0.003, spread=0.0021)
    difference = np.subtract(after["focal"], before["focal"])
    row = of(found, "focal").difference
    assert row.mean == pytest.approx(difference.mean())
    # Sixteen blocks, all of them ahead: two of 2^16 sign flips are as far from zero.
    assert (difference > 0).all()
    assert row.p_blocks == 2 / 2**16
    assert row.num_blocks == (16, 16)
    # The searches' test, written plainly: the interaction of losses and searches, and what the losses share.
    blocks_LB = np.array([np.subtract(after[loss], before[loss]) for loss in LEVELS])
    layout = np.stack([blocks_LB[:, search::2].mean(1) for search in (0, 1)], axis=1)
    rest = layout - layout.mean(0) - layout.mean(1, keepdims=True) + layout.mean()
    shared_B = blocks_LB.mean(0)
    parts = (rest**2).sum() / 3 / 2, np.mean([shared_B[search::2].var(ddof=1) for search in (0, 1)]) / 16
    assert row.p_search == pytest.approx(2 * stats.t.sf(row.mean / np.sqrt(sum(parts)), 3))
    # The searches' interval is the wider one here; the ROPE is held against that of twice the level.
    for level, low, high in ((0.05, row.low, row.high), (0.1, row.equivalence_low, row.equivalence_high)):
        reach = stats.t.ppf(1 - level / 2, 3) * np.sqrt(sum(parts))
        assert (low, high) == pytest.approx((row.mean - reach, row.mean + reach))
    assert [str(change) for change in found.changes.params] == [
        "spaces of 4 losses, learning_rate: 1e-05 to 0.1, log, first 0.001 → 0.0001 to 0.01, log, first 0.001"
    ]


def test_other_seeds_are_no_pairs(history_repo):
    found = compare(history_repo, "base", "seeds")
    assert found.scores.design == "unpaired"
    assert "study.seed differs" in found.scores.why
    a, b = block_scores()["gce"], block_scores(seed=1)["gce"]
    oracle = stats.ttest_ind(b, a, equal_var=False)
    row = of(found, "gce").difference
    assert row.p_blocks == pytest.approx(oracle.pvalue)
    bounds = oracle.confidence_interval(0.95)
    assert row.low <= bounds.low + 1e-12
    assert row.high >= bounds.high - 1e-12
    assert {loss.decision for loss in found.scores.losses} <= {"equivalent", "undecided", None}


def test_noise_in_the_training_labels_is_a_drop_with_an_interval(history_repo):
    found = compare(history_repo, "base", "noise")
    # The same seeds and test split: a block pairs with itself although it was trained on other labels.
    assert found.scores.design == "paired"
    assert found.scores.why.endswith("not the same training data")
    row = of(found, "cross_entropy")
    assert row.decision == "worse"
    assert -0.07 < row.difference.low < -0.05 < row.difference.high < -0.03
    assert row.difference.p_blocks == 2 / 2**16
    assert "worse for cross_entropy" in found.sentence
    assert "data.label_noise: 0.0 → 0.2" in map(str, found.changes.params)
    assert [change.name for change in found.changes.data] == ["data.digest"]


def test_the_noise_floor_counts_where_the_searches_were_others(history_repo):
    a, b = (read_revision(find_tree(history_repo.folder, name), PLACES) for name in ("base", "noise"))
    control = b.results.control.model_copy(update={"noise_floor": 0.06})
    b = replace(b, results=b.results.model_copy(update={"control": control}))
    # Both revisions ended at the same configurations: the luck of a search is none of their difference.
    assert all(row.same_winners for row in compare_scores(a, b).losses)
    assert {row.decision for row in compare_scores(a, b).losses} == {"worse", None}
    losses = [
        loss.model_copy(
            update={
                "searches": tuple(
                    search.model_copy(update={"winner": search.winner.model_copy(update={"learning_rate": 0.5})})
                    for search in loss.searches
                )
            }
        )
        for loss in b.results.losses
    ]
    b = replace(b, results=b.results.model_copy(update={"losses": tuple(losses)}))
    assert not any(row.same_winners for row in compare_scores(a, b).losses)
    assert {row.decision for row in compare_scores(a, b).losses} == {"undecided", None}


@pytest.mark.parametrize(
    ("num_searches", "num_blocks", "is_tested"), [(2, 1, False), (2, 2, True), (3, 2, False), (3, 3, True)]
)
def test_losses_with_fewer_blocks_than_two_or_than_searches_are_not_tested(
    history_repo, num_searches, num_blocks, is_tested
):
    def cut(revision, kept):
        losses = tuple(loss.model_copy(update={"blocks": loss.blocks[:kept]}) for loss in revision.results.losses)
        results = revision.results.model_copy(update={"losses": losses, "num_searches": num_searches})
        return replace(revision, results=results)

    a, b = (read_revision(find_tree(history_repo.folder, name), PLACES) for name in ("base", "range"))
    for kept in ((num_blocks, num_blocks), (num_blocks, 16), (16, num_blocks)):
        found = compare_scores(cut(a, kept[0]), cut(b, kept[1]))
        assert {row.difference is not None for row in found.losses} == {is_tested}


def test_other_test_splits_are_no_pairs(history_repo):
    a, b = (read_revision(find_tree(history_repo.folder, name), PLACES) for name in ("base", "noise"))
    assert design_of(a, b)[0] == "paired"
    assert design_of(a, replace(b, test_digest="00" * 32)) == ("unpaired", "the test splits differ")
    # Without a manifest, other data may have another test split.
    assert design_of(a, replace(b, test_digest=None)) == ("unpaired", "the test splits differ")


@pytest.mark.parametrize("change", ["seed", "noise"])
def test_nothing_is_found_where_nothing_changed(history_repo, change):
    """Studies of the same truth, a search's luck in each: the share of claims keeps to the level."""
    a = read_revision(find_tree(history_repo.folder, "base"), PLACES)
    rng, num_studies, claims = np.random.default_rng(8), 60, 0

    def study(results):
        shared = rng.normal(0, 0.002, 16)
        losses = []
        for loss in results.losses:
            values = 0.9 + np.tile(rng.normal(0, 0.004, 2), 8) + shared + rng.normal(0, 0.002, 16)
            blocks = tuple({"accuracy": float(value)} for value in values)
            losses.append(loss.model_copy(update={"blocks": blocks}))
        control = results.control.model_copy(update={"noise_floor": None})
        return results.model_copy(update={"losses": tuple(losses), "control": control})

    for _ in range(num_studies):
        first = replace(a, results=study(a.results))
        terms = dict(a.terms) | ({"study.seed": 7} if change == "seed" else {})
        found = compare_scores(first, replace(a, results=study(a.results), terms=terms))
        assert found.design == ("unpaired" if change == "seed" else "paired")
        claims += any(row.decision in ("better", "worse") for row in found.losses)
    assert claims / num_studies <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / num_studies)


def test_a_changed_default_moves_one_loss(history_repo):
    found = compare(history_repo, "base", "default")
    assert of(found, "focal").decision == "better"
    # Every block is ahead by the same two points: no spread at all.
    assert of(found, "focal").difference.mean == pytest.approx(0.02)
    ranked = [row.loss for row in found.scores.losses if row.loss != "focal"]
    assert found.sentence == (
        "Against base, default is 2.00 ± 0.00 points better for focal, identical to the bit for the rest "
        f"({ranked[0]}, {ranked[1]} and {ranked[2]})."
    )
    assert found.changes.code.trial == ()
    assert found.changes.code.losses == {"focal": ("losstune.losses.focal",)}


def test_a_control_gets_no_outcome_of_its_own(history_repo):
    row = of(compare(history_repo, "base", "noise"), "kl_divergence")
    assert row.is_control
    assert row.difference is not None
    assert row.difference.p_holm is None
    assert row.decision is None


def test_holm_counts_the_losses_that_are_tested(history_repo):
    found = compare(history_repo, "base", "range")
    raw = {row.loss: row.difference.p_value for row in found.scores.losses if not row.is_control}
    assert len(raw) == 3
    smallest = min(raw, key=raw.get)
    assert of(found, smallest).difference.p_holm == pytest.approx(min(1.0, 3 * raw[smallest]))


def test_another_metric_is_refused(history_repo):
    with pytest.raises(LosstuneError) as raised:
        compare(history_repo, "base", "metric")
    assert str(raised.value) == (
        "base and metric cannot be compared: tune.metric: accuracy at base, macro_f1 at metric; "
        "`--force` compares with a warning"
    )


def test_force_compares_and_keeps_the_obstacle(history_repo):
    found = compare(history_repo, "base", "metric", force=True)
    assert found.comparability == ("tune.metric: accuracy at base, macro_f1 at metric",)
    assert found.scores.metric == "macro_f1"


def pooled_revision(history_repo, name="base", **made):
    """The study of a revision, done again as a pooled one."""
    revision = read_revision(find_tree(history_repo.folder, name), PLACES)
    return replace(revision, results=make_pooled(**made).results())


def test_pooled_revisions_are_compared_by_the_errors_of_their_expected_results(history_repo):
    a = pooled_revision(history_repo)
    b = pooled_revision(history_repo, levels=POOLED_LEVELS | {"focal": 0.95}, spread=0.001)
    found = compare_scores(a, b)
    assert found.design == "unpaired"
    assert found.why == "base and base estimated the expected result of a search from pooled trials"
    row = next(row for row in found.losses if row.loss == "focal")
    before, after = (revision.results.of("focal").scores["accuracy"] for revision in (a, b))
    # Welch's t test, with each side's own standard error and degrees of freedom.
    error = np.hypot(before.error, after.error)
    freedom = error**4 / (before.error**4 / before.freedom + after.error**4 / after.freedom)
    assert row.difference.mean == pytest.approx(after.mean - before.mean)
    assert row.difference.p_value == pytest.approx(2 * stats.t.sf(abs(row.difference.mean) / error, freedom))
    reach = stats.t.ppf(0.975, freedom) * error
    assert row.difference.low == pytest.approx(row.difference.mean - reach)
    assert row.decision == "better"
    # A loss that was set aside after its first search has no error of the search.
    for row in found.losses:
        errors = [revision.results.of(row.loss).scores["accuracy"].error for revision in (a, b)]
        assert (row.difference is None) == (None in errors), row.loss


def test_a_pooled_revision_is_compared_with_a_replicated_one(history_repo):
    a = read_revision(find_tree(history_repo.folder, "base"), PLACES)
    b = pooled_revision(history_repo)
    found = compare_scores(a, b)
    row = next(row for row in found.losses if row.loss == "focal")
    assert row.difference.mean == pytest.approx(
        b.results.of("focal").scores["accuracy"].mean - np.mean(block_scores()["focal"])
    )
    assert row.difference.num_blocks == (16, len(b.results.of("focal").blocks))
    pooled = b.results.of("focal").scores["accuracy"]
    blocks_B = np.array(block_scores()["focal"])
    variances = blocks_B.var(ddof=1) / 16, pooled.error**2
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 15 + variances[1] ** 2 / pooled.freedom)
    assert row.difference.p_blocks == pytest.approx(
        2 * stats.t.sf(abs(row.difference.mean) / np.sqrt(sum(variances)), freedom)
    )
    assert row.difference.p_search > 0.0
    notes = comparison.compare(a, b).notes
    assert any("pools its searches" in note and "replicates them" in note for note in notes)
