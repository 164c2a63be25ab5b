"""The cache is never stale: each stage depends on all the code it runs."""

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from losstune.config.load import load_params
from losstune.config.matrix import load_matrix
from losstune.core.sources import LOSSTUNE, modules_of_stage
from losstune.stages.cell_names import check_cell
from tests.paths import REPOSITORY

ROOT = REPOSITORY
DVC_YAML = ROOT / "dvc.yaml"
STAGES = ("prepare", "features", "tune", "confirm", "report")


@pytest.fixture(scope="module")
def stages() -> dict[str, dict]:
    return YAML(typ="safe", pure=True).load(DVC_YAML.read_text(encoding="utf-8"))["stages"]


def paths(items: list) -> list[str]:
    """Return the paths of deps or outs, which are texts or maps from a path to its settings."""
    return [item if isinstance(item, str) else next(iter(item)) for item in items]


def test_the_stages_are_these(stages):
    assert tuple(stages) == (*STAGES, "study", "across")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_its_command(stages, stage):
    assert stages[stage]["cmd"] == f"losstune {stage}"
    assert "wdir" not in stages[stage], "the paths below are relative to the study's folder"


def code_of(stages: dict[str, dict], stage: str) -> list[Path]:
    return [ROOT / path for path in paths(stages[stage]["deps"]) if path.startswith("src/")]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_code_it_runs(stages, stage):
    listed = code_of(stages, stage)
    files = {LOSSTUNE.modules[module] for module in modules_of_stage(stage)}
    missing = [file for file in files if not any(file.is_relative_to(path) for path in listed)]
    assert not missing, f"stage {stage}: add to its deps in dvc.yaml what it runs"


@pytest.mark.parametrize("stage", STAGES)
def test_the_deps_are_few_and_there(stages, stage):
    listed = code_of(stages, stage)
    assert len(listed) <= 8
    assert all(path.exists() for path in listed)


def test_prepare_depends_on_no_code_that_trains(stages):
    # Data may take hours to decode: a change of the report must not read it again.
    files = {LOSSTUNE.modules[module] for module in modules_of_stage("prepare")}
    for path in code_of(stages, "prepare"):
        assert any(file.is_relative_to(path) for file in files), f"prepare doesn't run {path}"
    assert not {
        module for module in modules_of_stage("prepare") if module.startswith(("losstune.losses", "losstune.training"))
    }


def test_the_file_is_short():
    assert len(DVC_YAML.read_text(encoding="utf-8").splitlines()) <= 160


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_what_earlier_ones_made(stages, stage):
    made = {
        path: earlier
        for earlier in STAGES[: STAGES.index(stage)]
        for path in paths(stages[earlier].get("outs", []) + stages[earlier].get("metrics", []))
    }
    for path in paths(stages[stage]["deps"]):
        if not path.startswith("src/"):
            known = any(Path(path).is_relative_to(out) or Path(out).is_relative_to(path) for out in made)
            # What no stage makes comes from outside: raw data, for the first stage alone.
            assert known or stage == "prepare", f"stage {stage} depends on {path}, which no earlier stage makes"
    if stage != "prepare":
        assert any(not path.startswith("src/") for path in paths(stages[stage]["deps"]))


def test_every_section_of_the_params_reaches_a_stage(stages):
    sections = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    reached = {str(name).partition(".")[0] for stage in STAGES for name in stages[stage].get("params", [])}
    # `resources` changes how long a study takes and `tracking` where it is shown: neither changes a result.
    assert reached == set(sections) - {"resources", "tracking"}
    assert set(stages["study"]["params"][0]["params.yaml"]) == set(sections) - {"resources", "tracking"}


def test_a_study_of_the_matrix_depends_on_what_the_first_study_depends_on(stages):
    assert stages["study"]["deps"] == ["${data.root}", "src/losstune"]
    assert stages["study"]["params"][1:] == [
        {"matrix.yaml": ["matrix.data.${item.data}", "matrix.model.${item.model}"]}
    ]
    cells = load_matrix(load_params(ROOT / "params.yaml"), ROOT / "matrix.yaml")
    assert stages["across"]["deps"] == ["results.json", *(cell.folder.as_posix() for cell in cells), "src/losstune"]


def test_a_study_of_the_matrix_has_the_outs_of_the_first_study_in_its_folder(stages):
    def outs(names: Iterable[str], *, in_git: bool) -> list[Path]:
        items = [item for name in names for item in (*stages[name]["outs"], *stages[name].get("metrics", []))]
        return [Path(path) for item in items for path in paths([item]) if in_git == (not isinstance(item, str))]

    folder = Path("studies/${item.data}-${item.model}")
    assert {folder / out for out in outs(STAGES, in_git=True)} == set(outs(["study"], in_git=True))
    cached = outs(["study"], in_git=False)
    for out in outs(STAGES, in_git=False):
        assert any((folder / out).is_relative_to(one) for one in cached), out


def test_the_matrix_is_one_of_wrong_labels():
    (cell,) = load_matrix(load_params(ROOT / "params.yaml"), ROOT / "matrix.yaml")
    check_cell(cell)
    assert cell.name == "noisy_digits-cnn"
    assert cell.params.data.label_noise == 0.4
    assert cell.params.data.noisy_splits == ("train",)


def test_no_two_stages_write_to_one_place(stages):
    written = [
        path
        for stage in stages.values()
        for kind in ("outs", "metrics", "plots")
        for path in paths(stage.get(kind, []))
    ]
    assert len(written) == len(set(written))


def test_dvc_accepts_the_file(tmp_path):
    for name in ("dvc.yaml", "matrix.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--quiet", "--no-scm"], cwd=tmp_path, check=True, timeout=60)
    listed = subprocess.run([*dvc, "dag"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert listed.returncode == 0, listed.stderr
    assert all(stage in listed.stdout for stage in (*STAGES, "study@noisy_digits-cnn", "across"))
