"""matrix.yaml: how cells override settings, and its errors."""

import json
import re
import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from losstune.config.data import NoiseSettings
from losstune.config.load import load_params
from losstune.config.matrix import load_matrix
from losstune.config.schema import BudgetSettings
from losstune.core.errors import LosstuneError
from losstune.stages.cell_names import check_cell
from tests.commands import losstune
from tests.paths import REPOSITORY
from tests.test_pipeline import SMALL, write_params

EXAMPLE = REPOSITORY / "examples" / "matrix"
PARAMS = load_params(REPOSITORY / "params.yaml")
SIDES = {
    "data": {"plain": {}, "noisy": {"data": {"label_noise": 0.2}, "training": {"epochs": 9}}},
    "model": {"cnn": {}, "mlp": {"model": {"name": "mlp", "width": 64}}},
}


@pytest.fixture
def matrix_of(tmp_path):
    def write(matrix, **others):
        path = tmp_path / "matrix.yaml"
        path.write_text(json.dumps({"matrix": matrix, **others}))  # which is YAML, too, in this order
        return load_matrix(PARAMS, path)

    return write


def test_every_data_set_meets_every_model(matrix_of):
    matrix = matrix_of(SIDES)
    assert [cell.name for cell in matrix] == ["plain-cnn", "plain-mlp", "noisy-cnn", "noisy-mlp"]
    assert next(cell.folder.as_posix() for cell in matrix) == "studies/plain-cnn"


def test_a_cell_is_params_yaml_with_both_entries_laid_over_it(matrix_of):
    cell = matrix_of(SIDES).cell("noisy", "mlp").params
    assert (cell.data.label_noise, cell.training.epochs) == (0.2, 9)
    assert (cell.model.name, cell.model.width, cell.model.depth) == ("mlp", 64, PARAMS.model.depth)
    assert cell.study.name == "digits-cnn-noisy-mlp"
    untouched = {"losses", "baseline", "search_space", "tune", "confirm", "report", "resources"}
    assert all(getattr(cell, section) == getattr(PARAMS, section) for section in untouched)
    assert cell.tracking.experiment == "noisy mlp"
    assert cell.tracking.model_copy(update={"experiment": None}) == PARAMS.tracking


def test_a_data_set_may_have_a_budget_and_a_rope_of_its_own(matrix_of):
    entry = {"tune": {"trials_per_loss": 5}, "confirm": {"num_blocks": 20}, "report": {"rope": 0.01}}
    cell = matrix_of(SIDES | {"data": {"hard": entry}}).cell("hard", "cnn").params
    assert (cell.tune.trials_per_loss, cell.confirm.num_blocks, cell.report.rope) == (5, 20, 0.01)
    assert cell.tune.num_searches == PARAMS.tune.num_searches


def test_a_budget_is_replaced_as_a_whole(tmp_path):
    (tmp_path / "matrix.yaml").write_text(
        json.dumps({"matrix": SIDES | {"data": {"a": {"budget": {"trainings": 99}}}}})
    )
    params = PARAMS.model_copy(update={"budget": BudgetSettings(minutes=30.0)})
    assert load_matrix(params, tmp_path / "matrix.yaml").cell("a", "cnn").params.budget == BudgetSettings(trainings=99)


def test_all_studies_may_share_an_experiment(tmp_path):
    (tmp_path / "matrix.yaml").write_text(json.dumps({"matrix": SIDES}))
    params = PARAMS.model_copy(update={"tracking": PARAMS.tracking.model_copy(update={"experiment": "mine"})})
    assert {cell.params.tracking.experiment for cell in load_matrix(params, tmp_path / "matrix.yaml")} == {"mine"}


def test_sections_are_merged_to_their_depth(matrix_of):
    narrow = {"search_space": {"learning_rate": {"low": 1e-4}}}
    space = matrix_of(SIDES | {"model": {"cnn": narrow}}).cell("plain", "cnn").params.search_space
    assert space.learning_rate.low == 1e-4
    assert space.learning_rate.high == PARAMS.search_space.learning_rate.high
    assert space.weight_decay == PARAMS.search_space.weight_decay


def test_label_noise_is_replaced_as_a_whole(tmp_path):
    pairs = {"rate": 0.4, "pairs": {"cat": "dog"}}
    others = ({"matrix": [[0.9, 0.1], [0.2, 0.8]]}, {"rate": 0.2, "pairs": {"bee": "ant"}}, 0.1)
    entries = {f"noise{number}": {"data": {"label_noise": noise}} for number, noise in enumerate(others)}
    path = tmp_path / "matrix.yaml"
    path.write_text(json.dumps({"matrix": SIDES | {"data": entries}}))
    params = PARAMS.model_copy(update={"data": PARAMS.data.model_copy(update={"label_noise": NoiseSettings(**pairs)})})
    matrix = load_matrix(params, path)
    found = [matrix.cell(name, "cnn").params.data.label_noise for name in entries]
    assert found == [NoiseSettings(**others[0]), NoiseSettings(**others[1]), 0.1]


