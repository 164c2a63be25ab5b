"""``losstune advise`` and ``losstune advice add``, and what ``losstune init`` makes of them."""

import json
import runpy
import shutil

import pytest
from ruamel.yaml import YAML

from losstune.advice import database
from losstune.core.errors import LosstuneError
from losstune.losses.tools.sets import CONTROL, losses_of
from losstune.stages import advise as stage
from losstune.stages.advice_add import verdicts_in
from tests.advice.made_up import data, noise, verdict
from tests.commands import losstune
from tests.paths import REPOSITORY
from tests.test_pipeline import SMALL, write_params

NOISY = REPOSITORY / "studies" / "noisy_digits-cnn"
LIKE_DIGITS = {"num_classes": 10, "num_train": 1150}
GAINS = {"gce": 3.0, "apl": 2.0, "focal": 0.1, "square": 0.0, "poly1": -0.2, "sigmoid_bce": 0.1, "js": 0.3}
GAINS |= {"mae": -20.0}


def past(changes=()):
    return [
        verdict(loss, f"study {number}", points=gain, data=data(f"set{number % 3}", **LIKE_DIGITS, **dict(changes)))
        for number in range(6)
        for loss, gain in GAINS.items()
    ]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The user's own database, with studies like digits; and none that is shipped."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(database, "shipped", lambda: ())
    database.add(database.own_path(), past())
    return database.own_path()


def said(folder, *arguments):
    return " ".join(losstune(folder, *arguments).stdout.split())


def refused(folder, *arguments):
    done = losstune(folder, *arguments, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("losstune: ").strip()


def test_advice_is_in_plain_words_with_the_evidence(tmp_path, own):
    text = said(tmp_path, "advise", "digits")
    assert "data digits: images, 10 classes" in text
    assert "no wrong labels assumed (--noise)" in text
    assert "6 studies in the database; 6 studies like this (set0, set1, set2)" in text
    assert "try gce: 6 studies like this: better in 6; expected +" in text
    assert "mae: 6 studies like this: worse in 6; expected -" in text
    losses = text.partition("losses: [")[2].rstrip("]").split(", ")
    assert losses[:2] == list(CONTROL)
    assert text.index("try gce") < text.index("skip ") < text.index("mae: 6 studies")
    assert {"gce", "apl"} < set(losses)
    assert "mae" not in losses
    assert len(losses) == 2 + 6
    assert YAML(typ="safe").load(f"losses: [{', '.join(losses)}]") == {"losses": losses}


def test_the_noise_that_the_user_assumes_counts(tmp_path, own):
    text = said(tmp_path, "advise", "digits", "--noise", "0.4")
    assert "40% wrong labels assumed" in text
    assert "0 studies like this too little for advice" in text
    noisy = past([("noise", noise(0.4))])
    database.add(own, [one.model_copy(update={"source": f"noisy {one.source}"}) for one in noisy])
    assert "6 studies like this" in said(tmp_path, "advise", "digits", "--noise", "0.4")


def test_a_cell_of_a_matrix_has_the_settings_of_the_matrix(tmp_path, own):
    assert "40% wrong labels (symmetric)" in said(tmp_path, "advise", str(NOISY))


def test_with_little_evidence_it_says_so_and_shows_the_screen(tmp_path, own):
    own.unlink()
    text = said(tmp_path, "advise", "digits")
    assert "0 studies in the database; 0 studies like this too little for advice" in text
    assert text.endswith(f"losses: [{', '.join(losses_of('screen'))}]")


def test_another_database_may_be_named(tmp_path, own):
    shutil.move(own, tmp_path / "more.jsonl")
    assert "try gce" in said(tmp_path, "advise", "digits", "--from", "more.jsonl")
    (tmp_path / "more.jsonl").write_text("{}\n")
    assert refused(tmp_path, "advise", "digits", "--from", "more.jsonl").startswith("more.jsonl: line 1: ")


def test_a_database_of_someone_else_names_no_unknown_loss(tmp_path, own):
    red = "\x1b[31mred"
    coloured = data(red, **LIKE_DIGITS)
    database.add(own, [verdict(red, f"study {number}", points=9.0, data=coloured) for number in range(9)])
    text = said(tmp_path, "advise", "digits")
    assert "\x1b" not in text
    assert "red:" not in text


def test_a_study_of_its_own_needs_no_preparation(tmp_path, own):
    write_params(tmp_path, SMALL | {"data.label_noise": 0.2})
    assert "data digits: images" in said(tmp_path, "advise")
    assert "20% wrong labels assumed" in said(tmp_path, "advise")
    losstune(tmp_path, "prepare")
    assert "1,150 training samples; 20% wrong labels (symmetric)" in said(tmp_path, "advise")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "params.yaml: no such file; expected a study in this folder, or data as PATH"),
        (["nowhere"], "nowhere: no such file or folder"),
        (["digits", "--noise", "1.5"], "--noise: found 1.5, expected a share of wrong labels in [0, 1)"),
        (["MNIST"], "MNIST: its classes and samples are known once it is read; expected a study's folder after"),
        (["digits", "--from", "nowhere.jsonl"], "nowhere.jsonl: no such file"),
    ],
)
def test_one_line_for_a_mistake(tmp_path, arguments, message):
    assert refused(tmp_path, "advise", *arguments).startswith(message)


