"""A tiny pooled study: a hundred trainings of a few milliseconds."""

from losstune.config.load import load_params
from losstune.stages import confirm, prepare, report, tune
from tests.test_pipeline import SMALL, write_params

POOLED = SMALL | {"training.epochs": 1, "protocol": "pooled", "tune.trials_per_loss": 8, "budget": {"trainings": 110}}
STAGES = {"prepare": prepare, "tune": tune, "confirm": confirm, "report": report}


def lay_out(folder, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    write_params(folder, POOLED | changes)
    return folder


def run(folder, *stages):
    for stage in stages:
        STAGES[stage].run(load_params(folder / "params.yaml"), folder, folder)
