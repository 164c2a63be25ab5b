import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from torch import nn

import losstune
from losstune.config.load import load_params
from losstune.core.errors import LosstuneError, UnfinishedStudyError
from losstune.execution import inline
from losstune.stages import confirm, prepare, report, tune
from tests.api.conftest import LOSSES, SETTINGS, cell, make_study

NET = """
class Net(nn.Module):
    def __init__(self, num_classes, input_shape):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, num_classes))
    def forward(self, images):
        return self.layers(images)
"""
TILTED = """
def tilted(logits, target, tilt=1.0):
    return torch.expm1(tilt * nn.functional.cross_entropy(logits, target, reduction="none")) / tilt
"""


def net(width=8, source=NET):
    return cell(source, "Net", nn=nn, WIDTH=width)


def run_stages(folder, settings):
    """Run the stages as the command line does, on a params.yaml."""
    (folder / "params.yaml").write_text(yaml.safe_dump(settings))
    params = load_params(folder / "params.yaml")
    for stage in (prepare, tune, confirm, report):
        stage.run(params, folder, folder)
    return (folder / "results.json").read_bytes()


def kept(capsys):
    """How many trainings each stage kept and had to train, from what it printed."""
    lines = [line for line in capsys.readouterr().out.splitlines() if ": kept " in line]
    return [tuple(int(word.strip(",")) for word in line.split() if word.strip(",").isdigit()) for line in lines]


def test_arrays_give_the_bytes_that_the_stages_give(finished, arrays, tmp_path, monkeypatch):
    folder = tmp_path / "stages"
    folder.mkdir()
    monkeypatch.chdir(folder)
    np.savez(folder / "arrays.npz", images=arrays[0], labels=arrays[1])
    settings = {
        **SETTINGS,
        "data": {"name": "npz", "root": "arrays.npz"},
        "model": {"name": "mlp", **SETTINGS["model"]},
        "losses": LOSSES,
        "training": {"epochs": 1, **SETTINGS["training"]},
        "tracking": {"enabled": False},
    }
    assert run_stages(folder, settings) == (finished / "results.json").read_bytes()


