"""`losstune cost` counts what the stages will then train, and leaves the study as it is."""

import re
import shutil

import pytest

from losstune.config.load import load_params
from losstune.core.errors import LosstuneError
from losstune.stages import confirm, cost, prepare, tune
from tests.test_pipeline import SMALL, write_params


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    write_params(folder, SMALL | {"training.epochs": 1})
    prepare.run(load_params(folder / "params.yaml"), folder, folder)
    return folder


@pytest.fixture(scope="module")
def done(prepared, tmp_path_factory):
    folder = shutil.copytree(prepared, tmp_path_factory.mktemp("done") / "study")
    for stage in (tune, confirm):
        stage.run(load_params(folder / "params.yaml"), folder, folder)
    return folder


@pytest.fixture
def fresh(prepared, tmp_path):
    return shutil.copytree(prepared, tmp_path / "study")


@pytest.fixture
def finished(done, tmp_path):
    return shutil.copytree(done, tmp_path / "study")


def content(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def told(folder, **changes):
    """What is said, by row; the study has to stay as it is meanwhile."""
    write_params(folder, {name.replace("__", "."): value for name, value in changes.items()})
    before = content(folder)
    rows = cost.rows(load_params(folder / "params.yaml"), folder, folder)
    assert content(folder) == before
    return dict(rows)


def test_a_fresh_study_is_timed_by_trainings_of_its_own(fresh, capsys):
    rows = told(fresh)
    assert list(rows) == ["tune", "confirm", "in all", "timed by"]
    assert rows["tune"].startswith("kept 0, to train 18 of 18, 18 epochs: about ")
    assert rows["confirm"].startswith("kept 0, to train at most 13 of 13, at most 13 epochs: about ")
    assert re.search(r"about \d+\.\d core-minutes, \d+:\d\d to \d+:\d\d, 1 at a time$", rows["tune"])
    assert re.fullmatch(r"\d+ trainings, whole, just now", rows["timed by"])
    assert "none is kept" in capsys.readouterr().err


def test_the_test_split_is_not_opened(fresh):
    shutil.rmtree(fresh / "data/prepared/test")
    assert "to train at most 13" in told(fresh)["confirm"]


def test_a_finished_study_has_nothing_left_to_train_and_nothing_is_timed(finished, capsys):
    assert told(finished) == {"tune": "kept 18, to train 0 of 18", "confirm": "kept 13, to train 0 of 13"}
    assert capsys.readouterr().err == ""


def test_a_loss_more_asks_for_its_own_trainings_and_is_timed_by_those_of_the_others(finished):
    rows = told(finished, losses=[*SMALL["losses"], "gce"])
    assert rows["tune"].startswith("kept 18, to train 6 of 24, 6 epochs: ")
    assert rows["confirm"].startswith("kept 13, to train at most 3 of 16, at most 3 epochs: ")
    assert rows["timed by"] == "31 finished trainings of this study; start and end, just now"


def test_one_search_more_keeps_the_winners_of_the_others(finished):
    rows = told(finished, tune__num_searches=3)
    assert rows["tune"].startswith("kept 18, to train 9 of 27")
    # A block of each search: those of the first two have been trained.
    assert rows["confirm"].startswith("kept 9, to train at most 4 of 13")


def test_longer_trainings_are_new_ones(finished):
    rows = told(finished, training__epochs=2, training__schedule="constant")
    assert rows["tune"].startswith("kept 0, to train 18 of 18, 36 epochs: ")


@pytest.mark.parametrize(
    ("changes", "tune_row", "confirm_row"),
    [
        ({"tune__sampler": "tpe", "tune__trials_per_loss": 6}, "to train at most 36 of 36, at most 36", "at most 13"),
        ({"tune__scheduler": "asha", "training__epochs": 4}, "to train 18 of 18, at most 72 epochs", "at most 13"),
        (
            {"confirm__stopping": "anytime", "confirm__num_blocks": 20},
            "to train 18 of 18",
            "at most 69 of 69",  # three losses, a control, eight of the degraded
        ),
    ],
)
def test_where_outcomes_decide_it_says_at_most(fresh, changes, tune_row, confirm_row):
    rows = told(fresh, **changes)
    assert tune_row in rows["tune"]
    assert confirm_row in rows["confirm"]


def test_a_record_that_cannot_be_read_counts_as_none_and_stays_where_it_is(finished):
    path = next((finished / ".losstune/ledger").glob("??/*.json"))
    path.write_text("{")
    rows = told(finished)
    assert path.read_text() == "{"
    assert sum("to train 0" not in rows[stage] for stage in ("tune", "confirm")) >= 1


def test_data_that_is_not_prepared_is_told(tmp_path):
    write_params(tmp_path, SMALL)
    with pytest.raises(LosstuneError, match="no such file; `losstune prepare` writes it"):
        told(tmp_path)
