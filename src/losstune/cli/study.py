"""Commands on a study: check, cost, and the stages of the pipeline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from losstune.cli.output import echo_row
from losstune.config.load import PARAMS_FILE, load_params, study_root
from losstune.config.matrix import MATRIX_FILE, MatrixCell, load_matrix
from losstune.config.schema import Params
from losstune.core.gc_pause import collection_paused

Stage = Callable[[Params, Path, Path], None]


def run_stage(name: str) -> None:
    """Run the module of that name in :mod:`losstune.stages`, in the current folder."""
    from importlib import import_module

    with collection_paused():
        stage: Stage = import_module(f"losstune.stages.{name}").run
    stage(load_params(), Path.cwd(), study_root())


@click.command()
def check() -> None:
    """Check the settings and show what the study will train.

    Checks params.yaml, and matrix.yaml if it exists. Trains nothing.
    """
    params = load_params()
    with collection_paused():
        from losstune.stages.checked import checked_spaces, hints
        from losstune.stages.data_rows import data_rows
        from losstune.stages.device import check_device
        from losstune.stages.own_loop import loop_notes
        from losstune.stages.plan_rows import plan_rows, total_of
        from losstune.study.search import SHARED

    facts = data_rows(params.data, str(PARAMS_FILE))
    check_device(params.resources)
    spaces, own_notes = checked_spaces(params, Path.cwd())
    own_notes += loop_notes(params, spaces, Path.cwd())
    cells = _cells(params)
    shared = [*SHARED, *sorted(params.search_space.training)]
    own = {name: [key for key in space.ranges if key not in shared] for name, space in spaces.items()}
    searched = "; ".join(f"{name} {', '.join(keys)}" for name, keys in own.items() if keys)
    click.echo(f"{PARAMS_FILE} is valid.")
    for name, text in facts:
        echo_row(name, text)
    echo_row("model", f"{params.model_label}, {params.training.epochs} epochs per training")
    echo_row("baseline", params.baseline)
    for name, text in plan_rows(params):
        echo_row(name, text)
    echo_row("searched", f"{', '.join(shared)}" + (f"; {searched}" if searched else ""))
    for line in own_notes:
        echo_row("your code", line)
    for topic, line in hints(params, spaces, Path.cwd()):
        echo_row(topic, line)
    if cells:
        studies = "1 study" if len(cells) == 1 else f"{len(cells)} studies"
        total = total_of(cell.params for cell in cells)
        echo_row("matrix", f"{studies}, {total}: {', '.join(cell.name for cell in cells)}")


@click.command()
def cost() -> None:
    """Show what is left to train, how long, and what it decides.

    Shows for tune and confirm: finished and missing trainings, epochs, core- or GPU-minutes, and the time at which the
    stage will be done. The estimate uses the study's own trainings, or a few test trainings on this machine, which take
    half a minute. For a pooled study, also shows which differences it finds with the power of the report, and how many
    trainings a budget in minutes pays for. Needs prepared data. Writes nothing.
    """
    params = load_params()
    with collection_paused():
        from losstune.stages import cost as stage
    for name, text in stage.rows(params, Path.cwd(), study_root()):
        echo_row(name, text)
    if MATRIX_FILE.exists():
        echo_row("matrix", f"the studies of {MATRIX_FILE} are not counted")


def _cells(params: Params) -> list[MatrixCell]:
    """Check ``matrix.yaml``, and return its studies; none without this file."""
    from losstune.stages.cell_names import check_cell

    cells = list(load_matrix(params)) if MATRIX_FILE.exists() else []
    for cell in cells:
        check_cell(cell)
    return cells


@click.command()
def prepare() -> None:
    """Read the data, split it, and write data/prepared.

    The splits are stratified, disjoint, and seeded by study.seed. If the data has a test split of its own, that is
    used.
    """
    run_stage("prepare")


@click.command()
def features() -> None:
    """Compute the features of a frozen backbone, once.

    With `model.freeze: backbone` and without augmentation, every training sees the same features of an image. They are
    written to data/features, and trainings are those of the last layer alone. Other studies use none.
    """
    run_stage("features")


@click.command()
def tune() -> None:
    """Search the hyperparameters of every loss, with the same budget.

    Trials run on the GPUs, or else on the CPU cores (see `resources` in params.yaml). Writes results/tune. Finished
    trials are kept in .losstune/ledger and are never repeated.
    """
    run_stage("tune")


@click.command()
def confirm() -> None:
    """Retrain the winners on fresh seeds and score them on test data.

    The winners of all losses are trained on the same seeds and scored once on the test split. Within a block all
    losses share initialisation, data order and augmentation, so only the loss differs. Writes results/confirm.
    """
    run_stage("confirm")


@click.command()
def report() -> None:
    """Compute the verdict, and write the report.

    Writes report/report.html with its plots, results.json and metrics.json. Trains nothing.
    """
    run_stage("report")


@click.command()
@click.option("--data", required=True, metavar="NAME", help="A data set of matrix.yaml.")
@click.option("--model", required=True, metavar="NAME", help="A model of matrix.yaml.")
def study(data: str, model: str) -> None:
    """Run one study of a matrix over data and models.

    Runs all four stages in studies/<data>-<model>. matrix.yaml lists what each data set and each model changes in
    params.yaml. `dvc repro` runs all cells, see docs/across.md.
    """
    cell = load_matrix(load_params()).cell(data, model)
    with collection_paused():
        from losstune.stages import cell as stage
    stage.run(cell, Path.cwd(), study_root())
