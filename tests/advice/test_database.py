"""Read and extend the database."""

import json

import pytest

from losstune.advice import database
from losstune.core.errors import LosstuneError
from losstune.losses.registry import registry
from tests.advice.made_up import verdict


def test_what_is_added_is_read_again(tmp_path):
    path = tmp_path / "new" / "verdicts.jsonl"
    first, second = verdict("gce"), verdict("focal")
    assert database.add(path, [first]) == 1
    assert database.add(path, [second]) == 2
    assert database.read(path) == (first, second)


def test_a_study_that_is_added_again_is_replaced(tmp_path):
    path = tmp_path / "verdicts.jsonl"
    database.add(path, [verdict("gce", points=1.0), verdict("focal")])
    database.add(path, [verdict("gce", points=2.0)])
    assert [(one.loss, one.difference) for one in database.read(path)] == [("gce", 0.02), ("focal", 0.0)]


def test_the_same_verdicts_give_the_same_bytes(tmp_path):
    paths = [tmp_path / "one", tmp_path / "two"]
    for path in paths:
        database.write(path, [verdict("gce"), verdict("focal")])
    assert paths[0].read_bytes() == paths[1].read_bytes()


LINE = json.loads(verdict().model_dump_json())


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{", "line 2: Invalid JSON"),
        ("[]", "line 2: Input should be an object"),
        (json.dumps(LINE | {"error": -1}), "line 2: error: Input should be greater than 0 (found '-1')"),
        (json.dumps(LINE | {"schema_version": 9}), "line 2: schema_version: Input should be 1 (found '9')"),
        (json.dumps({key: LINE[key] for key in LINE if key != "loss"}), "line 2: loss: Field required"),
        (json.dumps(LINE | {"colour": "red"}), "line 2: colour: Extra inputs are not permitted (found 'red')"),
    ],
)
def test_a_bad_line_is_named(tmp_path, bad, message):
    path = tmp_path / "verdicts.jsonl"
    path.write_text(f"{json.dumps(LINE)}\n{bad}\n")
    with pytest.raises(LosstuneError) as error:
        database.read(path)
    assert str(error.value).startswith(f"{path}: {message}")
    assert "\n" not in str(error.value)
    with pytest.raises(LosstuneError):
        database.add(path, [verdict()])
    assert path.read_text().endswith(f"{bad}\n"), "a bad file is left alone"


@pytest.mark.parametrize(
    "make", [lambda path: None, lambda path: path.write_bytes(b"\xff\xfe"), lambda path: path.mkdir()]
)
def test_a_file_that_is_none_is_one_line(tmp_path, make):
    path = tmp_path / "verdicts.jsonl"
    make(path)
    with pytest.raises(LosstuneError, match=r"verdicts\.jsonl: (no such file|not text|cannot be read)"):
        database.read(path)


def test_the_users_own_are_where_the_platform_keeps_data(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert database.own_path() == tmp_path / "losstune" / "verdicts.jsonl"
    for value in ("", "relative"):  # which the specification says to ignore
        monkeypatch.setenv("XDG_DATA_HOME", value)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert database.own_path() == tmp_path / ".local" / "share" / "losstune" / "verdicts.jsonl"


def test_the_users_own_add_to_the_shipped_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert database.known() == database.shipped()
    database.add(database.own_path(), [verdict()])
    assert database.known() == (*database.shipped(), verdict())


def test_the_shipped_database_is_about_the_catalogue():
    assert {one.loss for one in database.shipped()} <= registry().keys()
    assert {one.part for one in database.shipped()} >= {"baseline", "control", "candidate"}
    assert database.text_of(database.shipped()) == database.SHIPPED.read_text(encoding="utf-8")
