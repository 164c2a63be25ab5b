"""What a stage passes to the function that trains, and what it says of it."""

import json
from dataclasses import replace

import pytest

from losstune.study.jobs import train_pack
from tests.commands import losstune
from tests.faults.study import SMALL
from tests.test_pipeline import write_params

NOTE = "training.augmentation changes each image by itself, so that trainings follow one another on a GPU"


@pytest.mark.parametrize(("setting", "width"), [("auto", None), (5, 5)])
def test_why_trainings_were_not_captured_is_told_once_and_kept_with_each(tmp_path, monkeypatch, setting, width):
    widths = set()

    def noted(tasks, arrays, rungs, goes_on, own=None, width=None):
        widths.add(width)
        for number, timed in train_pack(tasks, arrays, rungs, goes_on, own):
            yield number, replace(timed, note=NOTE)

    monkeypatch.setattr("losstune.stages.execute.train_pack", noted)
    few = {"tune.trials_per_loss": 1, "tracking.enabled": False, "resources.trials_per_gpu": setting}
    write_params(tmp_path, SMALL | few)
    losstune(tmp_path, "prepare")
    done = losstune(tmp_path, "tune")
    assert done.stderr.count(NOTE) == 1
    assert f"tune: {NOTE}\n" in done.stderr
    rows = [json.loads(line) for line in (tmp_path / "results/tune/executions.jsonl").read_text().splitlines()]
    assert {row["note"] for row in rows} == {NOTE}
    assert widths == {width}
