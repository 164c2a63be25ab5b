"""``data.root`` names one path, to DVC as to losstune: the text as it stands."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from losstune.config.load import data_path, load_params, study_root
from losstune.config.matrix import load_matrix
from losstune.core.errors import LosstuneError
from tests.commands import DVC, environment
from tests.inputs.conftest import project as project
from tests.paths import REPOSITORY


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = tmp_path / "ho me"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("DATA", f"{home}/data")
    monkeypatch.delenv("NOTHING", raising=False)
    return home


def meant(line):
    """Return the root that a message says to write, as YAML reads it."""
    return YAML(typ="safe", pure=True).load(re.search(r"write (root: .*)$", line)[1])["root"]


ROOTS = [
    ("~", "{home}"),
    ("~/birds", "{home}/birds"),
    ("$HOME/birds", "{home}/birds"),
    ("${HOME}/birds", "{home}/birds"),
    ("$DATA/birds #2: all", "{home}/data/birds #2: all"),
    ("file:///data/birds", "/data/birds"),
    ("file://localhost/data/my%20birds", "/data/my birds"),
    ("file:/data/birds", "/data/birds"),
    ("FILE:///data/birds", "/data/birds"),
    ("file://~/birds", "{home}/birds"),
]


@pytest.mark.parametrize("command", ["check", "prepare", "tune", "confirm", "report", "cost"])
@pytest.mark.parametrize(("root", "path"), ROOTS)
def test_every_command_says_which_path_to_write(project, home, root, path, command):
    project.write({"data.root": root})
    line = project.refused(command)
    assert line.startswith(f"params.yaml: data.root: found '{root}'")
    assert meant(line) == path.format(home=home)


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ("$NOTHING/birds", "no variable of that name is set"),
        ("${NOTHING}", "no variable of that name is set"),
        ("~nobody-of-that-name/birds", "there is no user of that name"),
        ("https://example.com/birds.zip", "a URL; expected a path on this machine"),
        ("s3://bucket/birds", "a URL; expected a path on this machine"),
    ],
)
def test_what_names_no_path_is_told(project, home, root, message):
    project.write({"data.root": root})
    for command in ("check", "prepare"):
        line = project.refused(command)
        assert f"data.root: found '{root}'" in line
        assert message in line


def test_a_relative_variable_is_taken_from_the_studys_folder(project, monkeypatch):
    monkeypatch.setenv("DATA", "raw")
    project.write({"data.root": "$DATA/birds"})
    assert meant(project.refused("check")) == f"{project.folder}/raw/birds"


@pytest.mark.parametrize("root", ["~data.npz", "$HOME.npz", "a$b.npz", "price in $.npz", "C~1.npz"])
def test_a_path_of_just_that_name_is_taken_as_it_stands(project, home, root):
    project.write_arrays(root)
    project.write({"data.root": root})
    for command in ("check", "prepare"):
        assert project.run(command).code == 0
    project.write({"data.root": f"./{root}"})
    assert project.run("prepare").code == 0


def test_a_matrix_holds_the_same(home, tmp_path):
    (tmp_path / "matrix.yaml").write_text(
        "matrix: {data: {a: {data: {name: npz, root: ~/a.npz}}}, model: {b: {}}}", encoding="utf-8"
    )
    with pytest.raises(LosstuneError, match=r"matrix\.data\.a: data\.root: found '~/a\.npz'") as caught:
        load_matrix(load_params(REPOSITORY / "params.yaml"), tmp_path / "matrix.yaml")
    assert meant(str(caught.value)) == f"{home}/a.npz"


def _repro(folder):
    return subprocess.run(
        [*DVC, "repro"], cwd=folder, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )


def test_dvc_takes_the_text_as_it_stands_and_the_path_that_check_gives(project, home):
    # The premise, and that what the message says helps.
    shipped = YAML(typ="safe", pure=True).load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))
    prepare = shipped["stages"]["prepare"]
    assert prepare["deps"][0] == "${data.root}"
    stage = prepare | {"deps": prepare["deps"][:1]}  # without the source, which this folder lacks
    with Path("dvc.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump({"stages": {"prepare": stage}}, file)
    subprocess.run([*DVC, "init", "--quiet", "--no-scm"], check=True, timeout=60)
    shutil.move("data.npz", home / "birds.npz")
    project.write({"data.root": "~/birds.npz"})
    refused = _repro(project.folder)
    assert refused.returncode != 0
    assert "~/birds.npz'" in refused.stderr

    project.write({"data.root": meant(project.refused("check"))})
    ended = _repro(project.folder)
    assert ended.returncode == 0, ended.stderr
    assert os.path.exists("data/prepared/manifest.json")


def test_the_root_is_where_dvc_says(monkeypatch, tmp_path):
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "copy"
    (copy / ".dvc").mkdir(parents=True)
    monkeypatch.chdir(copy)
    assert study_root() == copy
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert study_root() == tmp_path


def test_the_root_without_dvc(monkeypatch, tmp_path):
    inside = tmp_path / "studies" / "one"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert study_root() == Path.cwd()
    (tmp_path / ".dvc").mkdir()
    assert study_root() == Path.cwd().parents[1]


@pytest.mark.parametrize("study", ["", "studies/one"])
def test_data_that_a_temporary_copy_lacks_is_found_from_the_original_folder(monkeypatch, tmp_path, study):
    original = tmp_path / "repository"
    copy = original / ".dvc" / "tmp" / "exps" / "copy"
    for root in (original, copy):
        (root / ".dvc").mkdir(parents=True, exist_ok=True)
        (root / study).mkdir(parents=True, exist_ok=True)
    root = os.path.relpath(tmp_path / "photos", original / study)
    (tmp_path / "photos").mkdir()
    assert data_path(root, copy / study) == copy / study / root, "DVC does not run here"
    monkeypatch.setenv("DVC_ROOT", str(original))
    assert data_path(root, copy / study).samefile(tmp_path / "photos")
    assert data_path("none", copy / study) == copy / study / "none", "a message names the path that was given"
    (copy / study / "tracked").mkdir()
    (original / study / "tracked").mkdir()
    assert data_path("tracked", copy / study) == copy / study / "tracked"
    assert data_path(str(tmp_path / "photos"), copy / study) == tmp_path / "photos"
