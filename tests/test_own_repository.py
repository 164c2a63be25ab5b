"""A study in a repository of the user's own: DVC runs again what changed, and only that, in every mode of DVC."""

import json
import shutil
import subprocess
import time

import pytest

from tests.commands import losstune
from tests.own_repository import (
    LAYERS,
    LOSS,
    MODEL,
    commit,
    dvc,
    git,
    lay_out,
    reproduced,
    write_photos,
    write_settings,
)

pytestmark = pytest.mark.integration

LOSSES = ["cross_entropy", "kl_divergence"]
TRAINED = {"tune", "confirm", "report"}
AFTER_DATA = TRAINED | {"features"}
ALL = AFTER_DATA | {"prepare"}


@pytest.fixture
def repository(tmp_path, tmp_path_factory):
    return reproduced(tmp_path_factory, tmp_path)


def out_of_date(folder, *options):
    """Return the stages that DVC would run again, apart from the one that always runs."""
    losstune(folder, "fingerprint", *(options or ("--data",)))
    return set(json.loads(dvc(folder, "status", "--json"))) - {"fingerprint"}


def edit(name, text):
    return lambda folder: (folder / name).write_text(text, encoding="utf-8")


def settings(**changes):
    return lambda folder: write_settings(
        folder, {"data.root": "../photos"} | {key.replace("__", "."): value for key, value in changes.items()}
    )


