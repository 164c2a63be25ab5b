"""Ray runs a plan: the same results as one after the other, early stopping, and a worker's death survived."""

import os
import threading
import time

import pytest
import ray

from losstune.config.load import load_params
from losstune.core.errors import LosstuneError
from losstune.core.metric import METRICS
from losstune.core.records import Entry
from losstune.execution import inline
from losstune.execution.trials import run as trials
from losstune.study.asha import Brackets
from losstune.study.jobs import Timed, make_job, train_pack
from losstune.study.ledger import Ledger
from losstune.study.ledger_writer import LedgerWriter
from losstune.study.plan import FixedPlan
from losstune.training.task import failed
from tests.factories import make_execution, make_record
from tests.paths import REPOSITORY
from tests.small import digits_arrays, small_task

pytestmark = pytest.mark.integration

RESOURCES = load_params(REPOSITORY / "params.yaml").resources
DEADLY = 0.123
"""A learning rate at which the worker of `train_or_die` dies."""


def is_deadly(task):
    return task.configuration.learning_rate == DEADLY


def one_by_one(tasks, arrays, rungs, goes_on, instead):
    """Train a pack, with `instead` in place of a deadly training; it may yield a result or none."""
    for number, task in enumerate(tasks):
        found = instead(task) if is_deadly(task) else None
        if found is not None:
            yield number, found
        else:
            for _, timed in train_pack([task], arrays, rungs, lambda _, result, here=number: goes_on(here, result)):
                yield number, timed


def train_or_die(tasks, arrays, rungs, goes_on):
    yield from one_by_one(tasks, arrays, rungs, goes_on, lambda _: os._exit(1))


def train_or_fill_memory(tasks, arrays, rungs, goes_on):
    """Run out of memory unless all of the machine's cores are this training's own."""

    def full(task):
        if ray.available_resources().get("CPU", 0) > 0:
            results = failed(task, "no room")
            return Timed(results=results, started_at=0.0, duration_sec=0.0, device="cpu", out_of_memory=True)
        return None

    yield from one_by_one(tasks, arrays, rungs, goes_on, full)


def train_or_hang(tasks, arrays, rungs, goes_on):
    yield from one_by_one(tasks, arrays, rungs, goes_on, lambda _: time.sleep(1000))


def jobs_of(tasks):
    return [make_job(task, "tune", "trial", (index,), "data", {"torch": "2"}) for index, task in enumerate(tasks)]


class Plan(FixedPlan):
    """A plan that believes to know how long its trainings take, so that its packs have several jobs from the start."""

    def __init__(self, jobs, ledger, expected_sec):
        super().__init__(jobs, ledger)
        if expected_sec is not None:
            record = make_record()
            self.kept = [Entry(record=record, execution=make_execution(record, duration_sec=expected_sec))]


def run(
    tmp_path,
    tasks,
    *,
    executor,
    brackets=None,
    train=train_pack,
    versions=None,
    most=256,
    expected_sec=None,
    **resources,
):
    results, folder = {}, tmp_path / f"{executor}{len(list(tmp_path.iterdir()))}"

    def finished(job, entry):
        assert job.indices[0] not in results
        assert threading.current_thread() is threading.main_thread()
        assert Ledger(folder).get(job.keys[0]) == entry
        results[job.indices[0]] = entry.record

    folder.mkdir()
    plan, writer = Plan(jobs_of(tasks), Ledger(folder), expected_sec), LedgerWriter(folder, None)
    if executor == "inline":
        inline.run(plan, train, digits_arrays(), brackets, writer, finished)
    else:
        trials.run(
            plan,
            train,
            digits_arrays(),
            brackets,
            writer,
            finished,
            resources=RESOURCES.model_copy(update=resources),
            per_trial=trials.TrialResources(cpus=1, gpus=0, most=most),
            versions=versions,
        )
    weights = {path.name: path.read_bytes() for path in folder.rglob("*.safetensors")}
    return [results.get(index) for index in range(len(tasks))], weights