def test_every_cell_has_a_seed_of_its_own_that_follows_from_the_studys(matrix_of):
    seeds = [cell.params.study.seed for cell in matrix_of(SIDES)]
    assert len(set(seeds)) == 4
    assert all(0 <= seed < 2**53 for seed in seeds)
    # Of its name, so that another cell before it changes nothing.
    longer = matrix_of(SIDES | {"model": {"wide": {}} | SIDES["model"]})
    assert longer.cell("noisy", "mlp").params.study.seed == seeds[3]


@pytest.mark.parametrize(("root", "seen"), [("data/x.npz", "../../data/x.npz"), ("/data/x.npz", "/data/x.npz")])
def test_a_relative_root_is_that_of_the_matrix(matrix_of, root, seen):
    cell = matrix_of(SIDES | {"data": {"file": {"data": {"name": "npz", "root": root}}}}).cell("file", "cnn")
    assert cell.params.data.root == seen


MISTAKES = [
    ({"data": {}, "model": {"a": {}}}, "matrix.data: found an empty section, expected names of data sets"),
    ({"data": {"a": {}}}, "key 'matrix.model' is missing, expected names of models"),
    (SIDES | {"modle": {}}, "unknown key 'matrix.modle'; did you mean 'model'?"),
    (
        {"data": {"a": {"model": {"width": 3}}}, "model": {"b": {}}},
        "unknown key 'matrix.data.a.model'; did you mean 'models'? (allowed here: models, data, training, losses, "
        "search_space, budget, tune, confirm, report)",
    ),
    (
        {"data": {"a": {"models": ["cn"]}}, "model": {"cnn": {}, "mlp": {}}},
        "matrix.data.a.models: found 'cn', expected one of cnn, mlp; did you mean 'cnn'?",
    ),
    ({"data": {"a": {"models": "cnn"}}, "model": {"cnn": {}}}, "matrix.data.a.models: found 'cnn', expected a list"),
    ({"data": {"a": {"data": 3}}, "model": {"b": {}}}, "matrix.data.a.data: found 3, expected keys of that section"),
    (
        {"data": {"a": {"data": {"nme": "digits"}}}, "model": {"b": {}}},
        "matrix.data.a: unknown key 'data.nme'; did you mean 'name'?",
    ),
    (
        {"data": {"a": {}}, "model": {"b": {"training": {"epochs": 0}}}},
        "matrix.model.b: training.epochs: found 0, expected a whole number from 1 to 100000",
    ),
    (
        {"data": {"a": {"training": {"epochs": 3}}}, "model": {"b": {"training": {"epochs": 4}}}},
        "matrix.data.a with matrix.model.b: both set training.epochs, expected only one of them to set it",
    ),
    ({"data": {"../a": {}}, "model": {"b": {}}}, "matrix.data.../a: found '../a', expected a name of letters"),
    (
        {"data": {"a": {}, "a-b": {}}, "model": {"b-c": {}, "c": {}}},
        "matrix.data.a-b with matrix.model.c: a second cell is named a-b-c, expected unique names",
    ),
]


@pytest.mark.parametrize(("matrix", "message"), MISTAKES, ids=[message[:40] for _, message in MISTAKES])
def test_a_mistake_is_told_in_one_line(matrix_of, tmp_path, matrix, message):
    with pytest.raises(LosstuneError) as told:
        matrix_of(matrix)
    assert str(told.value).startswith(f"{tmp_path}/matrix.yaml: {message}")
    assert "\n" not in str(told.value)


def test_a_key_beside_the_matrix_is_a_mistake(matrix_of):
    with pytest.raises(LosstuneError, match="unknown key 'studies'"):
        matrix_of(SIDES, studies=3)


def test_names_that_only_the_catalogues_know_are_checked_before_anything_runs(matrix_of):
    cells = matrix_of(
        {"data": {"a": {"data": {"name": "digit"}}, "b": {}}, "model": {"c": {"model": {"name": "resnet18"}}}}
    )
    with pytest.raises(LosstuneError, match=r"^matrix.yaml: a-c: data.name: found 'digit'.*'digits'"):
        check_cell(cells.cell("a", "c"))
    with pytest.raises(LosstuneError, match=r"^matrix.yaml: b-c: model.name: "):
        check_cell(cells.cell("b", "c"))


