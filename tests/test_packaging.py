import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

import losstune
from tests.commands import clean_environment
from tests.own_repository import write_own_code, write_photos, write_settings
from tests.paths import REPOSITORY
from tests.shared import made_once

ROOT = REPOSITORY
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"].values()
DIRECT = [Requirement(text) for text in sum(EXTRAS, PROJECT["dependencies"])]


def constraint_lines() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


PINS = dict(line.split("==") for line in constraint_lines())


@pytest.fixture
def copy_of_the_makefile(tmp_path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "VENV"))}
    return subprocess.run(["make", *arguments], cwd=folder, env=clean, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy of the sources, without a network."""

    def build(folder: Path) -> None:
        source = folder / "source"
        shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, source)
        pip("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", str(folder), str(source))

    return next(made_once(tmp_path_factory, "wheel", build).glob("*.whl"))


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments, "--no-index"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_has_every_file_of_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("losstune/")}
    package = ROOT / "src" / "losstune"
    files = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert packed == {path.relative_to(package.parent).as_posix() for path in files}


@pytest.mark.slow
def test_a_study_runs_from_the_installed_wheel(wheel, tmp_path):
    """The environment sees the libraries of this one, but not this clone. Model and loss are the user's own."""
    venv.create(tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    pip("--python", str(python), "install", "--no-deps", str(wheel))
    installed = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    libraries = [path for path in sys.path if Path(path).name == "site-packages"]
    (installed / "libraries.pth").write_text("\n".join(libraries))
    variables = clean_environment() | {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    variables.pop("PYTHONPATH", None)

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=study, env=variables, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    study = tmp_path / "study"
    study.mkdir()
    assert Path(run(str(python), "-c", "import losstune; print(losstune.__file__)").strip()).parents[1] == installed
    write_photos(study / "photos")
    write_own_code(study)
    assert "3 classes" in run("losstune", "init", "photos", "--model", "my_models.py:build")
    write_settings(study)
    assert "params.yaml is valid." in run("losstune", "check")
    run(str(python), "-m", "dvc", "repro")
    assert json.loads((study / "results.json").read_text())["verdict"]["sentence"]
    assert "Running stage 'tune'" not in run(str(python), "-m", "dvc", "repro")


def test_constraints_are_pins_and_nothing_else():
    for line in constraint_lines():
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line), line
    names = [line.split("==")[0] for line in constraint_lines()]
    assert names == sorted(set(names))


@pytest.mark.parametrize("requirement", DIRECT, ids=str)
def test_every_requirement_is_pinned_within_its_range(requirement):
    assert requirement.specifier, "a range says what losstune needs at least"
    assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)])


def test_every_pin_takes_the_oldest_python_that_is_promised():
    """Debian 12 has Python 3.11.2. Where a pin asks for more, pip finds no version at all."""
    (oldest,) = SpecifierSet(PROJECT["requires-python"])
    found = {canonicalize_name(package.name): package for package in distributions()}
    wanted = {
        name: found[name].metadata.get("Requires-Python", "") or ""
        for name, number in PINS.items()
        if name in found and found[name].version == number
    }
    assert len(wanted) > 100
    refused = {name: text for name, text in wanted.items() if f"{oldest.version}.0" not in SpecifierSet(text)}
    assert refused == {}


def test_every_library_imported_is_required():
    imported: set[str] = set()
    for path in (ROOT / "src" / "losstune").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(str(node.module).partition(".")[0])
    module_of = {"scikit-learn": "sklearn", "pillow": "PIL", "ruamel-yaml": "ruamel"}
    required = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    known = {module_of.get(name, name.replace("-", "_")) for name in required} | {"losstune"}
    known.add("IPython")  # only imported where it runs already, in a notebook
    known |= {"timm", "huggingface_hub"}  # the extra timm, which needs the other
    known.add("datasets")  # the extra huggingface
    assert imported - set(sys.stdlib_module_names) <= known, "what is imported is required by name"


