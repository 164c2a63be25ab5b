"""A plan asks for every record once, keeps what is finished, and orders what is left."""

from dataclasses import replace

import pytest

from losstune.config.load import load_params
from losstune.core.records import Entry, Execution
from losstune.core.seeds import derive_seed
from losstune.losses.registry import get
from losstune.study.jobs import make_job
from losstune.study.ledger import Ledger
from losstune.study.plan import FixedPlan, GrowingPlan, SearchPlan
from losstune.study.search import GENERATION, propose, space_of
from losstune.training.task import Task
from tests.factories import make_record
from tests.paths import REPOSITORY

LOSSES = ("cross_entropy", "focal", "gce")


def search_plan(root, *, searches=1, trials=6, sampler="sobol", scheduler="fifo", losses=LOSSES, grace=3):
    params = load_params(REPOSITORY / "params.yaml")
    tune = params.tune.model_copy(
        update={
            "num_searches": searches,
            "trials_per_loss": trials,
            "sampler": sampler,
            "scheduler": scheduler,
            "asha": params.tune.asha.model_copy(update={"grace_epochs": grace}),
        }
    )
    params = params.model_copy(update={"losses": losses, "tune": tune})
    spaces = {loss: space_of(get(loss), params.search_space) for loss in losses}

    def make(configuration, seed, search, index):
        task = Task(
            configuration=configuration,
            seeds=(seed,),
            model=params.model,
            training=params.training,
            device="cpu",
            early_stopping=tune.early_stopping,
        )
        return make_job(task, "tune", "trial", (index,), "data", {"torch": "2"}, search)

    return SearchPlan(params, spaces, Ledger(root), make)


def finished(job, *, accuracy=0.9, status="finished"):
    record = make_record(stage="tune", accuracy=accuracy, status=status).model_copy(
        update={
            "key": job.keys[0],
            "search": job.search,
            "index": job.indices[0],
            "configuration": job.task.configuration,
        }
    )
    return Entry(
        record=record, execution=Execution(key=record.key, started_at=0.0, duration_sec=1.0, device="cpu", commit=None)
    )


def work_off(plan, root, limit=None, **outcome):
    trained = []
    while (limit is None or len(trained) < limit) and (job := plan.next()) is not None:
        entry = finished(job, **outcome)
        Ledger(root).put(entry)
        plan.finish(entry)
        trained.append(job)
    return trained


def names(jobs):
    return [job.name for job in jobs]


def test_every_loss_gets_the_same_trials_in_turns(tmp_path):
    plan = search_plan(tmp_path, trials=3)
    assert names(work_off(plan, tmp_path)) == [f"{loss} #0.{index}" for index in range(3) for loss in LOSSES]
    assert plan.is_complete
    assert plan.is_exhausted()
    rows = [(entry.record.configuration.loss, entry.record.index) for entry in plan.entries()]
    assert rows == [(loss, index) for loss in LOSSES for index in range(3)]


def test_a_trial_is_asked_for_as_is_written_out_here(tmp_path):
    """Whoever changes this makes every search train other trials."""
    params = load_params(REPOSITORY / "params.yaml")
    plan = search_plan(tmp_path, searches=2, trials=2, sampler="random", losses=("gce", "focal"))
    jobs = work_off(plan, tmp_path)
    assert [(job.task.configuration.loss, job.search, job.indices) for job in jobs] == [
        (loss, search, (index,)) for index in (0, 1) for search in (0, 1) for loss in ("gce", "focal")
    ]
    tune = params.tune.model_copy(update={"num_searches": 2, "trials_per_loss": 2, "sampler": "random"})
    for job in jobs:
        loss, (index,), task = job.task.configuration.loss, job.indices, job.task
        assert task.seeds == (derive_seed(params.study.seed, "tune", loss, job.search, index),)
        space = space_of(get(loss), params.search_space)
        assert task.configuration == propose(space, index, [], tune, params.study.seed, job.search)


@pytest.mark.parametrize("sampler", ["sobol", "random", "tpe"])
@pytest.mark.parametrize("num_done", [0, 1, 7, 17, 18])
def test_an_interrupted_search_goes_on_with_what_is_missing(tmp_path, sampler, num_done):
    whole = names(work_off(search_plan(tmp_path / "whole", sampler=sampler), tmp_path / "whole"))
    before = work_off(search_plan(tmp_path / "cut", sampler=sampler), tmp_path / "cut", limit=num_done)
    resumed = search_plan(tmp_path / "cut", sampler=sampler)
    assert len(resumed.kept) == num_done
    after = work_off(resumed, tmp_path / "cut")
    assert sorted(names(before) + names(after)) == sorted(whole)
    assert {job.keys for job in before}.isdisjoint(job.keys for job in after)
    assert resumed.is_complete


