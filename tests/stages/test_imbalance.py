"""A study of 1000 to 1, judged by accuracy: the verdict stands, and beside it what accuracy doesn't see."""

from __future__ import annotations

import html
import json

import numpy as np
import pytest

from losstune.cli import main as cli
from losstune.config.load import load_params
from losstune.stages import confirm, prepare, report, tune
from tests.test_pipeline import write_params

COMMON, RARE = 6000, 6
UNSEEN = "accuracy hardly depends on the class 'fraud'"
SMALL = {
    "data.name": "npz",
    "data.root": "cards.npz",
    "model": {"name": "mlp", "width": 4, "depth": 1},
    "training.epochs": 4,
    "search_space.learning_rate.default": 0.03,
    "training.batch_size": 64,
    "losses": ["cross_entropy", "kl_divergence", "focal"],
    "tune.trials_per_loss": 1,
    "confirm.num_blocks": 2,
    "confirm.positive_control": False,
    "resources.executor": "inline",
    "resources.device": "cpu",
    "tracking.enabled": False,
}


def study(folder, **changes):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [COMMON, RARE])
    images = rng.normal(size=(COMMON + RARE, 8)).astype(np.float32)
    np.savez(folder / "cards.npz", images=images, labels=labels, class_names=np.array(["payment", "fraud"]))
    write_params(folder, SMALL | changes)
    return load_params(folder / "params.yaml")


def check(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    capsys.readouterr()
    cli.main(["check"])
    return " ".join(capsys.readouterr().out.split())


def test_accuracy_is_warned_of_from_prepare_to_the_page(tmp_path, monkeypatch, capsys):
    params = study(tmp_path)
    prepare.run(params, tmp_path, tmp_path)
    assert f"note: tune.metric: {UNSEEN}" in capsys.readouterr().out
    assert UNSEEN in check(tmp_path, monkeypatch, capsys)
    for stage in (tune, confirm):
        stage.run(params, tmp_path, tmp_path)
    capsys.readouterr()
    report.run(params, tmp_path, tmp_path)
    terminal = " ".join(capsys.readouterr().out.split())
    page = html.unescape(" ".join((tmp_path / "report/report.html").read_text().split()))
    results = json.loads((tmp_path / "results.json").read_text())

    assert results["verdict"]["action"] == "keep"
    unseen, blind = results["warnings"]
    assert UNSEEN in unseen
    assert "balanced_accuracy and macro_f1" in unseen
    assert blind == "cross_entropy never predicts 'fraud' in 2 of 2 blocks."
    blocks = [json.loads(line) for line in (tmp_path / "results/confirm/blocks.jsonl").read_text().splitlines()]
    assert all(block["confusion"][1][1] == 0 for block in blocks if block["configuration"]["loss"] == "cross_entropy")
    assert terminal.index("Warning: tune.metric") < terminal.index(blind) < terminal.index("On this data with the mlp")
    assert page.index(blind) < page.index("<section>"), "beside the verdict, not further down"
    assert UNSEEN in page


@pytest.mark.parametrize("metric", ["balanced_accuracy", "macro_f1"])
def test_the_metrics_that_are_named_are_not_warned_of(metric, tmp_path, monkeypatch, capsys):
    prepare.run(study(tmp_path, **{"tune.metric": metric}), tmp_path, tmp_path)
    assert "note:" not in capsys.readouterr().out
    assert "hardly depends on" not in check(tmp_path, monkeypatch, capsys)