def test_the_version_is_one():
    assert PROJECT["version"] == losstune.__version__
    assert losstune.__version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_target_is_explained(copy_of_the_makefile):
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z]+):", text, flags=re.MULTILINE)
    help_ = make(copy_of_the_makefile)
    assert help_.returncode == 0
    for target in targets:
        assert re.search(rf"^make {target}\s+\w", help_.stdout, flags=re.MULTILINE), target
    assert {"repro", "test", "ui", "lint", "types", "check", "clean"} <= set(targets)


def test_an_old_python_is_told_so_in_one_line(copy_of_the_makefile, tmp_path):
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.1 && exit 0\nexit 1\n')
    old.chmod(0o755)
    for python, found in ((old, "Python 3.9.1"), (tmp_path / "none", "no Python")):
        done = make(copy_of_the_makefile, "test", f"PYTHON={python}")
        assert done.returncode == 2
        assert done.stderr.splitlines()[0] == (
            f"losstune needs Python 3.11 or newer, found {found}; name one: make PYTHON=/path/to/python3.12"
        )
    assert not (copy_of_the_makefile / ".venv").exists()


def test_installs_once_per_content(copy_of_the_makefile):
    folder = copy_of_the_makefile
    (folder / "Makefile").write_text((folder / "Makefile").read_text().replace("python -m pytest", "echo tested"))
    assert "pip install" in make(folder, "-n", "test").stdout
    stamp = re.search(r"touch (\S+)", make(folder, "-n", "test").stdout)
    assert stamp is not None
    (folder / stamp[1]).parent.mkdir()
    (folder / stamp[1]).touch()
    assert make(folder, "test").stdout == "tested -n auto --maxprocesses 4 --dist worksteal\n"
    # As a fresh checkout of the same content would.
    (folder / "pyproject.toml").touch()
    assert make(folder, "test").stdout == "tested -n auto --maxprocesses 4 --dist worksteal\n"
    with (folder / "constraints.txt").open("a") as file:
        file.write("# changed\n")
    assert "pip install" in make(folder, "-n", "test").stdout


def test_ci_runs_what_the_readme_names():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text(encoding="utf-8")
    assert "\nmake test test-integration\n" in text
    assert "\nmake lint types\nmake docs\n" in text
    assert "pytest -m browser -rs tests/browser" in text
    subprocess.run(["bash", "-n", script], check=True)
    workflow = YAML(typ="safe", pure=True).load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    commands = [step.get("run") for step in workflow["jobs"]["ci"]["steps"]]
    assert {"make test", "make docs", "make repro"} <= set(commands)
    assert workflow["jobs"]["ci"]["strategy"]["matrix"]["python"] == ["3.11", "3.12"]


def test_ci_leaves_nothing_behind_when_it_fails(tmp_path):
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    (tmp_path / "Makefile").write_text("install:\n\tmkdir $(VENV)\nlint types:\n\ttrue\ntest:\n\tfalse\n")
    before = sorted(tmp_path.iterdir())
    done = subprocess.run([tmp_path / ".ci" / "run"], capture_output=True, check=False)
    assert done.returncode == 2
    assert sorted(tmp_path.iterdir()) == before


def test_dvc_calls_nobody():
    config = (ROOT / ".dvc" / "config").read_text(encoding="utf-8")
    assert "analytics = false" in config
    assert "check_update = false" in config


def test_dvc_does_not_count_bytecode_as_code():
    # A stage that depends on a folder of code would run again after every import otherwise.
    assert "__pycache__/" in (ROOT / ".dvcignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("path", ["src/losstune/losses/nce.py", "tests/losses/test_nce.py"])
def test_the_loss_that_contributing_shows_is_the_one_that_is_there(path):
    shown = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"`{path}`\n\n```python\n{(ROOT / path).read_text(encoding='utf-8')}```\n" in shown