CHANGES = {
    "nothing": (lambda folder: None, set()),
    "a file that nothing imports": (edit("notebook.py", "import my_models\n"), set()),
    "a comment in the model": (edit("my_models.py", f"# a comment\n{MODEL}"), set()),
    "the model": (edit("my_models.py", MODEL.replace("nn.Flatten()", "nn.Flatten(1)")), AFTER_DATA),
    "what the model imports": (edit("layers.py", LAYERS.replace("ReLU", "Tanh")), AFTER_DATA),
    "the loss": (edit("my_losses.py", LOSS.replace("0.1", "0.2")), TRAINED),
    "a photo": (lambda folder: write_photos(folder.parent / "photos", per_class=11), {"prepare"}),
    "a setting of data": (settings(data__validation_fraction=0.3), ALL),
    "a setting of the training": (settings(training__batch_size=16), AFTER_DATA),
    "a setting of the search": (settings(tune__trials_per_loss=3), TRAINED),
    "a setting of the confirmation": (settings(confirm__num_blocks=4), {"confirm", "report"}),
    "a setting of the verdict": (settings(report__alpha=0.1), {"confirm", "report"}),
    "a default written out": (settings(training__batch_size=64, report__alpha=0.05), set()),
    "what changes no result": (settings(resources__max_concurrent=2, tracking__experiment="other"), set()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_stage_is_out_of_date_when_what_it_depends_on_changed(repository, change):
    apply, stages = CHANGES[change]
    apply(repository)
    assert out_of_date(repository) == stages


def test_a_study_ends_in_a_verdict_and_is_then_up_to_date(repository):
    assert json.loads((repository / "results.json").read_text())["verdict"]["sentence"]
    said = dvc(repository, "repro")
    assert [line for line in said.splitlines() if line.startswith("Running stage")] == ["Running stage 'fingerprint':"]


def test_a_longer_search_keeps_what_is_finished_and_another_model_does_not(repository):
    settings(tune__trials_per_loss=3)(repository)
    said = dvc(repository, "repro", "tune")
    assert "Stage 'prepare' didn't change, skipping" in said
    assert "tune: kept 12, to train 6" in said
    edit("layers.py", LAYERS.replace("ReLU", "Tanh"))(repository)
    assert "tune: kept 0, to train 18" in dvc(repository, "repro", "tune")
    edit("layers.py", LAYERS)(repository)
    # The outputs of an earlier run are in DVC's cache, with the fingerprint that they belong to.
    assert "Stage 'tune' is cached" in dvc(repository, "repro", "tune")


def test_a_comparison_of_two_revisions_names_the_users_code_that_differs(repository):
    git(repository, "tag", "before")
    edit("my_losses.py", LOSS.replace("0.1", "0.2"))(repository)
    settings(training__batch_size=64)(repository)  # the default
    dvc(repository, "repro")
    commit(repository)
    said = " ".join(losstune(repository, "compare", "before", "HEAD").stdout.split())
    assert "settings: the same" in said
    assert "code of a training: differs in your own code of losses.tilted" in said
    assert "identical to the bit for cross_entropy" in said


def test_another_loss_of_ones_own_trains_that_loss_alone(repository):
    edit("my_losses.py", LOSS.replace("0.1", "0.2"))(repository)
    assert "tune: kept 8, to train 4" in dvc(repository, "repro", "tune")


def test_a_temporary_copy_of_the_work_tree_finds_data_beside_the_repository(repository):
    said = dvc(repository, "exp", "run", "--temp", "-n", "other", "-S", "++data.validation_fraction=0.3")
    assert "Running stage 'prepare'" in said
    assert "tune: kept 0, to train 12" in said
    assert dvc(repository, "exp", "list", "--name-only").split()[-1] == "other"
    # The ledger is that of the repository: the same study in the work tree trains nothing.
    settings(data__validation_fraction=0.3)(repository)
    assert "tune: kept 12, to train 0" in dvc(repository, "repro", "--no-run-cache", "tune")


@pytest.mark.slow
@pytest.mark.parametrize("data", ["photos", "../photos", "tracked"])
@pytest.mark.parametrize("mode", ["", "--temp", "--queue"])
def test_an_experiment_runs_in_every_mode(tmp_path, data, mode):
    folder = tmp_path / "repository"
    if data == "tracked":
        lay_out(folder, "photos")
        (folder / ".gitignore").write_text("")
        dvc(folder, "add", "photos")
        (folder / "dvc.yaml").unlink()
        losstune(folder, "init", "photos")
        assert "${data.root}" in (folder / "dvc.yaml").read_text()
    else:
        lay_out(folder, data)
    commit(folder)
    dvc(folder, "repro")
    commit(folder)
    options = [mode] if mode else []
    said = dvc(folder, "exp", "run", *options, "-n", "longer", "-S", "tune.trials_per_loss=3")
    if mode == "--queue":
        dvc(folder, "queue", "start")
        said = queue_ended(folder)
    assert "Stage 'prepare' didn't change, skipping" in said
    assert "tune: kept 12, to train 6" in said
    shown = json.loads(dvc(folder, "exp", "show", "--json"))
    assert "longer" in json.dumps(shown)


def queue_ended(folder):
    """Wait for the queue's experiment and its worker; return what it said."""
    until = time.time() + 200
    while time.time() < until:
        status = dvc(folder, "queue", "status")
        assert "Failed" not in status, dvc(folder, "queue", "logs", "longer")
        if "Success" in status:
            said = dvc(folder, "queue", "logs", "longer")
            dvc(folder, "queue", "stop", "--kill")
            return said
        time.sleep(1)
    raise AssertionError(status)


@pytest.mark.slow
def test_a_clone_with_the_outputs_is_up_to_date(repository, tmp_path):
    remote = tmp_path / "remote"
    dvc(repository, "remote", "add", "-d", "here", str(remote))
    dvc(repository, "push")
    commit(repository)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(repository), str(clone)], check=True)
    dvc(clone, "pull")
    said = dvc(clone, "repro")
    assert [line for line in said.splitlines() if line.startswith("Running stage")] == ["Running stage 'fingerprint':"]


def test_a_study_in_a_subfolder_and_one_without_git(tmp_path):
    mono = lay_out(tmp_path / "mono")
    shutil.rmtree(mono / ".dvc")
    study = mono / "teams" / "birds"
    study.mkdir(parents=True)
    losstune(study, "init", "../../photos")
    assert (study / ".dvc").is_dir()
    assert not (mono / ".dvc").exists()
    outside = tmp_path / "outside"
    outside.mkdir()
    losstune(outside, "init", "../mono/photos")
    assert "no_scm = True" in (outside / ".dvc" / "config").read_text()
    for folder, root in ((study, "../../photos"), (outside, "../mono/photos")):
        write_settings(folder, {"data.root": root, "model": {"name": "mlp", "width": 4, "depth": 1}, "losses": LOSSES})
        dvc(folder, "repro", "prepare")
        assert out_of_date(folder) == AFTER_DATA