def test_a_search_that_grows_trains_only_the_new(tmp_path):
    work_off(search_plan(tmp_path, trials=3, losses=LOSSES[:2]), tmp_path)
    more_trials = search_plan(tmp_path, trials=5, losses=LOSSES[:2])
    assert names(work_off(more_trials, tmp_path)) == [f"{loss} #0.{index}" for index in (3, 4) for loss in LOSSES[:2]]
    more_losses = search_plan(tmp_path, trials=5, losses=LOSSES)
    assert names(work_off(more_losses, tmp_path)) == [f"gce #0.{index}" for index in range(5)]


@pytest.mark.parametrize("sampler", ["sobol", "random", "tpe"])
def test_searches_of_a_loss_have_no_point_and_no_seed_in_common_but_the_defaults(tmp_path, sampler):
    plan = search_plan(tmp_path, searches=3, trials=6, sampler=sampler, losses=("focal",))
    jobs = work_off(plan, tmp_path)
    assert [job.search for job in jobs[:6]] == [0, 1, 2, 0, 1, 2]
    assert len({job.task.seeds for job in jobs}) == 18
    tried = [job.task.configuration.learning_rate for job in jobs if job.indices != (0,)]
    assert len(set(tried)) == 15
    defaults = {job.task.configuration.model_dump_json() for job in jobs if job.indices == (0,)}
    assert len(defaults) == 1
    rows = [entry.record.number for entry in plan.entries()]
    assert rows == [f"{search}.{index}" for search in range(3) for index in range(6)]


def test_another_search_leaves_the_others_as_they_were(tmp_path):
    work_off(search_plan(tmp_path, searches=2, trials=3, losses=LOSSES[:2]), tmp_path)
    grown = search_plan(tmp_path, searches=3, trials=3, losses=LOSSES[:2])
    assert len(grown.kept) == 12
    assert {job.search for job in work_off(grown, tmp_path)} == {2}


def test_tpe_hands_out_a_generation_and_waits_for_it(tmp_path):
    plan = search_plan(tmp_path, trials=2 * GENERATION, sampler="tpe", losses=("focal",))
    first = [plan.next() for _ in range(GENERATION)]
    assert plan.next() is None
    assert not plan.is_exhausted()
    for job in reversed(first[1:]):
        plan.finish(finished(job))
        assert plan.next() is None
    plan.finish(finished(first[0]))
    assert [plan.next().indices for _ in range(GENERATION)] == [(GENERATION + offset,) for offset in range(GENERATION)]
    assert plan.is_exhausted()


def test_a_trial_that_asha_stopped_counts_for_asha_alone(tmp_path):
    work_off(search_plan(tmp_path, trials=2, scheduler="asha"), tmp_path, status="stopped")
    assert len(search_plan(tmp_path, trials=2, scheduler="asha").kept) == 6
    assert len(search_plan(tmp_path, trials=2, scheduler="fifo").kept) == 0


def test_another_rule_of_stopping_asks_for_other_trials(tmp_path):
    work_off(search_plan(tmp_path, trials=2, scheduler="asha"), tmp_path, status="stopped")
    assert len(search_plan(tmp_path, trials=2, scheduler="asha", grace=4).kept) == 0


def test_a_trial_that_diverged_is_finished_and_one_that_failed_is_tried_again(tmp_path):
    lost = work_off(search_plan(tmp_path, trials=2), tmp_path, limit=2, status="diverged")
    work_off(search_plan(tmp_path, trials=2), tmp_path, limit=1, status="failed")
    again = search_plan(tmp_path, trials=2)
    assert [entry.record.key for entry in again.kept] == [job.keys[0] for job in lost]
    assert len(work_off(again, tmp_path)) == 4
    assert again.is_complete


def test_a_fixed_plan_keeps_its_order_whatever_finishes_first(tmp_path):
    jobs = work_off(search_plan(tmp_path / "elsewhere", trials=2), tmp_path / "elsewhere")
    plan = FixedPlan(jobs, Ledger(tmp_path))
    handed_out = [plan.next() for _ in jobs]
    assert names(handed_out) == names(jobs)
    assert plan.is_exhausted()
    for job in reversed(handed_out):
        plan.finish(finished(job))
    assert [entry.record.key for entry in plan.entries()] == [job.keys[0] for job in jobs]


def growing_plan(root, grow, most=12):
    return GrowingPlan(grow, most, Ledger(root))


def block_unit(number):
    job = search_plan("unused").next()
    task = replace(job.task, seeds=(number,), test=True)
    return make_job(task, "confirm", "block", (number,), "data", {"torch": "2"})


