"""A whole study by a metric of which lower is better, with secondary metrics beside it."""

import csv
import json
import math

import numpy as np
import pytest

from losstune.config.load import load_params
from losstune.stages.layout import BLOCKS, TRIALS, read_records
from tests.commands import losstune
from tests.test_pipeline import SMALL, write_params

ORACLES = """
import numpy as np
from sklearn import metrics

COSTS = np.where(np.eye(10), 0.0, np.where(np.arange(10) == 8, 20.0, 1.0)[:, None])

def rows(p):
    return p / p.sum(1, keepdims=True)

def log_loss(p, y): return metrics.log_loss(y, rows(p), labels=range(10))
def area(p, y): return metrics.roc_auc_score(y, rows(p), multi_class="ovr")
def precision(p, y): return metrics.average_precision_score(y, p)
def agreement(p, y): return metrics.cohen_kappa_score(y, p.argmax(1))
def squares(p, y): return metrics.cohen_kappa_score(y, p.argmax(1), weights="quadratic", labels=range(10))
def correlation(p, y): return metrics.matthews_corrcoef(y, p.argmax(1))
def top(p, y): return metrics.top_k_accuracy_score(y, p, k=5)
def cost(p, y): return COSTS[y, (rows(p) @ COSTS).argmin(1)].mean()
"""
SCIKIT_LEARN = {
    "nll": "log_loss",
    "auroc": "area",
    "average_precision": "precision",
    "kappa": "agreement",
    "quadratic_kappa": "squares",
    "mcc": "correlation",
    "top_5_accuracy": "top",
    "expected_cost": "cost",
}
MISSED_8 = np.where(np.eye(10), 0.0, np.where(np.arange(10) == 8, 20.0, 1.0)[:, None])
COSTS = {"name": "expected_cost", "costs": MISSED_8.tolist()}
LOWER = ["nll", "expected_cost"]


def oracles_of(metric):
    """All in one of the studies, because they take most of its time."""
    return list(SCIKIT_LEARN.values()) if metric == "nll" else ["cost"]


def study(folder, metric, **changes):
    """Run a study in which mae, a bad loss, is a candidate."""
    named = {name: COSTS if name == "expected_cost" else name for name in SCIKIT_LEARN}
    own = [{"name": f"oracles.py:{name}", "minimize": name in ("log_loss", "cost")} for name in oracles_of(metric)]
    (folder / "oracles.py").write_text(ORACLES)
    write_params(
        folder,
        SMALL
        | {
            "training.epochs": 4,
            "losses": ["cross_entropy", "kl_divergence", "mae"],
            "search_space.learning_rate": {"low": 1e-3, "high": 1e-1, "scale": "log", "default": 1e-2},
            "tune.trials_per_loss": 2,
            "tune.metric": named.pop(metric),
            "tune.secondary_metrics": [*named.values(), *own],
            "confirm.num_blocks": 8,
            "report.rope": 0.02,
        }
        | changes,
    )
    said = {stage: losstune(folder, stage).stdout for stage in ("check", "prepare", "tune", "confirm", "report")}
    return json.loads((folder / "results.json").read_text()), said


