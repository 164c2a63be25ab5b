"""`losstune check` says what a study trains, under which protocol, and which settings have no effect."""

import pytest

from losstune.config.load import parse_params
from losstune.stages.budgets import first_look
from losstune.stages.plan_rows import fewest_to_decide, plan_rows, protocol_notes, total_of

FIVE = ["cross_entropy", "kl_divergence", "focal", "gce", "square"]


def params(**sections):
    return parse_params({"losses": FIVE} | sections)


def rows(found):
    return dict(plan_rows(found))


def test_a_pooled_study_tunes_one_search_and_trains_the_rest_in_rounds():
    found = rows(params(tune={"trials_per_loss": 8}, budget={"trainings": 300}))
    assert found == {
        "tune": "one search of 8 trials for each of 5 losses = 40 trainings",
        "confirm": "further searches, blocks and controls, in rounds: at most 260 trainings",
        "budget": "300 trainings",
        "protocol": "pooled",
    }


def test_a_budget_in_minutes_is_not_known_in_trainings_before_any_is_timed():
    found = rows(params(budget={"minutes": 30}))
    assert found["confirm"].endswith("in rounds: what the budget pays for")
    assert found["budget"].startswith("30 minutes on this machine; ")


def test_without_a_budget_the_explicit_numbers_are_the_limits():
    found = rows(params(tune={"num_searches": 3, "trials_per_loss": 8}, confirm={"num_blocks": 20}))
    # 5 losses x (2 further searches x 8 + 20 blocks), 1 identity control, 8 of the positive control.
    assert found["confirm"].endswith("at most 189 trainings")
    assert found["budget"] == "at most 3 searches and 20 blocks for each loss"


@pytest.mark.parametrize(
    ("sections", "protocol"),
    [
        ({"protocol": "replicated"}, "replicated"),
        ({"tune": {"sampler": "tpe"}}, "replicated, because tune.sampler: tpe"),
        ({"tune": {"scheduler": "asha"}}, "replicated, because tune.scheduler: asha"),
        ({"confirm": {"stopping": "anytime"}}, "replicated, because confirm.stopping: anytime"),
        ({"tune": {"trials_per_loss": 4}}, "replicated, because tune: 2 searches of 4 trials"),
    ],
)
def test_a_replicated_study_says_why(sections, protocol):
    found = rows(params(**sections))
    assert found["protocol"] == protocol
    assert " searches x " in found["tune"]
    assert "blocks + 1 control (kl_divergence as cross_entropy) + 8 of the degraded cross_entropy" in found["confirm"]
    assert "budget" not in found


def notes(**sections):
    return [f"{topic}: {line}" for topic, line in protocol_notes(params(**sections))]


def test_numbers_beside_a_budget_have_no_effect():
    budget = {"trainings": 1000}
    assert notes(budget=budget, tune={"trials_per_loss": 8}) == []
    assert notes(budget=budget, tune={"num_searches": 2}) == ["budget: tune.num_searches has no effect with a budget"]
    assert notes(budget=budget, tune={"num_searches": 2}, confirm={"num_blocks": 16}) == [
        "budget: tune.num_searches and confirm.num_blocks have no effect with a budget"
    ]


def test_a_budget_that_ends_before_the_second_look_is_named_with_what_it_needs():
    tune = {"trials_per_loss": 8}
    # 3 candidates: log2(2 * 3 / 0.05) = 6.9, and at least twice the 4 first blocks.
    needed = 5 * (2 * 8 + 8) + 9
    assert fewest_to_decide(params(tune=tune, budget={"trainings": needed})) == needed
    assert notes(tune=tune, budget={"trainings": needed}) == []
    assert notes(tune=tune, budget={"trainings": needed - 1}) == [
        f"budget: {needed - 1} trainings pay for the first look, which decides nothing; the second look needs "
        f"{needed}, or fewer if the first one sets losses aside"
    ]
    assert first_look(params(tune=tune)) == 5 * (8 + 4) + 9


def test_a_study_too_small_for_a_pool_is_told_what_to_write_instead():
    (note,) = notes(tune={"num_searches": 2, "trials_per_loss": 4})
    assert note.startswith("protocol: 6 random configurations for each loss are too few")
    needed = 5 * (5 * 4 + 8) + 9
    assert f"budget: {{trainings: {needed}}} or more in place of tune.num_searches and confirm.num_blocks" in note
    assert note.endswith("or tune.num_searches: 5 or more")
    for advice in (
        {"budget": {"trainings": needed}, "tune": {"trials_per_loss": 4}},
        {"tune": {"num_searches": 5, "trials_per_loss": 4}},
    ):
        assert params(**advice).is_pooled
        assert notes(**advice) == []
    (note,) = notes(tune={"trials_per_loss": 1})
    assert note.endswith("tune.trials_per_loss: 2 or more")


@pytest.mark.parametrize("chosen", [{"protocol": "replicated"}, {"tune": {"sampler": "tpe", "trials_per_loss": 4}}])
def test_who_chose_the_replicated_protocol_gets_no_hint(chosen):
    assert notes(**chosen) == []


def test_several_studies_add_up():
    one = params(tune={"trials_per_loss": 8}, budget={"trainings": 300})
    other = params(protocol="replicated", tune={"trials_per_loss": 8})
    assert total_of([one]) == "at most 300 trainings"
    # 5 losses x 2 searches x 8 trials, 5 x 16 blocks and 9 controls.
    assert total_of([other]) == "169 trainings"
    assert total_of([one, other]) == "at most 469 trainings"
    assert total_of([params(budget={"minutes": 5})]) == "60 trainings and what the budgets pay for"
