"""Commands on MLflow: promote, track, ui."""

from __future__ import annotations

import click

from losstune.cli.output import InOrder
from losstune.cli.study import run_stage
from losstune.config.load import load_params, study_root


@click.command()
def promote() -> None:
    """Register the winner and the baseline in MLflow.

    They become versions of one registered model, named after data and network, with the aliases champion and baseline.
    MLflow can load and serve them without losstune. A second run adds nothing.
    """
    run_stage("promote")


@click.group(cls=InOrder)
def track() -> None:
    """Synchronise MLflow with the records."""


@track.command()
def sync() -> None:
    """Add every finished training that MLflow lacks.

    The records on disk are the source of truth. This command restores MLflow after mlflow.db or mlruns was deleted or
    the tracking server was unreachable, and shows what an interrupted stage has finished. The report is added, too.
    Trains nothing. A second run adds nothing.
    """
    run_stage("sync")


@click.command()
@click.option("--port", default=5000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
def ui(port: int, host: str) -> None:
    """Open the MLflow UI on this machine.

    It listens on 127.0.0.1, which other machines can't reach, unless `--host` is given: MLflow has no password. Ctrl-C
    ends it.
    """
    from losstune.stages.interrupts import interruptible
    from losstune.tracking import experiment_of, serve_ui

    params = load_params()
    with interruptible():  # the server must not outlive this process
        serve_ui(params.tracking, study_root(), port, experiment_of(params), host)
