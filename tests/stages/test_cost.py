"""`losstune cost` counts what the stages will then train, and leaves the study as it is."""

import re
import shutil

import pytest

from losstune.config.load import load_params
from losstune.core.errors import LosstuneError
from losstune.stages import confirm, cost, prepare, tune
from tests.stages.pooled_study import lay_out, run
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


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    folder = lay_out(tmp_path_factory.mktemp("pooled") / "study")
    run(folder, "prepare")
    return folder


@pytest.fixture(scope="module")
def pooled_done(pooled, tmp_path_factory):
    folder = shutil.copytree(pooled, tmp_path_factory.mktemp("pooled-done") / "study")
    run(folder, "tune", "confirm")
    return folder


def decided(folder):
    """The rows on what a study can decide, as one text."""
    before = content(folder)
    rows = list(cost.rows(load_params(folder / "params.yaml"), folder, folder))
    assert content(folder) == before
    names = [name for name, _ in rows]
    return " | ".join(text for _, text in rows[names.index("decides") :])


def test_a_pooled_study_tunes_one_search_and_spends_at_most_its_budget(pooled, tmp_path):
    rows = told(shutil.copytree(pooled, tmp_path / "study"))
    assert rows["tune"].startswith("kept 0, to train 24 of 24, 24 epochs: about ")
    assert rows["confirm"].startswith("kept 0, to train at most 86 of 86, at most 86 epochs: about ")
    assert "budget" not in rows


def test_a_pooled_study_with_explicit_numbers_spends_at_most_these(pooled, tmp_path):
    folder = shutil.copytree(pooled, tmp_path / "study")
    rows = told(folder, budget=None, tune__num_searches=3, confirm__num_blocks=9)
    # 3 losses x (2 further searches x 8 + 9 blocks), and 9 controls.
    assert rows["confirm"].startswith("kept 0, to train at most 84 of 84, ")


def test_before_the_first_round_typical_variances_say_what_can_be_decided(pooled, tmp_path):
    text = decided(shutil.copytree(pooled, tmp_path / "study"))
    shape = (
        r"with 80% power, where all losses go on to the end: differences of (\S+) to (\S+) points, equivalence within "
    )
    low, high = map(float, re.match(shape, text).groups())
    # One candidate: 2 searches and 8 blocks are the least, at any level up to 5%.
    for found, (search, seed) in zip((low, high), ((2.3e-5, 1.6e-5), (8.1e-5, 1.9e-4)), strict=True):
        assert 0 < found <= 100 * (2.1 + 0.9) / 0.7 * (search / 2 + seed / 8) ** 0.5
    assert "by typical variances" in text
    assert "the ROPE is 0.50 points" in text


def test_after_the_first_round_its_own_variances_say_it(pooled_done, tmp_path):
    folder = shutil.copytree(pooled_done, tmp_path / "study")
    write_params(folder, {"budget": {"trainings": 1000}})
    text = decided(folder)
    assert "by the variances of this study's rounds so far" in text
    shown = float(re.search(r"differences of (\S+) points", text)[1])
    write_params(folder, {"budget": {"trainings": 4000}})
    assert float(re.search(r"differences of (\S+) points", decided(folder))[1]) < shown


def test_a_budget_that_ends_before_the_first_claim_decides_nothing_and_says_what_would(pooled, tmp_path):
    folder = shutil.copytree(pooled, tmp_path / "study")
    write_params(folder, {"budget": {"trainings": 50}})
    assert decided(folder) == (
        "nothing: the budget ends before the first look that may decide, which needs 81 trainings if all losses are "
        "still in the race"
    )


def test_minutes_are_shown_as_trainings(pooled, tmp_path):
    folder = shutil.copytree(pooled, tmp_path / "study")
    rows = told(folder, budget={"minutes": 2.0})
    number = int(re.fullmatch(r"2 minutes pay for ([\d,]+) trainings", rows["budget"])[1].replace(",", ""))
    assert rows["confirm"].startswith(f"kept 0, to train at most {number - 24:,} of {number - 24:,}, ")


def test_a_finished_pooled_study_has_nothing_left_to_train(pooled_done, tmp_path):
    rows = told(shutil.copytree(pooled_done, tmp_path / "study"))
    assert rows["tune"] == "kept 24, to train 0 of 24"
    assert re.fullmatch(r"kept (\d+), to train 0 of \1", rows["confirm"])


def test_another_loss_of_a_pooled_study_keeps_the_first_blocks_of_the_others(pooled_done, tmp_path):
    folder = shutil.copytree(pooled_done, tmp_path / "study")
    rows = told(folder, losses=[*SMALL["losses"], "gce"], budget={"trainings": 150})
    assert rows["tune"].startswith("kept 24, to train 8 of 32, ")
    # Four blocks of three losses, the control, and the positive control in these blocks.
    assert rows["confirm"].startswith("kept 17, to train at most 101 of 118, ")
