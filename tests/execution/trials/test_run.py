"""Ray runs a plan: the same results as one after the other, early stopping, and a worker's death survived."""

import os
import time

import pytest
import ray

from losstune.config.load import load_params
from losstune.core.errors import LosstuneError
from losstune.core.metric import METRICS
from losstune.execution import inline, trials
from losstune.study.asha import Brackets
from losstune.study.jobs import Timed, make_job, train_timed
from losstune.study.ledger import Ledger
from losstune.study.plan import FixedPlan
from losstune.training.task import failed
from tests.paths import REPOSITORY
from tests.small import digits_arrays, small_task

pytestmark = pytest.mark.integration

RESOURCES = load_params(REPOSITORY / "params.yaml").resources
DEADLY = 0.123
"""A learning rate at which the worker of `train_or_die` dies."""


def train_or_die(task, arrays, rungs):
    if task.configuration.learning_rate == DEADLY:
        os._exit(1)
    yield from train_timed(task, arrays, rungs)


def train_or_fill_memory(task, arrays, rungs):
    """Run out of memory unless all of the machine's cores are this training's own."""
    if task.configuration.learning_rate == DEADLY and ray.available_resources().get("CPU", 0) > 0:
        yield from train_raising(MemoryError("no room"), task)
    else:
        yield from train_timed(task, arrays, rungs)


def train_raising(error, task):
    yield Timed(results=failed(task, str(error)), started_at=0.0, duration_sec=0.0, device="cpu", out_of_memory=True)


def train_or_hang(task, arrays, rungs):
    while task.configuration.learning_rate == DEADLY:
        time.sleep(1)
    yield from train_timed(task, arrays, rungs)


def plan_of(tmp_path, tasks):
    jobs = [make_job(task, "tune", "trial", (index,), "data", {"torch": "2"}) for index, task in enumerate(tasks)]
    return FixedPlan(jobs, Ledger(tmp_path))


def run(tmp_path, tasks, *, executor, brackets=None, train=train_timed, versions=None, **resources):
    results = {}

    def finished(job, timed):
        assert job.indices not in results
        results[job.indices[0]] = timed.results[0]

    plan = plan_of(tmp_path, tasks)
    if executor == "inline":
        inline.run(plan, train, digits_arrays(), brackets, finished)
    else:
        trials.run(
            plan,
            train,
            digits_arrays(),
            brackets,
            finished,
            resources=RESOURCES.model_copy(update=resources),
            per_trial=trials.TrialResources(cpus=1, gpus=0),
            versions=versions,
        )
    return [results.get(index) for index in range(len(tasks))]


def test_ray_gives_what_one_process_gives(tmp_path):
    tasks = [
        small_task(loss, learning_rate=rate, test=True, keep_weights=True)
        for loss in ("cross_entropy", "focal")
        for rate in (1e-3, 1e-2, 1e30)
    ]
    assert run(tmp_path, tasks, executor="ray") == run(tmp_path, tasks, executor="inline")
    assert not list((tmp_path / ".losstune").glob("**/*.json"))  # writing is the caller's affair


def test_a_dead_worker_costs_its_trial_alone(tmp_path):
    tasks = [small_task(learning_rate=rate) for rate in (1e-3, DEADLY, 1e-2, 3e-3)]
    results = run(tmp_path, tasks, executor="ray", train=train_or_die, max_concurrent=1)
    assert [result.status for result in results] == ["finished", "failed", "finished", "finished"]
    assert results[1].cause.startswith("the worker died twice: ")
    assert results[1].validation["accuracy"] == 0.0


def test_trials_stop_at_the_rungs_of_their_own_loss(tmp_path):
    # One at a time, so that the order of arrival is that of the list: the worse ones of each loss come second.
    tasks = [
        small_task(loss, learning_rate=rate, epochs=6) for rate in (1e-2, 1e-5) for loss in ("cross_entropy", "square")
    ]
    results = {}
    for executor in ("ray", "inline"):
        brackets = Brackets((2, 4), 2, METRICS["accuracy"])
        results[executor] = run(tmp_path, tasks, executor=executor, brackets=brackets, max_concurrent=1)
    assert results["ray"] == results["inline"]
    assert [result.status for result in results["ray"]] == ["finished", "finished", "stopped", "stopped"]
    assert [len(result.curve) for result in results["ray"]] == [6, 6, 2, 2]


@pytest.mark.slow
def test_memory_that_is_full_costs_nothing_once_the_neighbours_are_gone(tmp_path, monkeypatch):
    monkeypatch.setattr("losstune.execution.trials.connection.num_cores", lambda: 2)
    tasks = [small_task(learning_rate=rate) for rate in (1e-3, DEADLY, 1e-2, 3e-3)]
    results = run(tmp_path, tasks, executor="ray", train=train_or_fill_memory)
    assert results == run(tmp_path, tasks, executor="inline")


@pytest.mark.slow
def test_a_training_that_hangs_is_ended_and_the_others_go_on(tmp_path):
    tasks = [small_task(learning_rate=rate) for rate in (1e-3, DEADLY, 1e-2)]
    results = run(tmp_path, tasks, executor="ray", train=train_or_hang, max_concurrent=1, trial_time_limit=0.15)
    assert [result.status for result in results] == ["finished", "failed", "finished"]
    assert results[1].cause == "took longer than resources.trial_time_limit, 0.15 minutes"


def test_a_worker_with_other_libraries_trains_nothing(tmp_path):
    with pytest.raises(LosstuneError, match=r"has other libraries: .*expected \{'torch': '1.0'\}"):
        run(tmp_path, [small_task()], executor="ray", versions={"torch": "1.0"})
