import json
import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from losstune.config.load import parse_params
from losstune.core.errors import LosstuneError
from losstune.stages import fingerprint
from tests.commands import clean_environment, losstune
from tests.own_repository import SMALL, write_own_code, write_photos, write_settings
from tests.paths import REPOSITORY

STAGES = ("prepare", "features", "tune", "confirm", "report")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_own_code(tmp_path)
    write_photos(tmp_path / "photos")
    write_settings(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fingerprints(folder, values=SMALL):
    return fingerprint.fingerprints(parse_params(dict(values)), folder, with_data=True)


def changed(before, after):
    return {stage for stage in STAGES if before[stage] != after[stage]}


def test_a_stage_depends_on_the_settings_that_the_pipeline_of_this_repository_names():
    stages = YAML(typ="safe", pure=True).load((REPOSITORY / "dvc.yaml").read_text())["stages"]
    assert {name: tuple(stages[name]["params"]) for name in STAGES} == fingerprint.SETTINGS


def test_the_command_writes_a_file_per_stage(folder):
    losstune(folder, "fingerprint", "--data")
    found = {stage: json.loads((folder / f"fingerprints/{stage}.json").read_text()) for stage in STAGES}
    assert found == fingerprints(folder)
    assert found["prepare"]["data"]["files"] == 30
    assert found["prepare"]["own code"] == {}
    assert set(found["tune"]["own code"]) == {"model.name", "losses.tilted"}
    assert found["tune"]["settings"]["training"]["batch_size"] == 64, "a default is written out"
    losstune(folder, "fingerprint")
    assert "data" not in json.loads((folder / "fingerprints/prepare.json").read_text())


def test_it_needs_neither_pytorch_nor_what_else_is_slow(folder):
    script = (
        "import sys; from losstune.cli.main import main; main(['fingerprint', '--data']); "
        "print(*sys.modules.keys() & {'torch', 'sklearn', 'scipy', 'ray', 'mlflow', 'matplotlib', 'dvc', 'numpy'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=clean_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() in ("", "numpy")


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("losstune.losses.focal", {"tune", "confirm", "report"}),
        ("losstune.training.loop", {"tune", "confirm", "report"}),
        ("losstune.data.npz", {"prepare"}),
        ("losstune.report.page", {"report"}),
        ("losstune.cli.main", set(STAGES)),
    ],
)
def test_a_change_of_losstunes_code_changes_the_stages_that_run_it(folder, monkeypatch, module, stages):
    before, digest_of = fingerprints(folder), fingerprint.LOSSTUNE.module_digest

    class Changed:
        @staticmethod
        def module_digest(name):
            return "changed" if name == module else digest_of(name)

    monkeypatch.setattr(fingerprint, "LOSSTUNE", Changed)
    after = changed(before, fingerprints(folder))
    assert after >= stages
    assert module == "losstune.data.npz" or ("prepare" in after) == ("prepare" in stages)


def test_a_new_version_changes_every_stage(folder, monkeypatch):
    before = fingerprints(folder)
    monkeypatch.setattr(fingerprint, "__version__", "99.0")
    assert changed(before, fingerprints(folder)) == set(STAGES)


def test_a_loader_of_ones_own_concerns_prepare_alone(folder):
    loader = folder / "my_data.py"
    loader.write_text("def load():\n    return 1\n")
    values = SMALL | {"data": {"name": "my_data.py:load"}}
    before = fingerprints(folder, values)
    assert set(before["prepare"]["own code"]) == {"data.name"}
    loader.write_text("def load():\n    return 2\n")
    assert changed(before, fingerprints(folder, values)) == {"prepare"}
    named = fingerprints(folder, SMALL | {"data": {"name": "my_data.py:load", "root": "photos"}})
    assert named["prepare"]["data"]["files"] == 30


@pytest.mark.parametrize("change", ["renamed", "removed", "longer", "newer"])
def test_the_datas_files_count(folder, change):
    before, photo = fingerprints(folder), folder / "photos/class0/0.png"
    if change == "renamed":
        photo.rename(photo.with_name("x.png"))
    elif change == "removed":
        photo.unlink()
    elif change == "longer":
        photo.write_bytes(photo.read_bytes() + b" ")
    else:
        photo.write_bytes(bytes(reversed(photo.read_bytes())))
    assert changed(before, fingerprints(folder)) == {"prepare"}


def test_one_file_and_no_file(folder):
    values = SMALL | {"data": {"name": "npz", "root": "photos/class0/0.png"}}
    assert fingerprints(folder, values)["prepare"]["data"]["files"] == 1
    assert fingerprints(folder, SMALL | {"data": {"name": "npz", "root": "none.npz"}})["prepare"]["data"] is None


def test_a_reference_that_leads_nowhere_is_a_mistake(folder):
    with pytest.raises(LosstuneError, match=r"^model\.name: found 'my_model\.py:build', but .* did you mean"):
        fingerprints(folder, SMALL | {"model": {"name": "my_model.py:build"}})