def test_a_growing_plan_plans_a_block_from_those_before_it(tmp_path):
    def grow(records):
        return [] if len(records) >= 6 else [block_unit(len(records)), block_unit(len(records) + 1)]

    plan = growing_plan(tmp_path, grow)
    assert (plan.total, plan.is_open, plan.is_complete) == (12, True, False)
    first = [plan.next(), plan.next()]
    assert plan.next() is None  # the next block waits for this one
    assert not plan.is_exhausted()
    for job in first:
        entry = finished(job)
        Ledger(tmp_path).put(entry)
        plan.finish(entry)
    assert len(work_off(plan, tmp_path)) == 4
    assert (plan.total, plan.is_open, plan.is_complete, plan.is_exhausted()) == (6, False, True, True)
    again = growing_plan(tmp_path, grow)
    assert (again.total, again.is_complete, len(again.kept)) == (6, True, 6)


def test_a_growing_plan_goes_on_in_the_middle_of_a_block(tmp_path):
    def grow(records):
        return [] if records else [block_unit(0), block_unit(1), block_unit(2)]

    work_off(growing_plan(tmp_path, grow), tmp_path, limit=2)
    plan = growing_plan(tmp_path, grow)
    assert (len(plan.kept), plan.is_open) == (2, True)
    assert len(work_off(plan, tmp_path)) == 1
    assert plan.is_complete


def guessing_plan(root, *, guessed=(2, 3, 4), later=(2, 3)):
    """A plan of two jobs, of which the next block is guessed to have three further ones, and has two of them."""

    def grow(records):
        if len(records) == 2:
            return [block_unit(number) for number in later]
        return [] if records else [block_unit(0), block_unit(1)]

    return GrowingPlan(grow, 12, Ledger(root), lambda records: [block_unit(number) for number in guessed])


def keep(root, plan, job):
    entry = finished(job)
    Ledger(root).put(entry)
    plan.finish(entry)


def test_a_worker_that_would_be_idle_gets_a_job_of_the_next_block(tmp_path):
    plan = guessing_plan(tmp_path)
    first, second = plan.next(), plan.next()
    assert plan.next() is None
    assert plan.foresee(2) is None  # both workers are busy
    keep(tmp_path, plan, first)
    early = plan.foresee(2)
    assert early.keys == block_unit(2).keys
    assert plan.foresee(2) is None
    assert not plan.needs(early.keys[0])
    keep(tmp_path, plan, early)
    assert (plan.num_finished, plan.total) == (1, 12)  # it counts only once the plan asks for it
    keep(tmp_path, plan, second)
    assert plan.needs(early.keys[0])
    assert plan.num_finished == 3
    assert [job.keys for job in work_off(plan, tmp_path)] == [block_unit(3).keys]
    assert [entry.record.key for entry in plan.entries()] == [block_unit(number).keys[0] for number in range(4)]
    assert plan.is_complete


def test_a_job_that_still_runs_when_the_plan_asks_for_it_is_not_trained_twice(tmp_path):
    plan = guessing_plan(tmp_path)
    first, second = plan.next(), plan.next()
    keep(tmp_path, plan, first)
    early = plan.foresee(2)
    keep(tmp_path, plan, second)
    assert [job.keys for job in work_off(plan, tmp_path)] == [block_unit(3).keys]
    assert not plan.is_complete
    keep(tmp_path, plan, early)
    assert plan.is_complete
    assert [entry.record.key for entry in plan.entries()] == [block_unit(number).keys[0] for number in range(4)]


def test_as_many_jobs_as_there_are_workers_are_trained_before_the_plan_asks_for_them(tmp_path):
    plan = guessing_plan(tmp_path, guessed=tuple(range(2, 40)))
    first, _ = plan.next(), plan.next()
    keep(tmp_path, plan, first)
    trained = 0
    while (job := plan.foresee(4)) is not None:
        keep(tmp_path, plan, job)
        trained += 1
    assert trained == 4


def test_what_the_plan_never_asks_for_is_kept_and_does_not_count(tmp_path):
    plan = guessing_plan(tmp_path, guessed=(9,), later=())
    first, second = plan.next(), plan.next()
    keep(tmp_path, plan, first)
    early = plan.foresee(2)
    keep(tmp_path, plan, second)
    assert plan.is_complete
    assert plan.is_exhausted()
    assert plan.foresee(9) is None
    keep(tmp_path, plan, early)
    assert (plan.total, plan.num_finished, len(plan.entries())) == (2, 2, 2)
    assert early.keys[0] in Ledger(tmp_path)
    again = guessing_plan(tmp_path, guessed=(9,), later=())
    assert again.is_complete


def test_a_job_that_is_in_the_ledger_is_not_guessed_again(tmp_path):
    Ledger(tmp_path).put(finished(block_unit(2)))
    plan = guessing_plan(tmp_path)
    first, _ = plan.next(), plan.next()
    keep(tmp_path, plan, first)
    assert plan.foresee(2).keys == block_unit(3).keys


def test_a_plan_that_is_known_from_the_start_guesses_nothing(tmp_path):
    plan = FixedPlan([block_unit(0)], Ledger(tmp_path))
    assert plan.foresee(8) is None
    plan.next()
    assert plan.foresee(8) is None
