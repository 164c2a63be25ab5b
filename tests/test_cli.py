"""What a user sees of the command line: errors of one line, help and lists that can be read."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from losstune.cli import main as cli
from losstune.losses.registry import registry
from tests.paths import REPOSITORY

SHIPPED = REPOSITORY / "params.yaml"


@pytest.fixture(autouse=True)
def study(tmp_path, monkeypatch):
    """A folder with the shipped settings; a function changes them, by dotted key."""
    shutil.copy(SHIPPED, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(cli, "configure_environment", lambda: None)  # it is for a process of its own

    def change(changes):
        yaml = YAML()
        values = yaml.load(Path("params.yaml"))
        for key, value in changes.items():
            *above, last = key.split(".")
            section = values
            for name in above:
                section = section[name]
            section[last] = value
        yaml.dump(values, Path("params.yaml"))

    return change


def run(capsys, *arguments):
    """Return exit code, output and errors of the command as the console script runs it."""
    code = 0
    try:
        cli.main(list(arguments))
    except SystemExit as ended:
        code = ended.code
    shown = capsys.readouterr()
    return code, shown.out, shown.err


OWN = "search_space.losses"
MISTAKES = [
    (
        {"data.name": "cifar10"},
        "data.name: found 'cifar10', expected digits, imagefolder, npz, table, huggingface, files, a torchvision",
    ),
    ({"data.image_size": 32}, "data.image_size: found 32, expected null: digits is not resized"),
    ({OWN: {"gce": {"q": 1.5}}}, f"{OWN}.gce.q: found 1.5, expected a number in [0, 1]"),
    ({OWN: {"js": {"pi": {"low": 0, "high": 0.5}}}}, f"{OWN}.js.pi.low: found 0, expected a number in (0, 1)"),
    ({OWN: {"focal": {"gama": 1}}}, f"{OWN}.focal: unknown hyperparameter 'gama'; did you mean 'gamma'?"),
    (
        {"losses": ["cross_entropy", "balanced_softmax"]},
        "losses: 'balanced_softmax' is another name for 'logit_adjusted', tau: 1 (the same, tau = 1); expected "
        "'logit_adjusted', so that no loss is counted twice",
    ),
    ({"losses": ["cross_entropy", "fokal"]}, "losses: unknown loss 'fokal'; did you mean 'focal'?"),
    ({"model.name": "resnet18"}, "model.name: "),
    ({"study.seed": -1}, "study.seed: found -1, expected a whole number"),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES, ids=[message.split(":")[0] for _, message in MISTAKES])
def test_check_tells_a_mistake_in_one_line_before_anything_runs(study, capsys, changes, message):
    study(changes)
    code, out, err = run(capsys, "check")
    assert (code, out) == (cli.EXIT_MISTAKE, "")
    assert err.startswith(f"losstune: params.yaml: {message}")
    assert err.count("\n") == 1


def test_check_accepts_splits_that_sum_to_more_than_one(study, capsys):
    # The validation split is a share of what the test split leaves.
    study({"data.validation_fraction": 0.6, "data.test_fraction": 0.5})
    assert run(capsys, "check")[0] == 0


def test_check_counts_what_will_be_trained(study, capsys):
    study(
        {
            "losses": ["cross_entropy", "kl_divergence", "focal", "gce"],
            "tune.trials_per_loss": 5,
            "confirm.num_blocks": 7,
            OWN: {"gce": {"q": 0.7}},
        }
    )
    code, out, err = run(capsys, "check")
    assert (code, err) == (0, "")
    assert "4 losses x 2 searches x 5 trials = 40 trainings" in out
    planned = "4 losses x 7 blocks + 1 control (kl_divergence as cross_entropy) + 7 of the degraded cross_entropy"
    assert f"{planned} = 36 trainings" in " ".join(out.split())
    # What is fixed is not searched.
    assert "searched  learning_rate, weight_decay; focal gamma\n" in out
    study({"losses": ["cross_entropy", "focal"]})
    assert "2 losses x 7 blocks + 7 of the degraded cross_entropy = 21 trainings" in run(capsys, "check")[1]


def test_help_keeps_its_lines(monkeypatch):
    for columns in ("80", "100"):
        monkeypatch.setenv("COLUMNS", columns)
        text = CliRunner().invoke(cli.cli, ["--help"]).output
        lines = [line.strip() for line in text.splitlines()]
        assert "\\b" not in text
        assert "..." not in text.partition("Commands:")[2], "the commands' summaries are cut off"
        codes = lines.index("Exit codes:")
        assert [line.split()[0] for line in lines[codes + 1 : codes + 5]] == ["0", "1", "2", "130"]
        shown = [line.split()[0] for line in lines[lines.index("Commands:") + 1 :] if line]
        assert shown == [
            "init",
            "params",
            "advise",
            "check",
            "cost",
            "prepare",
            "features",
            "tune",
            "confirm",
            "report",
            "fingerprint",
            "study",
            "across",
            "advice",
            "promote",
            "losses",
            "pack",
            "track",
            "ui",
            "compare",
            "log",
        ]


@pytest.mark.parametrize("columns", ["80", "100", "300"])
def test_the_catalogue_fits_the_terminal_and_never_a_hundred_columns(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    for arguments in (["losses", "list"], *(["losses", "describe", name] for name in registry())):
        code, out, _ = run(capsys, *arguments)
        assert code == 0
        words, _, _ = out.partition("# In plain PyTorch")
        assert max(map(len, words.splitlines())) <= min(int(columns), 100)


def test_the_catalogue_names_every_loss_with_its_published_values(capsys):
    out = run(capsys, "losses", "list")[1]
    assert [line.split()[0] for line in out.splitlines()[2:-2] if line[1] != " "] == list(registry())
    assert "t1=0.8" in out


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("focal", ["2 by default, searched over 0 to 5; allowed: a number >= 0", "Lin et al. 2017", "class indices\n"]),
        ("logit_norm", ["0.04 by default, searched over 0.01 to 1, log; allowed: a number > 0"]),
        ("apl", ["1 by default, searched over 0.1, 1 or 10; allowed: a number > 0"]),
        ("kl_divergence", ["cross_entropy on hard labels: a control", "class indices or distributions\n"]),
    ],
)
def test_a_loss_is_described_as_a_person_would(capsys, name, texts):
    out = run(capsys, "losses", "describe", name)[1]
    assert all(text in out for text in texts)
    assert "Range(" not in out


def test_an_unknown_loss_is_told_in_one_line(capsys):
    code, out, err = run(capsys, "losses", "describe", "fokal")
    assert (code, out) == (cli.EXIT_MISTAKE, "")
    assert err.startswith("losstune: unknown loss 'fokal'; did you mean 'focal'?")
