"""A budget in minutes becomes trainings once; a budget that is too small is an error before anything trains."""

import json
import re

import pytest

from losstune.config.load import load_params
from losstune.core.errors import LosstuneError
from losstune.core.records import Execution
from losstune.stages import budgets
from losstune.stages.study import open_study
from losstune.stages.workers import find_device
from tests.commands import losstune
from tests.stages.pooled_study import lay_out, run


def executions(*seconds):
    return [
        Execution(key=str(number), started_at=0.0, duration_sec=sec, device="cpu", commit=None)
        for number, sec in enumerate(seconds)
    ]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = lay_out(tmp_path_factory.mktemp("budgets") / "study", budget={"minutes": 1.0})
    run(folder, "prepare")
    return folder


def study(folder, **resources):
    params = load_params(folder / "params.yaml")
    opened = open_study(params, folder, folder, find_device)
    settings = params.resources.model_copy(update=resources)
    return type(opened)(
        **{name: getattr(opened, name) for name in opened.__slots__}
        | {"params": opened.params.model_copy(update={"resources": settings})}
    )


def test_minutes_pay_for_trainings_by_their_mean_duration_and_the_number_of_workers(prepared):
    # One worker, 60 s, trainings of 0.25 s in the mean.
    assert budgets.num_trainings(study(prepared), executions(0.2, 0.3)) == 240
    assert budgets.num_trainings(study(prepared), executions(0.1, 0.15)) == 480


def test_workers_of_a_cluster_count_if_their_number_is_given(prepared):
    cluster = {"executor": "ray", "ray_address": "head:6379"}
    with pytest.raises(LosstuneError, match=r"^budget\.minutes: the number of workers of the cluster is not known;"):
        budgets.num_trainings(study(prepared, **cluster), executions(0.25))
    assert budgets.num_trainings(study(prepared, **cluster, max_concurrent=5), executions(0.25)) == 5 * 240


def test_minutes_that_do_not_pay_for_the_first_look_are_too_few(prepared):
    # 3 losses x (8 trials + 4 blocks), 1 identity control, 8 of the positive control: 45 trainings.
    with pytest.raises(
        LosstuneError, match=r"found 1, which pays for 30 trainings of 2 s, expected at least 1\.5, for"
    ):
        budgets.num_trainings(study(prepared), executions(2.0))
    assert budgets.num_trainings(study(prepared), executions(1.33)) == 45


@pytest.mark.parametrize("command", ["check", "tune", "cost"])
def test_trainings_that_do_not_pay_for_the_first_look_are_told_before_anything_trains(tmp_path, command):
    folder = lay_out(tmp_path, budget={"trainings": 44})
    if command != "check":
        run(folder, "prepare")
    ended = losstune(folder, command, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert re.search(
        r"budget\.trainings: found 44, expected at least 45, for one search of 8 trials and 4 blocks", line
    )


@pytest.fixture(scope="module")
def in_minutes(prepared):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budgets, "in_minutes", lambda study, each_sec: 90)
        run(prepared, "tune", "confirm")
    return prepared


def test_a_rerun_on_a_slower_machine_keeps_the_number_of_trainings(in_minutes, monkeypatch):
    before = (in_minutes / "results/confirm/blocks.jsonl").read_bytes()
    registered = json.loads((in_minutes / "results/confirm/registration.json").read_text())["num_trainings"]
    assert registered == 90
    path = in_minutes / "results/tune/executions.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    # A hundred seconds each: measured anew, the minutes would pay for nothing.
    path.write_text("".join(json.dumps(row | {"duration_sec": 100.0}) + "\n" for row in rows))
    run(in_minutes, "confirm", "report")
    assert json.loads((in_minutes / "results/confirm/registration.json").read_text())["num_trainings"] == registered
    assert (in_minutes / "results/confirm/blocks.jsonl").read_bytes() == before
    # Nor does it need the number of workers any more.
    monkeypatch.setattr(budgets, "num_workers_of", lambda study: None)
    assert budgets.num_trainings(study(in_minutes), executions(100.0)) == registered