def test_own_code_in_a_file_gives_the_bytes_that_the_stages_give(tmp_path, monkeypatch):
    (tmp_path / "my_code.py").write_text(
        "import torch\nfrom torch import nn\nimport losstune\nfrom sklearn.datasets import load_digits\nWIDTH = 8\n"
        f"{NET}{TILTED}def data(num):\n    d = load_digits()\n"
        "    return losstune.Dataset(train=(d.images[:num], d.target[:num]))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    my_code = __import__("my_code")
    verdict = make_study(
        my_code.data,
        my_code.Net,
        ["cross_entropy", my_code.tilted],
        settings={"data": {"options": {"num": 300}}, "model": {}},
    ).run()
    (tmp_path / "stages").mkdir()
    settings = {
        **SETTINGS,
        "data": {"name": "my_code.py:data", "options": {"num": 300}},
        "model": {"name": "my_code.py:Net"},
        "losses": ["cross_entropy", "my_code.py:tilted"],
        "training": {"epochs": 1, **SETTINGS["training"]},
    }
    assert run_stages(tmp_path / "stages", settings) == (verdict.folder / "results.json").read_bytes()


def test_a_file_of_settings_is_read(finished, arrays, tmp_path):
    settings = {**SETTINGS, "training": {"epochs": 1, **SETTINGS["training"]}, "losses": LOSSES}
    settings["model"] = {"name": "mlp", **SETTINGS["model"]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(settings))
    verdict = losstune.Study(arrays, settings=tmp_path / "params.yaml", folder=tmp_path / "other").run()
    assert (verdict.folder / "results.json").read_bytes() == (finished / "results.json").read_bytes()


def test_a_second_run_trains_nothing(copy_of_finished, arrays, capsys):
    before = (copy_of_finished / "results.json").read_bytes()
    make_study(arrays, folder=copy_of_finished).run()
    assert kept(capsys) == [(12, 0), (9, 0)]
    assert (copy_of_finished / "results.json").read_bytes() == before


def test_a_further_loss_trains_only_what_is_missing(copy_of_finished, arrays, capsys):
    make_study(arrays, losses=[*LOSSES, "poly1"], folder=copy_of_finished).run()
    assert kept(capsys) == [(12, 4), (9, 2)]


def test_a_model_and_a_loss_of_the_notebook(arrays, capsys):
    tilted = losstune.loss(tilt=losstune.FloatRange(0.5, 2.0))(cell(TILTED, "tilted", nn=nn, torch=torch))
    study = make_study(arrays, net(), ["cross_entropy", tilted])
    verdict = study.run()
    assert "this data with Net" in verdict.sentence
    assert verdict.results.model == "Net"
    assert [result.loss for result in verdict.results.losses] == ["cross_entropy", "tilted"]
    assert set(verdict.results.code.own) == {"model.name", "losses.tilted"}
    assert {"tilt"} == verdict.configuration("tilted").hyperparameters.keys()
    capsys.readouterr()
    # The cells are run again, as after a restart of the kernel: other objects with the same code.
    again = losstune.loss(tilt=losstune.FloatRange(0.5, 2.0))(cell(TILTED, "tilted", nn=nn, torch=torch))
    make_study(arrays, net(), ["cross_entropy", again]).run()
    assert [missing for _, missing in kept(capsys)] == [0, 0]
    # A variable that the model uses is edited.
    make_study(arrays, net(width=9), ["cross_entropy", again]).run()
    assert all(count == 0 for count, _ in kept(capsys))


def test_an_edited_loss_trains_alone(arrays, capsys):
    make_study(arrays, losses=["cross_entropy", cell(TILTED, "tilted", nn=nn, torch=torch)]).run()
    capsys.readouterr()
    edited = cell(TILTED.replace("tilt=1.0", "tilt=1.5"), "tilted", nn=nn, torch=torch)
    make_study(arrays, losses=["cross_entropy", edited]).run()
    assert kept(capsys)[0] == (4, 4)


def test_two_studies_of_one_notebook_may_use_one_name(arrays, tmp_path):
    first, second = (make_study(arrays, net(width), folder=tmp_path / str(width)) for width in (8, 9))
    first_run, second_run = first.run(), second.run()
    sizes = [verdict.results.of("focal").num_parameters for verdict in (first_run, second_run)]
    assert sizes == [64 * width + width + 10 * width + 10 for width in (8, 9)]


def test_an_interruption_loses_nothing(arrays, monkeypatch, capsys):
    run, finished = inline.run, []

    def interrupted(plan, train, arrays, brackets, writer, on_finished, **more):
        def on_finished_twice(job, timed):
            on_finished(job, timed)
            finished.append(job)
            if len(finished) == 5:
                raise KeyboardInterrupt

        run(plan, train, arrays, brackets, writer, on_finished_twice, **more)

    monkeypatch.setattr(inline, "run", interrupted)
    study = make_study(arrays)
    with pytest.raises(KeyboardInterrupt):
        study.run()
    assert "interrupted; finished trainings are kept: run this again to continue" in capsys.readouterr().err
    study.run()
    assert kept(capsys) == [(5, 7), (0, 9)]


def test_an_unfinished_study_says_how_to_go_on(arrays, monkeypatch):
    monkeypatch.setattr(inline, "run", lambda *arguments, **more: None)
    with pytest.raises(UnfinishedStudyError, match=r"0 of 12 trainings are finished and kept; run this again"):
        make_study(arrays).run()


def test_it_runs_in_another_thread(arrays):
    import threading

    found = []
    thread = threading.Thread(target=lambda: found.append(make_study(arrays).run()))
    thread.start()
    thread.join()
    assert found[0].loss in LOSSES


@pytest.mark.parametrize(
    "as_data",
    [
        lambda images, labels: (torch.tensor(images), torch.tensor(labels)),
        lambda images, labels: (images.tolist(), labels.tolist()),
        lambda images, labels: losstune.Dataset(train=(images, labels)),
        lambda images, labels: torch.utils.data.TensorDataset(torch.tensor(images), torch.tensor(labels)),
        lambda images, labels: cell(
            "def load():\n    return Dataset(train=(images, labels))\n",
            "load",
            Dataset=losstune.Dataset,
            images=images,
            labels=labels,
        ),
    ],
)
def test_data_comes_in_several_forms(as_data, arrays, finished):
    study = make_study(as_data(*arrays))
    verdict = study.run()
    digest = json.loads((finished / "results.json").read_text())["data"]["digest"]
    assert verdict.results.data.digest == digest


def test_data_in_a_file(arrays, finished, tmp_path):
    np.savez(tmp_path / "arrays.npz", images=arrays[0], labels=arrays[1])
    verdict = make_study("arrays.npz").run()
    assert (verdict.folder / "results.json").read_bytes() == (finished / "results.json").read_bytes()


def test_data_in_a_folder_and_by_name(tmp_path):
    (tmp_path / "photos").mkdir()
    params = make_study(tmp_path / "photos").params
    assert (params.data.name, params.data.root) == ("imagefolder", str(tmp_path / "photos"))
    (tmp_path / "photos/state.json").touch()
    assert make_study("photos").params.data.name == "huggingface"
    params = make_study("people.csv").params
    assert (params.data.name, params.data.root) == ("table", str(tmp_path / "people.csv"))
    assert make_study("digits").params.data.name == "digits"


@pytest.mark.parametrize("as_file", [False, True])
def test_a_relative_root_starts_where_the_settings_are(as_file, arrays, finished, tmp_path, monkeypatch):
    project = tmp_path / "project"
    project.mkdir()
    np.savez(project / "arrays.npz", images=arrays[0], labels=arrays[1])
    data = {"name": "npz", "root": "arrays.npz"}
    if as_file:
        model = {"name": "mlp", **SETTINGS["model"]}
        settings = {**SETTINGS, "data": data, "model": model, "losses": LOSSES}
        settings["training"] = {**SETTINGS["training"], "epochs": 1}
        (project / "params.yaml").write_text(yaml.safe_dump(settings))
        study = losstune.Study(settings="project/params.yaml")
    else:
        monkeypatch.chdir(project)
        study = make_study(None, settings={"data": data})
    assert (study.run().folder / "results.json").read_bytes() == (finished / "results.json").read_bytes()


def test_a_reference_in_a_file_of_settings_starts_in_its_folder(arrays, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    (project / "my_losses.py").write_text(f"import torch\nfrom torch import nn\n{TILTED}")
    (project / "params.yaml").write_text("losses: [cross_entropy, 'my_losses.py:tilted']\n")
    study = losstune.Study(arrays, "mlp", settings="project/params.yaml")
    assert study.params.loss_names == ("cross_entropy", "tilted")
    make_study(arrays)  # another study, which starts in the working directory
    study._check()


@pytest.mark.parametrize("kind", [losstune.Dataset, dict])
def test_splits_of_the_data_are_used(arrays, kind):
    images, labels = arrays
    verdict = make_study(
        kind(
            train=(images[:200], labels[:200]),
            validation=(images[200:300], labels[200:300]),
            test=(images[300:], labels[300:]),
        )
    ).run()
    data = verdict.results.data
    assert (data.num_train, data.num_validation, data.num_test) == (200, 100, 100)


def test_a_class_without_test_samples_is_a_warning_everywhere(arrays, capsys):
    images, labels = arrays
    test = (labels != 7) & (np.arange(len(labels)) >= 300)
    verdict = make_study(
        losstune.Dataset(train=(images[:300], labels[:300] + 1), test=(images[test], labels[test] + 1)),
        metric="balanced_accuracy",
    ).run()
    told = "The test split has no sample of the class '8', so the verdict says nothing about it."
    out = capsys.readouterr().out
    assert f"note: {told}" in out
    assert "Labels: 1 to 10 are read as classes 0 to 9." in out
    assert told in verdict.results.warnings
    assert told.replace("'", "&#39;") in verdict.report.read_text()
    # Balanced accuracy is the mean recall of the nine classes that the test split has.
    matrices = [json.loads(line) for line in (verdict.folder / "results/confirm/blocks.jsonl").read_text().splitlines()]
    for record in matrices:
        confusion = np.array(record["confusion"])
        present = confusion.sum(1) > 0
        assert present.sum() == 9
        recall = confusion.diagonal()[present] / confusion.sum(1)[present]
        assert record["test"]["balanced_accuracy"] == pytest.approx(recall.mean())


def test_a_metric_and_an_augmentation_of_the_notebook(arrays):
    source = "def error(probabilities, labels):\n    return float((probabilities.argmax(1) != labels).mean())\n"
    flip = "def flip(images, generator):\n    return images.flip(-1)\n"
    verdict = make_study(
        arrays,
        metric={"name": cell(source, "error"), "minimize": True, "percent": True},
        settings={"training": {**SETTINGS["training"], "augmentation": cell(flip, "flip")}},
    ).run()
    assert verdict.results.minimize
    best = verdict.results.ranked()[0]
    assert best.scores["error"].mean == pytest.approx(1 - best.scores["accuracy"].mean)


def test_the_metric_is_a_name_or_a_section_and_others_are_shown_beside_it(arrays):
    gain = cell(
        "def gain(probabilities, labels):\n    return float((probabilities.argmax(1) == labels).sum())\n", "gain"
    )
    costs = {"name": "expected_cost", "costs": (1 - np.eye(10)).tolist()}
    settings = {**SETTINGS, "report": {"rope": 0.01}}
    settings["tune"] = {**SETTINGS["tune"], "secondary_metrics": ["auroc", "accuracy", gain]}
    verdict = make_study(arrays, metric=costs, settings=settings).run()
    table = verdict.table()
    assert table["expected_cost"].to_numpy() == pytest.approx(1 - table["accuracy"].to_numpy())
    assert table["expected_cost"].is_monotonic_increasing
    assert table["gain"].to_numpy() == pytest.approx(table["accuracy"] * verdict.results.data.num_test)
    assert (table["auroc"] > table["accuracy"]).all()
    assert make_study(arrays, metric="auroc").params.tune.measure.percent
    with pytest.raises(LosstuneError, match=r"report\.rope: is missing, expected the smallest difference of nll"):
        make_study(arrays, metric="nll")


def test_the_verdict_can_be_read_without_training(finished, arrays):
    assert make_study(arrays, folder=finished).verdict().sentence
    with pytest.raises(LosstuneError, match=r"^.*results\.json: cannot be read"):
        make_study(arrays, folder="nothing").verdict()


def test_it_describes_itself(arrays, tmp_path):
    assert repr(make_study(arrays)) == f"Study(npz, mlp, 3 losses against cross_entropy, in {tmp_path}/losstune-study)"


def test_nothing_is_written_before_it_runs(arrays, tmp_path):
    make_study(arrays)
    assert not list(tmp_path.iterdir())


def test_nothing_but_its_folder_is_written(arrays, tmp_path):
    make_study(arrays).run()
    assert [path.name for path in tmp_path.iterdir()] == ["losstune-study"]
    shutil.rmtree(tmp_path / "losstune-study")


MISTAKES = {
    "a loss that does not exist": (
        {"losses": ["cross_entropy", "focall"]},
        r"^losstune\.Study: losses: unknown loss 'focall'; did you mean 'focal'\?",
    ),
    "a model that does not exist": ({"model": "mpl"}, r"^losstune\.Study: model\.name: .*'mpl'.*did you mean 'mlp'"),
    "a model that is made": (
        {"model": nn.Linear(1, 1)},
        r"^model\.name: found a Linear, an object that is made already",
    ),
    "a loss that is made": (
        {"losses": ["cross_entropy", losstune.losses.get("focal").as_module()]},
        r"^losses: found a LossModule, an object that is made already, expected the loss's name, 'focal'$",
    ),
    "a bound loss": (
        {"losses": [losstune.losses.get("focal")]},
        r"^losses: found a BoundLoss.*expected the loss's name",
    ),
    "a lambda as loss": (
        {"losses": ["cross_entropy", lambda z, y: z]},
        r"^losses: found a lambda, expected a function",
    ),
    "epochs": ({"epochs": 0}, r"^losstune\.Study: training\.epochs: found 0"),
    "a setting that does not exist": (
        {"settings": {"tunes": {}}},
        r"^losstune\.Study: unknown key 'tunes'; did you mean 'tune'\?",
    ),
    "a section that is none": (
        {"epochs": 1, "settings": {"training": 5}},
        r"^losstune\.Study: settings: training: found 5, expected a section$",
    ),
    "twice": (
        {"epochs": 3, "settings": {"training": {"epochs": 4}}},
        r"^losstune\.Study: training\.epochs: found 3, and 4 in settings; expected one$",
    ),
    "a baseline that is no loss of the study": ({"baseline": "poly1"}, r"^losstune\.Study: baseline: found 'poly1'"),
    "data that is none": ({"data": 5}, r"^data: train: found a int, expected \(samples, labels\)"),
    "data with other labels": ({"data": ([[1.0], [2.0]], [0])}, r"^data: train: found 2 samples and 1 labels"),
    "a data set that does not exist": ({"data": "digit"}, r"^losstune\.Study: data\.name: found 'digit'.*'digits'"),
    "a home folder": ({"data": "npz", "settings": {"data": {"root": "~/x"}}}, r"^losstune\.Study: data\.root: found"),
    "a file that does not exist": ({"settings": "params.yml"}, r"^params\.yml: no such file"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_when_the_study_is_made(name, arrays):
    given, message = MISTAKES[name]
    with pytest.raises(LosstuneError, match=message) as caught:
        losstune.Study(**{"data": arrays, "model": "mlp", "losses": LOSSES, **given})
    assert "\n" not in str(caught.value)


def test_a_notebook_shows_a_mistake_as_one_line():
    assert LosstuneError("losses: found x")._render_traceback_() == ["LosstuneError: losses: found x"]