def test_init_follows_the_advice_where_there_is_enough(tmp_path, own):
    folder = tmp_path / "study"
    folder.mkdir()
    text = said(folder, "init", "digits", "--no-scm")
    assert "losses advised by 6 studies like this (set0, set1, set2): cross_entropy, kl_divergence, gce" in text
    written = YAML(typ="safe").load((folder / "params.yaml").read_text())["losses"]
    assert f"[{', '.join(written)}]" in said(folder, "advise", "digits")
    assert said(folder, "check").startswith("params.yaml is valid.")


@pytest.mark.parametrize("arguments", [[], ["--losses", "screen"]])
def test_init_uses_the_screen_without_evidence_or_by_name(tmp_path, own, arguments):
    folder = tmp_path / "study"
    folder.mkdir()
    if not arguments:
        own.unlink()
    assert f"losses screen, a dozen unlike losses, for any network: {', '.join(losses_of('screen'))}" in said(
        folder, "init", "digits", "--no-scm", *arguments
    )


def test_a_study_is_added_once(tmp_path, own):
    number = len(database.read(own))
    for _ in range(2):
        assert f"added 8 verdicts; {own} has {number + 8}" in said(tmp_path, "advice", "add", str(NOISY))
    added = [one for one in database.read(own) if one.source == "digits-cnn-noisy_digits-cnn"]
    assert added == verdicts_in(NOISY)
    results = json.loads((NOISY / "results.json").read_text())
    assert [one.loss for one in added] == [loss["loss"] for loss in results["losses"]]
    assert {one.data.name for one in added} == {"digits"}


def test_a_study_goes_to_another_file(tmp_path, own):
    before = own.read_bytes()
    assert "verdicts; team.jsonl has" in said(tmp_path, "advice", "add", str(NOISY), "--to", "team.jsonl")
    assert list(database.read(tmp_path / "team.jsonl")) == verdicts_in(NOISY)
    assert own.read_bytes() == before


def test_a_study_without_results_is_one_line(tmp_path, own):
    assert refused(tmp_path, "advice", "add").startswith("results.json: no such file; expected a study's folder after")


def test_results_of_other_settings_are_not_added(tmp_path, own):
    folder = tmp_path / "studies" / "noisy_digits-cnn"
    shutil.copytree(NOISY, folder, ignore=shutil.ignore_patterns("report", "*.npy"))
    results = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps(results | {"protocol": 64 * "0"}))
    assert "is of another study than results/confirm/registration.json" in refused(
        tmp_path, "advice", "add", str(folder)
    )


def test_a_folder_that_no_settings_know_is_one_line(tmp_path):
    folder = tmp_path / "lost"
    shutil.copytree(NOISY, folder, ignore=shutil.ignore_patterns("report", "*.npy"))
    with pytest.raises(LosstuneError, match=r"params\.yaml: no such file, and no matrix\.yaml above"):
        verdicts_in(folder)


def test_every_loss_with_evidence_is_shown(own):
    rows = list(stage.rows("digits", None, []))
    assert {text.partition(":")[0] for _, text in rows} >= GAINS.keys()


@pytest.mark.skipif(not (REPOSITORY / ".git").exists(), reason="needs the repository's history")
def test_the_shipped_database_is_made_from_the_committed_results(committed):
    script = runpy.run_path(str(REPOSITORY / "benchmarks" / "verdicts.py"))
    folders = [committed / folder for folder in script["tracked"]()]
    made = [one for found in script["verdicts_of_each"](folders) for one in found]
    # A shallow clone does not know which commit last changed a file.
    assert [one.model_copy(update={"commit": None}) for one in made] == [
        one.model_copy(update={"commit": None}) for one in database.read(database.SHIPPED)
    ], "run python benchmarks/verdicts.py"
