"""The documented defaults are the schema's, and their comments those of the file of this repository's study."""

import re

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from losstune.cli.main import cli
from losstune.config.defaults import FILE, documented_defaults
from losstune.config.load import load_params
from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from tests.paths import REPOSITORY

SHIPPED = REPOSITORY / "params.yaml"
DOORS = {"data.options", "model.options", "training.loop"}
"""Keys for a user's own code, which the default study has no use for."""


def read(text):
    return YAML(typ="safe", pure=True).load(text)


def comments(path):
    """Return the comment of each key, list items included, by its path."""
    found, section = {}, ""
    for line in path.read_text(encoding="utf-8").splitlines():
        key = re.match(r"(  )?(?:- )?(\w+)", line)
        if key is None:
            continue
        section = section if key[1] else key[2]
        path_of_key = f"{section}.{key[2]}" if key[1] else section
        found[path_of_key] = line.partition(" # ")[2]
    return found


def test_the_file_has_every_key_with_its_default():
    # As JSON has it: numbers as in YAML, tuples as lists.
    assert read(FILE.read_text(encoding="utf-8")) == Params().model_dump(mode="json")
    assert load_params(FILE) == Params()


def test_every_key_has_a_comment():
    values = Params().model_dump()
    found = comments(FILE)
    for section, inner in values.items():
        keys = [f"{section}.{key}" for key in inner] if isinstance(inner, dict) else [section]
        for key in keys:
            assert found[key] or key.startswith("search_space."), f"{key}: no comment"
    assert found["search_space"], "the two ranges share the section's comment"


def test_the_file_of_this_repository_has_the_same_comments():
    ours, theirs = comments(FILE), comments(SHIPPED)
    assert ours.keys() - theirs.keys() == DOORS
    assert {key: theirs[key] for key in ours.keys() - DOORS} == {key: ours[key] for key in ours.keys() - DOORS}


def test_the_file_of_this_repository_sets_every_other_key():
    shipped, defaults = read(SHIPPED.read_text(encoding="utf-8")), Params().model_dump()
    assert shipped.keys() == defaults.keys()
    for section, inner in defaults.items():
        if isinstance(inner, dict):
            missing = inner.keys() - shipped[section].keys()
            assert {f"{section}.{key}" for key in missing} <= DOORS


@pytest.mark.parametrize("section", Params.model_fields)
def test_a_section_is_yaml_on_its_own(section):
    assert read(documented_defaults(section)) == {section: Params().model_dump(mode="json")[section]}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("data.root", {"data": {"root": "data/raw"}}),
        ("search_space.losses", {"search_space": {"losses": {}}}),
        ("tune.asha.grace_epochs", {"tune": {"asha": {"grace_epochs": 3, "reduction_factor": 3}}}),
    ],
)
def test_a_key_is_shown_below_its_section(key, expected):
    assert read(documented_defaults(key)) == expected


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("dta", "unknown key 'dta'; did you mean 'data'? (allowed here: study, data,"),
        ("data.rot", "unknown key 'rot' in data; did you mean 'root'? (allowed here: name, root,"),
        ("data.root.x", "unknown key 'x' in data.root"),
        (".", "unknown key ''"),
    ],
)
def test_an_unknown_key_is_a_mistake(key, message):
    with pytest.raises(LosstuneError) as caught:
        documented_defaults(key)
    assert str(caught.value).startswith(message)


def test_the_command_needs_no_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(cli, ["params"]).output == FILE.read_text(encoding="utf-8")
    assert CliRunner().invoke(cli, ["params", "report.rope"]).output.startswith("report:\n  rope: 0.005 ")