@pytest.fixture(scope="module", params=LOWER)
def done(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return (request.param, folder, *study(folder, request.param))


def test_every_record_has_scikit_learns_scores(done):
    metric, folder, _, _ = done
    records = [*read_records(folder / TRIALS), *read_records(folder / BLOCKS)]
    splits = [record.test for record in records if record.test] + [e.validation for r in records for e in r.curve]
    assert len(splits) > 100
    for scores in splits:
        for name, oracle in SCIKIT_LEARN.items():
            if oracle in oracles_of(metric):
                assert scores[name] == pytest.approx(scores[oracle], abs=2e-5), name


def test_the_lowest_validation_score_of_a_search_wins(done):
    metric, folder, results, _ = done
    for loss in results["losses"]:
        for number, search in enumerate(loss["searches"]):
            rivals = [
                record.validation[metric]
                for record in read_records(folder / TRIALS)
                if (record.configuration.loss, record.search) == (loss["loss"], number)
            ]
            assert search["validation"] == min(rivals) < max(rivals)
    assert results["selection"].startswith("lowest final validation score")


def test_a_higher_score_is_worse(done):
    metric, folder, results, said = done
    losses = {loss["loss"]: loss for loss in results["losses"]}
    mae, mean = losses["mae"], {name: loss["scores"][metric]["mean"] for name, loss in losses.items()}
    assert mean["mae"] > mean["cross_entropy"]
    assert mae["difference"]["mean"] == pytest.approx(mean["mae"] - mean["cross_entropy"])
    assert mae["difference"]["probability_better"] == 0.0
    assert mae["decision"] in ("worse", "undecided")
    assert results["control"]["positive"]["detected"]
    assert results["control"]["identity"]["passed"]
    assert (results["verdict"]["action"], results["verdict"]["loss"]) == ("keep", "cross_entropy")
    assert "mae is not shown to beat it; mae is behind by" in results["verdict"]["sentence"]
    label = {"nll": "NLL", "expected_cost": "expected cost"}[metric]
    assert f"{label}: lower is better, so a loss with a negative difference is ahead." in said["report"]
    page = (folder / "report/report.html").read_text()
    assert f"For {label} lower is better" in page
    assert "If a curve still falls at the end" in page
    assert json.loads((folder / "metrics.json").read_text())["difference"]["mae"] > 0


def test_secondary_metrics_are_in_every_table(done):
    metric, folder, results, said = done
    names = [*(name for name in SCIKIT_LEARN if name != metric), *oracles_of(metric)]
    assert [row["name"] for row in results["secondary_metrics"]] == names
    assert {row["name"]: row["minimize"] for row in results["secondary_metrics"]}["cost"]
    with (folder / "report/plots/losses.csv").open() as file:
        rows = {row["loss"]: row for row in csv.DictReader(file)}
    for loss in results["losses"]:
        for name in names:
            values = [block[name] for block in loss["blocks"]]
            assert loss["scores"][name]["mean"] == pytest.approx(math.fsum(values) / len(values))
            assert float(rows[loss["loss"]][name]) == pytest.approx(loss["scores"][name]["mean"], rel=1e-5)
    assert "tune.secondary_metrics.cost" in results["code"]["own"]
    page = (folder / "report/report.html").read_text()
    for title in ("AUROC", "average precision", "quadratic kappa", "MCC", "top-5 accuracy", "cost"):
        assert f'<button type="button">{title}</button>' in page
    heading = next(line for line in said["report"].splitlines() if line.startswith("loss "))
    assert {"nll": "expected cost", "expected_cost": "NLL"}[metric] not in heading.partition("decision")[0]
    assert "AUROC" in heading


def test_the_verdict_does_not_depend_on_them(done, tmp_path):
    metric, _, results, _ = done
    alone, _ = study(tmp_path, metric, **{"tune.secondary_metrics": []})
    assert "secondary_metrics" not in alone
    for key in ("protocol", "verdict", "control", "variances"):
        assert alone[key] == results[key], key
    for ours, theirs in zip(alone["losses"], results["losses"], strict=True):
        for key in ("difference", "decision", "searches", "winner", "best_of", "optimism"):
            assert ours[key] == theirs[key], key
        assert ours["scores"] == {name: theirs["scores"][name] for name in ours["scores"]}


def test_another_choice_among_the_same_metrics_trains_no_trial_again(done):
    metric, folder, _, _ = done
    tune = load_params(folder / "params.yaml").model_dump(mode="json")["tune"]
    others = [name for name in tune["secondary_metrics"] if name != "auroc"]
    write_params(folder, {"tune.metric": "auroc", "tune.secondary_metrics": [tune["metric"], *others]})
    assert metric != "auroc"
    assert "to train 0" in losstune(folder, "tune").stdout


def test_asha_tpe_and_patience_follow_a_metric_to_be_minimised(tmp_path):
    results, _ = study(
        tmp_path,
        "nll",
        **{
            "tune.sampler": "tpe",
            "tune.scheduler": "asha",
            "tune.asha": {"grace_epochs": 1, "reduction_factor": 2},
            "tune.trials_per_loss": 9,
            "training.epochs": 6,
            "training.patience": 2,
            "confirm.num_blocks": 2,
            "tune.secondary_metrics": [],
        },
    )
    trials = read_records(tmp_path / TRIALS)
    stopped = [record for record in trials if record.status == "stopped"]
    assert stopped
    assert any(record.status == "finished" for record in trials)
    for record in trials:
        scores = [epoch.validation["nll"] for epoch in record.curve]
        if record.status == "finished":
            assert record.validation["nll"] == min(scores)
            best = int(np.argmin(scores))
            assert len(scores) in (6, best + 3)
    # The best trial at a rung goes on.
    for loss in ("cross_entropy", "mae"):
        for search in (0, 1):
            first = {
                record.index: record.curve[0].validation["nll"]
                for record in trials
                if (record.configuration.loss, record.search) == (loss, search) and record.curve
            }
            best = min(first, key=first.get)
            record = next(r for r in trials if (r.configuration.loss, r.search, r.index) == (loss, search, best))
            assert len(record.curve) > 1
    assert results["metric"] == "nll"


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        (
            {"metric": {"name": "expected_cost", "costs": [[0, 1], [5, 0]]}},
            "params.yaml: tune.metric.costs: found 2 rows, expected 3, one for each class in the order of the data",
        ),
        (
            {"secondary_metrics": ["nll", "top_5_accuracy"]},
            "params.yaml: tune.secondary_metrics.top_5_accuracy: found 'top_5_accuracy', expected another metric: of 3 "
            "classes, each is among the 5 most probable ones",
        ),
    ],
)
def test_a_metric_that_does_not_fit_the_classes_is_refused_before_anything_trains(tmp_path, tune, message):
    np.savez(
        tmp_path / "three.npz",
        x=np.random.default_rng(0).standard_normal((90, 4)).astype(np.float32),
        y=np.arange(90) % 3,
    )
    changes = {f"tune.{key}": value for key, value in tune.items()}
    write_params(tmp_path, SMALL | {"data.name": "npz", "data.root": "three.npz", "report.rope": 0.1} | changes)
    losstune(tmp_path, "prepare")
    for command in ("check", "tune"):
        ended = losstune(tmp_path, command, check=False)
        assert ended.returncode == 2
        assert ended.stderr.strip().removeprefix("losstune: ").removeprefix("params.yaml: ") == message.removeprefix(
            "params.yaml: "
        )