def test_an_unknown_cell_is_told_with_the_nearest(matrix_of):
    matrix = matrix_of(SIDES)
    with pytest.raises(LosstuneError, match=r"^--data: found 'nosy', expected one of plain, noisy .*; did you mean"):
        matrix.cell("nosy", "cnn")
    with pytest.raises(LosstuneError, match=r"^--model: found 'noisy', expected one of cnn, mlp"):
        matrix.cell("noisy", "noisy")


def test_a_data_set_may_name_its_models(matrix_of):
    matrix = matrix_of(SIDES | {"data": {"table": {"models": ["mlp"]}, "both": {"models": ["mlp", "cnn"]}, "all": {}}})
    assert [cell.name for cell in matrix] == ["table-mlp", "both-cnn", "both-mlp", "all-cnn", "all-mlp"]
    alone = matrix_of(SIDES | {"data": {"table": {}}}).cell("table", "mlp")
    assert matrix.cell("table", "mlp") == alone, "the key changes no setting, so that it changes no training"
    with pytest.raises(LosstuneError, match=r"^--model: found 'cnn', expected one of mlp with --data table$"):
        matrix.cell("table", "cnn")


def test_the_command_tells_what_is_missing(tmp_path):
    write_params(tmp_path, SMALL)
    done = losstune(tmp_path, "study", "--data", "a", "--model", "b", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "losstune: matrix.yaml: no such file; run losstune in the folder of the study\n"


def test_check_counts_the_studies_and_finds_their_mistakes(tmp_path):
    write_params(tmp_path, SMALL)
    path = tmp_path / "matrix.yaml"
    path.write_text(json.dumps({"matrix": SIDES}))
    shown = " ".join(losstune(tmp_path, "check").stdout.split())
    # Each has 18 trials, 9 blocks, a control and 3 of the degraded baseline.
    assert "matrix 4 studies, 124 trainings: plain-cnn, plain-mlp, noisy-cnn, noisy-mlp" in shown
    path.write_text(json.dumps({"matrix": SIDES | {"data": {"a": {"data": {"name": "digit"}}}}}))
    done = losstune(tmp_path, "check", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("losstune: matrix.yaml: a-cnn: data.name: found 'digit'")


def test_two_cells_run_to_their_verdicts_and_are_compared(tmp_path):
    """Real trainings, seconds each: one ledger, a folder for each, nothing trained twice."""
    write_params(tmp_path, SMALL | {"losses": ["cross_entropy", "kl_divergence", "focal", "gce"]})
    sides = {"data": {"digits": {}}, "model": {"slim": {}, "wide": {"model": {"width": 32}}}}
    (tmp_path / "matrix.yaml").write_text(json.dumps({"matrix": sides}))
    for model in ("slim", "wide"):
        losstune(tmp_path, "study", "--data", "digits", "--model", model)
    again = losstune(tmp_path, "study", "--data", "digits", "--model", "wide").stdout
    assert set(re.findall(r"to train (\d+)", again)) == {"0"}
    assert not list((tmp_path / "studies").rglob(".losstune"))
    studies = [json.loads(path.read_text()) for path in sorted((tmp_path / "studies").glob("*/results.json"))]
    assert [study["study"] for study in studies] == ["small-digits-slim", "small-digits-wide"]
    # Two studies of one data set, each with a split of its own.
    assert studies[0]["data"]["digest"] != studies[1]["data"]["digest"]
    done = losstune(tmp_path, "across")
    assert "digits-slim" in done.stdout
    assert 'href="../studies/digits-slim/report/report.html"' in (tmp_path / "across/across.html").read_text()


def test_the_example_is_a_matrix_that_dvc_reads():
    matrix = load_matrix(load_params(EXAMPLE / "params.yaml"), EXAMPLE / "matrix.yaml")
    assert len(matrix) >= 6, "on fewer, no test over cells reaches 0.05"
    for cell in matrix:
        check_cell(cell)
    listed = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list", "--name-only", "dvc.yaml"],
        cwd=EXAMPLE,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert listed == ["photos", *(f"study@{cell.name}" for cell in matrix), "across"]


def test_the_example_depends_on_all_code_and_every_section():
    pipeline = YAML(typ="safe", pure=True).load((EXAMPLE / "dvc.yaml").read_text())
    assert "plots" not in pipeline, "`dvc plots show` of the study above would miss them where this hasn't run"
    stages = pipeline["stages"]
    for name in ("study", "across"):
        assert "../../src/losstune" in stages[name]["deps"]
    sections = set(YAML(typ="safe", pure=True).load((EXAMPLE / "params.yaml").read_text()))
    named = {item for item in stages["study"]["params"] if isinstance(item, str)}
    # `resources` changes how long a study takes and `tracking` where it is shown: neither changes a result.
    assert named == sections - {"resources", "tracking"}
