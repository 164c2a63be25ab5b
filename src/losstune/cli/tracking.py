"""Commands on MLflow: promote, track, ui."""

from __future__ import annotations

import click

from losstune.cli.output import InOrder
from losstune.cli.study import run_stage
from losstune.config.load import load_params, study_root


@click.command()
def promote() -> None:
    """Register the winner and the baseline in MLflow.

    They become versions of one registered model, named by data and network, under the aliases champion and
    baseline. MLflow loads and serves them without losstune. Doing it again adds nothing.
    """
    run_stage("promote")


@click.group(cls=InOrder)
def track() -> None:
    """Keep MLflow in step with the records."""


@track.command()
def sync() -> None:
    """Show in MLflow every finished training that it lacks.

    Records on disk are the truth and MLflow is a view of them: this restores it after mlflow.db or mlruns was
    deleted, or the tracking server was away, and shows what an interrupted stage has finished. The report follows
    where there is one. Nothing is trained, and running it twice adds nothing.
    """
    run_stage("sync")


@click.command()
@click.option(
    "--port", default=5000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
def ui(port: int, host: str) -> None:
    """Open the MLflow UI on this machine.

    It listens on 127.0.0.1, where no other machine reaches it, unless `--host` says otherwise: MLflow asks nobody for
    a password. Ctrl-C ends it.
    """
    from losstune.stages.interrupts import interruptible
    from losstune.tracking import experiment_of, serve_ui

    params = load_params()
    with interruptible():  # the server must not outlive this process
        serve_ui(params.tracking, study_root(), port, experiment_of(params), host)