def records_of(*arguments, **options):
    return run(*arguments, **options)[0]


@pytest.mark.parametrize("expected_sec", [None, 0.1])
def test_ray_gives_what_one_process_gives(tmp_path, expected_sec):
    tasks = [
        small_task(loss, learning_rate=rate, test=True, keep_weights=True)
        for loss in ("cross_entropy", "focal")
        for rate in (1e-3, 3e-3, 1e-2, 1e30)
    ]
    found = run(tmp_path, tasks, executor="ray", expected_sec=expected_sec, max_concurrent=1)
    assert found == run(tmp_path, tasks, executor="inline")
    assert len(found[1]) == 6  # none of what diverged


@pytest.mark.parametrize("most", [1, 256])
def test_a_dead_worker_costs_its_trial_alone(tmp_path, most):
    rates = (1e-3, 2e-3, DEADLY, 1e-2, 3e-3, 4e-3, 5e-3, 6e-3)
    tasks = [small_task(learning_rate=rate) for rate in rates]
    results = records_of(
        tmp_path, tasks, executor="ray", train=train_or_die, max_concurrent=1, most=most, expected_sec=0.1
    )
    assert [result.status for result in results] == ["failed" if rate == DEADLY else "finished" for rate in rates]
    assert results[2].cause.startswith("the worker died twice: ")
    assert results[2].validation["accuracy"] == 0.0


@pytest.mark.parametrize("expected_sec", [None, 0.1])
def test_trials_stop_at_the_rungs_of_their_own_loss(tmp_path, expected_sec):
    # One at a time, so that the order of arrival is that of the list: the worse ones of each loss come second.
    tasks = [
        small_task(loss, learning_rate=rate, epochs=6) for rate in (1e-2, 1e-5) for loss in ("cross_entropy", "square")
    ]
    results = {}
    for executor in ("ray", "inline"):
        brackets = Brackets((2, 4), 2, METRICS["accuracy"])
        results[executor] = records_of(
            tmp_path, tasks, executor=executor, brackets=brackets, max_concurrent=1, expected_sec=expected_sec
        )
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
@pytest.mark.parametrize("expected_sec", [None, 0.1])
def test_a_training_that_hangs_is_ended_and_the_others_go_on(tmp_path, expected_sec):
    rates = (1e-3, DEADLY, 1e-2, 2e-3, 3e-3, 4e-3)
    results = records_of(
        tmp_path,
        [small_task(learning_rate=rate) for rate in rates],
        executor="ray",
        train=train_or_hang,
        max_concurrent=1,
        trial_time_limit=0.15,
        expected_sec=expected_sec,
    )
    assert [result.status for result in results] == ["failed" if rate == DEADLY else "finished" for rate in rates]
    assert results[1].cause == "took longer than resources.trial_time_limit, 0.15 minutes"


def test_a_worker_with_other_libraries_trains_nothing(tmp_path):
    with pytest.raises(LosstuneError, match=r"has other libraries: .*expected \{'torch': '1.0'\}"):
        run(tmp_path, [small_task()], executor="ray", versions={"torch": "1.0"})


@pytest.mark.parametrize("limit", [None, 1.0])
def test_what_cannot_be_stored_ends_the_run_with_the_reason(tmp_path, limit):
    def fails(self, job, timed):
        raise LosstuneError("/there: cannot store finished trainings here: No space left on device")

    class Full(LedgerWriter):
        write = fails

    with pytest.raises(LosstuneError, match="No space left"):
        trials.run(
            FixedPlan(jobs_of([small_task()]), Ledger(tmp_path)),
            train_pack,
            digits_arrays(),
            None,
            Full(tmp_path, None),
            lambda job, entry: None,
            resources=RESOURCES.model_copy(update={"trial_time_limit": limit}),
            per_trial=trials.TrialResources(cpus=1, gpus=0),
        )
