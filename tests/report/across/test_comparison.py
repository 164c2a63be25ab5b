"""The numbers of a comparison, against scipy and by hand; and what it says of what it can't show."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from losstune.core.errors import LosstuneError
from losstune.report.across.cells import read_cells
from losstune.report.across.comparison import compare
from losstune.report.across.notes import cells_needed
from tests.report.across.studies import random_scores, write_cells, write_study
from tests.report.pooled import make_pooled

METHODS = ("cross_entropy", "focal", "gce", "js")


def comparison(tmp_path, scores, **settings):
    return compare(read_cells(write_cells(tmp_path, scores, **settings)))


def by_name(across):
    return {loss.loss: loss for loss in across.losses}


def differences(scores, loss):
    return [np.subtract(cell[loss], cell["cross_entropy"]) for cell in scores]


@pytest.fixture
def scores():
    return random_scores(8)


@pytest.fixture
def across(tmp_path, scores):
    return comparison(tmp_path, scores)


def test_ranks_and_friedman(across, scores):
    means = np.array([[np.mean(cell[loss]) for loss in METHODS] for cell in scores])
    ranks = stats.rankdata(-means.round(9), axis=1).mean(0)
    found = by_name(across)
    assert [found[loss].mean_rank for loss in METHODS] == pytest.approx(ranks)
    chi2 = stats.friedmanchisquare(*means.T).statistic
    assert across.p_friedman == pytest.approx(stats.f.sf(7 * chi2 / (8 * 3 - chi2), 3, 21))
    # Demsar 2006, table 5: q_0.05 of 4 methods is 2.569.
    assert across.critical_difference == pytest.approx(2.569 * math.sqrt(4 * 5 / (6 * 8)), abs=1e-3)
    assert [loss.mean_rank for loss in across.methods] == sorted(ranks)


def test_holm_against_the_baseline(across, scores):
    raw = [stats.wilcoxon([cell.mean().round(12) for cell in differences(scores, loss)]).pvalue for loss in METHODS[1:]]
    found = by_name(across)
    assert [found[loss].p_holm for loss in METHODS[1:]] == pytest.approx(multipletests(raw, method="holm")[1])
    assert found["cross_entropy"].standing is None


def test_interquartile_mean_and_probability_of_improvement(across, scores):
    for loss in METHODS[1:]:
        pooled = np.concatenate(differences(scores, loss))
        found = by_name(across)[loss]
        assert found.iqm.value == pytest.approx(stats.trim_mean(pooled, 0.25))
        shares = [np.mean((runs > 1e-9) + 0.5 * (abs(runs) < 1e-9)) for runs in differences(scores, loss)]
        assert found.improvement.value == pytest.approx(np.mean(shares))
        assert found.iqm.low < found.iqm.value < found.iqm.high


def test_profiles(across, scores):
    middle = across.thresholds.index(0.0)
    found = by_name(across)
    above = np.mean([np.mean(runs > 1e-9) for runs in differences(scores, "gce")])
    assert found["gce"].profile[middle] == pytest.approx(above)
    assert set(found["cross_entropy"].profile) == {0.0, 1.0}
    assert found["cross_entropy"].profile[middle - 1 : middle + 1] == (1.0, 0.0)
    assert all(list(loss.profile) == sorted(loss.profile, reverse=True) for loss in across.losses)


def test_a_twin_is_shown_and_changes_nothing(tmp_path, across, scores):
    without = comparison(tmp_path / "without", [{loss: cell[loss] for loss in METHODS} for cell in scores])
    equal_loss = by_name(across)["kl_divergence"]
    assert (equal_loss.mean_rank, equal_loss.p_holm, equal_loss.standing) == (None, None, None)
    assert equal_loss.part == "control"
    assert equal_loss.iqm is not None
    assert across.losses[-1] == equal_loss
    assert (across.p_friedman, across.groups) == (without.p_friedman, without.groups)
    for loss in METHODS[1:]:
        assert by_name(across)[loss].p_holm == by_name(without)[loss].p_holm
    assert without.noise_floor is None


def test_a_loss_that_is_a_twin_anywhere_is_one_everywhere(tmp_path, scores):
    folders = write_cells(tmp_path, scores)
    write_study(folders[0], scores[0], data="npz", digest="00", identical={"js": "gce"})
    found = by_name(compare(read_cells(folders)))
    assert {loss for loss, result in found.items() if result.mean_rank is None} == {"js", "kl_divergence"}
    assert found["js"].equals == "gce"


def test_the_noise_floor_is_the_twins_and_what_is_below_it_counts_for_nothing(tmp_path):
    base = [0.9, 0.91, 0.92, 0.93]
    cells = [
        {
            "cross_entropy": base,
            "kl_divergence": [score + 0.004 + 0.001 * cell for score in base],
            "focal": [score + 0.005 + 0.0001 * cell for score in base],
            "gce": [score + 0.02 + 0.001 * cell for score in base],
        }
        for cell in range(8)
    ]
    across = comparison(tmp_path, cells)
    found = by_name(across)
    assert across.noise_floor == pytest.approx(0.0075)
    assert [found[loss].p_holm for loss in ("focal", "gce")] == pytest.approx([2 * 2 / 2**8] * 2)
    assert (found["focal"].standing, found["gce"].standing) == ("undecided", "better")
    assert across.sentence == (
        "Over 8 studies, against cross_entropy in accuracy: gce is better, +2.35 points "
        f"[{100 * found['gce'].iqm.low:+.2f}, {100 * found['gce'].iqm.high:+.2f}], Holm p 0.016; "
        "the other does not differ significantly (Friedman p <0.001)."
    )
    assert any("differ by 0.75 points; a smaller difference does not count" in note for note in across.notes)


def test_worse_is_worse(tmp_path):
    base = [0.9, 0.91, 0.92, 0.93]
    cells = [
        {
            "cross_entropy": base,
            "focal": [score - 0.01 - 0.001 * cell for score in base],
            "gce": [score + 0.001 * (-1) ** cell * cell for score in base],
        }
        for cell in range(8)
    ]
    found = by_name(comparison(tmp_path, cells))
    assert (found["focal"].standing, found["gce"].standing) == ("worse", "undecided")


def test_a_cell_without_a_verdict_has_no_say_and_is_listed(tmp_path, scores):
    folders = write_cells(tmp_path, scores)
    write_study(folders[3], scores[3], data="npz", digest="03", action="none")
    across = compare(read_cells(folders))
    only = compare(read_cells(folders[:3] + folders[4:]))
    assert across.p_friedman == only.p_friedman
    assert [loss.iqm for loss in across.losses] == [loss.iqm for loss in only.losses]
    assert [cell.name for cell in across.cells if not cell.is_counted] == ["cell3"]
    assert across.notes[0] == "cell3 has no verdict and does not count in numbers over studies."
    assert {cell.decision for loss in across.losses for cell in loss.cells if cell.cell == "cell3"} == {None}
    assert [cell.cell for cell in across.losses[0].cells] == [f"cell{number}" for number in range(8)]


def test_losses_that_some_study_lacks_are_left_out_and_named(tmp_path, scores):
    del scores[2]["js"]
    across = comparison(tmp_path, scores)
    assert "js" not in by_name(across)
    assert "Left out, because not every study has them: js." in across.notes


def test_too_few_are_refused_in_one_line(tmp_path, scores):
    few = [{loss: cell[loss] for loss in ("cross_entropy", "kl_divergence", "focal")} for cell in scores]
    with pytest.raises(LosstuneError) as told:
        comparison(tmp_path / "few", [few[0] | {"js": scores[0]["js"]}, few[1]])
    assert str(told.value) == (
        "found 2 losses in all 2 studies (cross_entropy, focal), expected 3 or more to rank; js not in all of them"
    )
    folders = write_cells(tmp_path / "none", scores[:3], action="none")
    write_study(folders[0], scores[0], data="npz", digest="00")
    with pytest.raises(LosstuneError) as told:
        compare(read_cells(folders))
    assert str(told.value) == (
        "found 1 study with a verdict, expected two or more to compare; without one: cell1, cell2"
    )


def test_a_loss_that_never_trained_counts_with_the_worst_score(tmp_path, scores):
    scores[1]["js"] = []
    across = comparison(tmp_path, scores)
    found = by_name(across)["js"]
    assert "In cell1, all trials of js diverged or failed, so it counts there with the worst score." in across.notes
    worst = [*differences(scores[:1], "js"), -np.array(scores[1]["cross_entropy"]), *differences(scores[2:], "js")]
    assert found.iqm.value == pytest.approx(stats.trim_mean(np.concatenate(worst), 0.25))
    assert found.cells[1].mean is None


def test_blocks_that_stopped_early_are_paired_with_their_own(tmp_path, scores):
    full = scores[0]["gce"]
    scores[0]["gce"] = full[:5]
    found = by_name(comparison(tmp_path, scores))["gce"]
    pooled = np.concatenate([np.subtract(full[:5], scores[0]["cross_entropy"][:5]), *differences(scores[1:], "gce")])
    assert found.iqm.value == pytest.approx(stats.trim_mean(pooled, 0.25))


@pytest.mark.parametrize(("num_cells", "is_bounded"), [(5, False), (6, True)])
def test_few_cells_bound_nothing_and_say_so(tmp_path, num_cells, is_bounded):
    # Two of 2^T ways to give T differences a sign are as extreme as all alike: 0.0625 at 5, 0.03125 at 6.
    across = comparison(tmp_path, random_scores(num_cells))
    loss = by_name(across)["js"]
    assert math.isfinite(loss.iqm.low) == is_bounded
    assert ((loss.improvement.low, loss.improvement.high) != (0.0, 1.0)) == is_bounded
    least = {5: "0.19", 6: "0.094"}[num_cells]
    assert (
        f"On {num_cells} studies Wilcoxon's p, corrected for 3 losses, is at least {least}, so no loss can differ "
        "significantly from cross_entropy; that takes 7 studies."
    ) in across.notes
    assert ("The interval of a difference is unbounded with fewer than 6 studies." in across.notes) != is_bounded


def test_cells_needed():
    # 2 / 2^6 = 0.031, 2 * 2 / 2^7 = 0.031, 4 * 2 / 2^8 = 0.031, 13 * 2 / 2^10 = 0.025
    assert [cells_needed(0.05, number) for number in (1, 2, 4, 13)] == [6, 7, 8, 10]


def test_two_cells_can_be_compared(tmp_path):
    across = comparison(tmp_path, random_scores(2))
    assert len(across.counted) == 2
    assert any(note.startswith("Mean ranks can differ by 3 at most, less than") for note in across.notes)


def test_losses_that_are_all_alike(tmp_path):
    base = [0.9, 0.91, 0.92]
    across = comparison(tmp_path, [dict.fromkeys(METHODS, base)] * 6)
    assert across.p_friedman == 1.0
    assert {loss.mean_rank for loss in across.losses} == {2.5}
    assert "none of 3 losses differs significantly from cross_entropy" in across.sentence


def test_studies_on_the_same_samples_are_named_as_such(tmp_path, scores):
    across = comparison(tmp_path, scores, data="digits")
    assert across.num_data == 1
    assert any(note.startswith("8 studies use 1 data set, so they are not independent") for note in across.notes)
    assert comparison(tmp_path, scores).num_data == 8


@pytest.fixture
def mirrored(tmp_path, scores):
    """The same studies, judged by a cost: minus a hundred times the accuracy."""
    costs = [{loss: [-100 * score for score in blocks] for loss, blocks in cell.items()} for cell in scores]
    return costs, comparison(tmp_path / "costs", costs, metric="cost", minimize=True, percent=False, rope=0.5)


def test_where_lower_is_better_ranks_are_the_same_and_differences_have_the_other_sign(across, mirrored):
    _, found = mirrored
    assert [loss.loss for loss in found.losses] == [loss.loss for loss in across.losses]
    assert found.p_friedman == pytest.approx(across.p_friedman)
    assert found.noise_floor == pytest.approx(100 * across.noise_floor)
    for ours, theirs in zip(found.losses, across.losses, strict=True):
        assert (ours.mean_rank, ours.standing) == (theirs.mean_rank, theirs.standing)
        assert ours.p_holm == pytest.approx(theirs.p_holm)
        assert ours.improvement == theirs.improvement
        if theirs.iqm:
            bounds = -100 * theirs.iqm.value, -100 * theirs.iqm.high, -100 * theirs.iqm.low
            assert (ours.iqm.value, ours.iqm.low, ours.iqm.high) == pytest.approx(bounds)
        assert np.allclose(ours.profile[40], theirs.profile[40])
        for cell, other in zip(ours.cells, theirs.cells, strict=True):
            assert other.mean is None or cell.mean == pytest.approx(-100 * other.mean)


def test_a_cost_is_named_in_the_sentence_and_without_points(mirrored):
    _, found = mirrored
    assert "cost" in found.sentence
    assert "points" not in found.sentence + " ".join(found.notes)


def test_a_loss_that_never_trained_counts_with_the_worst_cost_of_its_study(tmp_path, mirrored):
    costs, _ = mirrored
    costs[1]["js"] = []
    found = comparison(tmp_path, costs, metric="cost", minimize=True, percent=False, worst=7.0)
    worst = [*differences(costs[:1], "js"), 7.0 - np.array(costs[1]["cross_entropy"]), *differences(costs[2:], "js")]
    assert by_name(found)["js"].iqm.value == pytest.approx(stats.trim_mean(np.concatenate(worst), 0.25))


def test_studies_of_which_one_minimises_are_refused(tmp_path, scores):
    folders = write_cells(tmp_path, scores[:2], metric="score")
    write_study(folders[1], scores[1], data="npz", digest="01", metric="score", minimize=True)
    with pytest.raises(LosstuneError, match="found minimize True, expected False"):
        read_cells(folders)


def test_a_pooled_study_is_ranked_by_its_own_estimates(tmp_path, scores):
    """The mean over its blocks ignores the weights of its configurations."""
    folders = write_cells(tmp_path, scores)
    path = folders[0] / "results.json"
    values = json.loads(path.read_text())
    replicated = by_name(compare(read_cells(folders)))
    place = {loss["loss"]: loss for loss in values["losses"]}
    place["js"]["difference"]["mean"] = -0.5
    path.write_text(json.dumps(values))
    assert by_name(compare(read_cells(folders)))["js"].mean_rank == replicated["js"].mean_rank
    path.write_text(json.dumps(values | {"rounds": {"num_trainings": 99}}))
    found = by_name(compare(read_cells(folders)))
    means = np.array([[np.mean(cell[loss]) for loss in METHODS] for cell in scores])
    means[0] = [0.0, *(place[loss]["difference"]["mean"] for loss in METHODS[1:])]
    ranks = stats.rankdata(-means.round(9), axis=1).mean(0)
    assert [found[loss].mean_rank for loss in METHODS] == pytest.approx(ranks)


def test_the_results_of_a_pooled_study_are_read(tmp_path):
    for number, budget in enumerate((220, None)):
        (tmp_path / str(number)).mkdir()
        results = make_pooled(budget=budget).results()
        data = results.data.model_copy(update={"name": "npz", "digest": str(number)})
        text = results.model_copy(update={"data": data}).model_dump_json()
        (tmp_path / str(number) / "results.json").write_text(text)
    found = by_name(compare(read_cells([tmp_path / "0", tmp_path / "1"])))
    assert found["focal"].mean_rank == 1.0
    assert [cell.decision for cell in found["focal"].cells] == ["better", "better"]
    assert math.isinf(found["js"].cells[0].low)
