"""A study on a Ray cluster whose nodes come and go ends as it does in one process, and nothing is trained twice."""

import subprocess
import sys
import time

import pytest

from tests.cluster.nodes import ADDRESS, cluster, environment, missing
from tests.commands import losstune_process as losstune
from tests.paths import REPOSITORY
from tests.test_pipeline import SMALL, counts, ledger, rows, write_params

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing() is not None, reason=f"a cluster of namespaces: {missing()}"),
]
LONGER = SMALL | {
    "study.name": "clustered",
    "model": {"name": "mlp", "width": 64, "depth": 2},
    "training.epochs": 40,
    "tune.trials_per_loss": 10,  # so many that on a quick machine, too, the node that joins has something to do
    "confirm.num_blocks": 4,
    "tracking.enabled": True,
}
RESULTS = ("results/tune/trials.jsonl", "results/confirm/blocks.jsonl", "results/confirm/registration.json")


def start(folder, stage):
    """Start a stage on the cluster, known to it by the environment alone."""
    return subprocess.Popen(
        [sys.executable, "-m", "losstune", stage],
        cwd=folder,
        env=environment() | {"RAY_ADDRESS": ADDRESS},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition, process, limit_sec=240.0):
    end = time.monotonic() + limit_sec
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_node_is_killed_and_another_joins(tmp_path):
    alone, spread = tmp_path / "alone", tmp_path / "spread"
    for folder, executor in ((alone, "inline"), (spread, "ray")):
        folder.mkdir()
        write_params(folder, LONGER | {"resources.executor": executor})
        losstune(folder, "prepare")
    for stage in ("tune", "confirm"):
        losstune(alone, stage)

    # The nodes see neither the study, nor its MLflow, nor losstune itself.
    with cluster(hidden=[tmp_path, REPOSITORY / "src"], num_cpus=1) as nodes:
        lost = nodes.add(2, num_cpus=2)
        nodes.wait_for(2)
        tuning = start(spread, "tune")
        wait_for(lambda: len(ledger(spread)) >= 4 and lost.cpu_sec() > 1.0, tuning)
        lost.kill()
        joined = nodes.add(3, num_cpus=2)
        wait_for(lambda: joined.cpu_sec() > 1.0, tuning)
        output, errors = tuning.communicate(timeout=300)
        assert tuning.returncode == 0, errors
        assert f"on the Ray cluster at {ADDRESS}: 2 nodes, 3 cores, 0 GPUs" in errors
        assert "kept 0, to train 60" in output
        confirming = start(spread, "confirm")
        _, errors = confirming.communicate(timeout=300)
        assert confirming.returncode == 0, errors

    for name in RESULTS:
        assert (spread / name).read_bytes() == (alone / name).read_bytes(), name
    for stage in ("tune", "confirm"):
        keys = [row["key"] for row in rows(spread / f"results/{stage}/executions.jsonl")]
        assert len(keys) == len(set(keys))
    assert ledger(spread).keys() == ledger(alone).keys()
    assert counts(spread) == counts(alone)


OWN_MODEL = """
from torch import nn
from parts import hidden

def build(num_classes, input_shape, width):
    return nn.Sequential(nn.Flatten(), hidden(input_shape, width), nn.ReLU(), nn.Linear(width, num_classes))
"""
OWN_PARTS = """
import math
from torch import nn

def hidden(input_shape, width):
    return nn.Linear(math.prod(input_shape), width)
"""
OWN_LOSS = """
import torch.nn.functional as F
import losstune

@losstune.loss(power=losstune.FloatRange(1.0, 2.0))
def powered(logits, target, power=1.5):
    return F.cross_entropy(logits, target, reduction="none") ** power
"""


def test_code_of_ones_own_reaches_nodes_that_do_not_see_the_folder(tmp_path):
    alone, spread = tmp_path / "alone", tmp_path / "spread"
    settings = SMALL | {
        "study.name": "own",
        "model": {"name": "my_models.py:build", "options": {"width": 8}},
        "losses": ["cross_entropy", "my_losses.py:powered"],
    }
    for folder, executor in ((alone, "inline"), (spread, "ray")):
        folder.mkdir()
        for name, text in (("my_models", OWN_MODEL), ("parts", OWN_PARTS), ("my_losses", OWN_LOSS)):
            (folder / f"{name}.py").write_text(text, encoding="utf-8")
        write_params(folder, settings | {"resources.executor": executor})
        losstune(folder, "prepare")
    losstune(alone, "tune")
    with cluster(hidden=[tmp_path, REPOSITORY / "src"], num_cpus=0) as nodes:
        nodes.add(2, num_cpus=2)
        nodes.wait_for(2)
        tuning = start(spread, "tune")
        _, errors = tuning.communicate(timeout=300)
        assert tuning.returncode == 0, errors
    trials = "results/tune/trials.jsonl"
    assert (spread / trials).read_bytes() == (alone / trials).read_bytes()
    assert {row["status"] for row in rows(spread / trials)} == {"finished"}
