"""``losstune init``: what it chooses, writes, keeps and refuses."""

import re

import numpy as np
import pytest
from ruamel.yaml import YAML

from losstune.config.load import load_params
from losstune.core.errors import LosstuneError
from losstune.losses.tools.sets import SETS, losses_of
from losstune.stages import init as stage
from losstune.stages.init import IGNORED
from tests.commands import losstune
from tests.inputs.project import changes_between, snapshot
from tests.own_repository import LAYERS, MODEL, commit, dvc, git, write_photos
from tests.paths import REPOSITORY


@pytest.fixture
def folder(tmp_path):
    """A Git repository with photos of three classes."""
    folder = tmp_path / "my birds"
    folder.mkdir()
    git(folder, "init", "-q")
    write_photos(folder / "photos")
    return folder


def init(folder, *arguments):
    return " ".join(losstune(folder, "init", *arguments).stdout.split())


def refused(folder, *arguments):
    """Run a command that has to end in one line, with exit code 2 and nothing written; return the line."""
    before = snapshot(folder)
    done = losstune(folder, "init", *arguments, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert changes_between(before, snapshot(folder)) == []
    return done.stderr.removeprefix("losstune: ").strip()


def read(path):
    return YAML(typ="safe", pure=True).load(path.read_text())


def test_a_study_is_a_few_lines_and_says_what_it_is(folder):
    said = init(folder, "photos")
    assert "data photos: 3 classes: class0, class1, class2 30 images, 10 per class" in said
    assert "wrote params.yaml, dvc.yaml, .gitignore, .dvcignore, .dvc" in said
    # 1.5 x (12 losses x (2 searches x 12 trials + 9 blocks) + 9 controls), in hundreds.
    assert "cost at most 700 trainings of 15 epochs each; " in said
    assert "Initialized DVC" not in said
    assert "tracking neither Git nor DVC tracks photos" in said
    assert said.endswith(
        'next git add params.yaml dvc.yaml .gitignore .dvcignore .dvc git commit -m "A study of losses" dvc repro'
    )
    assert read(folder / "params.yaml") == {
        "study": {"name": "my-birds"},
        "data": {"name": "imagefolder", "root": "photos"},
        "budget": {"trainings": 700},
        "losses": list(losses_of("screen")),
    }
    assert len((folder / "params.yaml").read_text().splitlines()) <= 12
    assert losstune(folder, "check").returncode == 0
    assert "no_scm" not in (folder / ".dvc/config").read_text()
    assert (folder / ".gitignore").read_text().splitlines()[1:] == list(IGNORED)
    commit(folder)
    assert "tune" in dvc(folder, "dag")


def test_the_number_of_trainings_is_that_of_check(folder):
    said = init(folder, "photos", "--losses", "robust")
    number = int(re.search(r"cost at most ([\d,]+) trainings", said)[1].replace(",", ""))
    checked = " ".join(losstune(folder, "check").stdout.split())
    tuned = int(re.search(r"for each of \d+ losses = ([\d,]+) trainings", checked)[1].replace(",", ""))
    assert f"in rounds: at most {number - tuned:,} trainings" in checked
    assert f"budget {number:,} trainings protocol pooled" in checked


def test_the_pipeline_is_that_of_this_repository_with_fingerprints_for_code_and_settings(folder):
    init(folder, "photos")
    written, ours = (read(path / "dvc.yaml")["stages"] for path in (folder, REPOSITORY))
    fingerprint = written.pop("fingerprint")
    assert fingerprint["always_changed"] is True
    assert list(written) == [name for name in ours if name not in ("study", "across")]  # of a matrix
    for name, found in written.items():
        assert found["deps"][0] == f"fingerprints/{name}.json"
        assert f"fingerprints/{name}.json" in fingerprint["outs"]
        outside = [dep for dep in ours[name]["deps"] if not dep.startswith("src/") and dep != "${data.root}"]
        assert found["deps"][1:] == outside
        for key in ("cmd", "desc", "outs", "metrics"):
            assert found.get(key) == ours[name].get(key)


@pytest.mark.parametrize(("by", "command"), [("git", "losstune fingerprint"), ("dvc", "losstune fingerprint")])
def test_data_that_is_tracked_is_a_dependency(folder, by, command):
    if by == "git":
        git(folder, "add", "photos")
    else:
        dvc(folder, "init", "-q")
        dvc(folder, "add", "-q", "photos")
    assert "tracking" not in init(folder, "photos").split()
    stages = read(folder / "dvc.yaml")["stages"]
    assert stages["fingerprint"]["cmd"] == command
    assert "${data.root}" in stages["prepare"]["deps"]


def test_options_are_written_down(folder):
    init(folder, "photos", "--model", "resnet", "--losses", "imbalanced")
    params = load_params(folder / "params.yaml")
    assert params.model.name == "resnet"
    assert params.losses == losses_of("imbalanced")
    assert params.tune.metric == "balanced_accuracy"


def test_features_get_a_network_for_features(folder):
    np.savez(folder / "a.npz", x=np.zeros((30, 7)), y=np.arange(30) % 3)
    init(folder, "a.npz")
    params = load_params(folder / "params.yaml")
    assert (params.data.name, params.data.root, params.model.name) == ("npz", "a.npz", "mlp")


def test_soft_labels_train_the_losses_that_were_chosen(folder):
    """`dvc repro` would else end after `prepare`, at a setting that init wrote."""
    shares = np.full((30, 3), 0.1) + 0.7 * np.eye(3)[np.arange(30) % 3]
    np.savez(folder / "a.npz", x=np.zeros((30, 7)), y=shares)
    assert "labels losses that take one class for each sample get its likeliest class" in init(folder, "a.npz")
    assert load_params(folder / "params.yaml").training.soft_labels == "mode_if_needed"
    losstune(folder, "prepare")
    shown = " ".join(losstune(folder, "check").stdout.split())
    assert "labels bi_tempered" not in shown
    assert "gce" in shown[shown.index("labels") :]
    hard = folder / "hard"
    hard.mkdir()
    np.savez(hard / "a.npz", x=np.zeros((30, 7)), y=np.arange(30) % 3)
    init(hard, "a.npz")
    assert "soft_labels" not in (hard / "params.yaml").read_text()


def test_unequal_classes_get_a_hint(folder):
    for number in range(5):
        (folder / f"photos/class0/{number}.png").unlink()
    write_photos(folder / "photos", classes=1, per_class=3)
    for number in range(3, 10):
        (folder / f"photos/class0/{number}.png").unlink(missing_ok=True)
    assert "classes they are unequal: `--losses imbalanced`" in init(folder, "photos")
    assert "they are unequal" not in init(folder, "photos", "--losses", "imbalanced")


def test_a_model_and_a_loader_of_ones_own(folder):
    (folder / "my_models.py").write_text(MODEL)
    (folder / "layers.py").write_text(LAYERS)
    (folder / "my_data.py").write_text("def load():\n    pass\n")
    init(folder, "my_data.py:load", "--model", "my_models.py:build")
    params = load_params(folder / "params.yaml")
    assert (params.data.name, params.model.name) == ("my_data.py:load", "my_models.py:build")
    stages = read(folder / "dvc.yaml")["stages"]
    assert stages["fingerprint"]["cmd"] == "losstune fingerprint --data"
    assert "${data.root}" not in stages["prepare"]["deps"]


@pytest.mark.parametrize("written", ["photos", "./photos/", "{folder}/photos"])
def test_a_path_inside_is_relative(folder, written):
    init(folder, written.format(folder=folder))
    assert load_params(folder / "params.yaml").data.root == "photos"


def test_a_path_outside_is_as_written(folder, tmp_path):
    (folder / "photos").rename(tmp_path / "photos")
    init(folder, "../photos/")
    assert load_params(folder / "params.yaml").data.root == "../photos"
    (folder / "params.yaml").unlink()
    init(folder, str(tmp_path / "photos"))
    assert load_params(folder / "params.yaml").data.root == str(tmp_path / "photos")


def test_a_second_run_writes_nothing_and_says_what_differs(folder):
    init(folder, "photos")
    before = snapshot(folder)
    said = init(folder, "photos")
    assert "kept params.yaml, which is as init would write it kept dvc.yaml, which is as init would write it" in said
    with (folder / "params.yaml").open("a") as file:
        file.write("training: {epochs: 3}\n")
    before = snapshot(folder)
    done = losstune(folder, "init", "photos", "--model", "mlp").stdout
    assert changes_between(before, snapshot(folder)) == []
    assert "kept      params.yaml, which differs from what init would write:" in done
    assert "          -training: {epochs: 3}\n" in done
    assert "          +  name: mlp\n" in done
    assert "of 3 epochs each" in done, "the cost is that of the settings that are there"


def test_what_is_missing_is_written_again(folder):
    init(folder, "photos")
    text = (folder / "dvc.yaml").read_text()
    (folder / "dvc.yaml").unlink()
    assert "wrote dvc.yaml kept params.yaml" in init(folder, "photos")
    assert (folder / "dvc.yaml").read_text() == text


def test_lines_are_added_to_the_ignore_files_that_are_there(folder):
    (folder / ".gitignore").write_text("/photos\nmlruns\n")
    init(folder, "photos")
    lines = (folder / ".gitignore").read_text().splitlines()
    assert lines[:2] == ["/photos", "mlruns"]
    assert "mlruns/" not in lines
    assert ".losstune/" in lines


def test_a_subfolder_of_a_git_repository_has_its_own_dvc(folder):
    study = folder / "studies" / "one"
    study.mkdir(parents=True)
    init(study, "../../photos")
    assert (study / ".dvc").is_dir()
    assert not (folder / ".dvc").exists()
    assert dvc(study, "root").strip() == "."


def test_a_subfolder_of_a_dvc_repository_uses_that(folder):
    dvc(folder, "init", "-q")
    study = folder / "one"
    study.mkdir()
    said = init(study, "../photos")
    assert not (study / ".dvc").exists()
    assert ".losstune/" in (folder / ".gitignore").read_text()
    assert "next git add params.yaml dvc.yaml ../.gitignore ../.dvcignore ../.dvc" in said


@pytest.mark.parametrize("options", [(), ("--no-scm",)])
def test_without_git(tmp_path, folder, options):
    study = folder if options else tmp_path
    write_photos(tmp_path / "photos")
    said = init(study, "photos", *options)
    assert "no_scm = True" in (study / ".dvc/config").read_text()
    assert not (study / ".gitignore").exists()
    assert said.endswith("next dvc repro")


def test_dvc_calls_nobody(folder):
    init(folder, "photos")
    config = (folder / ".dvc/config").read_text()
    assert "analytics = False" in config
    assert "check_update = False" in config


MISTAKES = [
    (("none",), "none: no such file or folder, and no data set of that name"),
    (
        ("photos", "--losses", "rubust"),
        "--losses: found 'rubust', expected one of screen, robust, imbalanced, all; did",
    ),
    (("photos", "--model", "restnet"), "--model: unknown model 'restnet', expected linear, mlp, cnn"),
    (("photos", "--model", "torchvision:resnet81"), "--model: torchvision has no classification model 'resnet81'"),
    (("photos", "--model", "my_models.py:build"), "--model: found 'my_models.py:build', but"),
    (("photos/class0",), "data.root: found no class folders in"),
    ((".",), ".: the study writes data/prepared into it; expected the data in a folder of its own"),
    (("data",), "data: the study writes data/prepared into it"),
    (("..",), "..: the study writes data/prepared into it"),
    (("photos", "more"), "Got unexpected extra argument (more)"),
    (("photos/class0/0.png",), "photos/class0/0.png: found a PNG image; expected a folder of images or an .npz file"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[message[:40] for _, message in MISTAKES])
def test_a_mistake_is_one_line(folder, arguments, message):
    (folder / "data").mkdir()
    assert refused(folder, *arguments).startswith(message)


def test_features_and_a_network_for_images(folder):
    np.savez(folder / "a.npz", x=np.zeros((30, 7)), y=np.arange(30) % 3)
    line = refused(folder, "a.npz", "--model", "resnet")
    assert line.startswith("--model: 'resnet' takes images, found samples of 7 features")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("params.yaml", "lr: 3\n", "params.yaml: exists, and is no study's (unknown key 'lr'"),
        ("params.yaml", "", "params.yaml: exists, and is no study's (found nothing"),
        (
            "dvc.yaml",
            "stages: {train: {cmd: python train.py}}\n",
            "dvc.yaml: exists, and has other stages than a study",
        ),
    ],
)
def test_another_projects_files_are_left_alone(folder, name, text, message):
    (folder / name).write_text(text)
    line = refused(folder, "photos")
    assert line.startswith(message)
    assert line.endswith("run `losstune init` in a folder of its own, such as losstune/")


def test_inside_a_stage_of_dvc(folder, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "one")
    with pytest.raises(LosstuneError, match="found itself in the DVC stage 'one'; expected to be run by hand, once"):
        list(stage.run(folder, "photos", None, "screen", no_scm=False))


def test_help_names_every_set(folder):
    said = " ".join(losstune(folder, "init", "--help").stdout.split())
    assert ", ".join([*SETS][:-1]) in said
