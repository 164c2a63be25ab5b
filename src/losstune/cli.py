"""The command line. Stages are imported when they are run, so that ``--help`` is quick."""

from __future__ import annotations

import errno
import gc
import shutil
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from losstune import __version__
from losstune.config import Params
from losstune.errors import LosstuneError, UnfinishedStudyError, did_you_mean, printable
from losstune.params import PARAMS_FILE, load_params
from losstune.provenance import study_root
from losstune.quiet import configure_environment
from losstune.startup import collection_paused

EXIT_UNFINISHED, EXIT_MISTAKE, EXIT_INTERRUPTED = 1, 2, 130
MAX_COLUMNS = 100
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)

Stage = Callable[[Params, Path, Path], None]


class _InOrder(click.Group):
    """Lists its commands as they are used, one after the other, and not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": MAX_COLUMNS}
)
@click.version_option(__version__, prog_name="losstune")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Which loss should I train this classifier with, and how sure are we?

    A study lives in a folder with params.yaml and dvc.yaml. There, `dvc repro` runs the stages that are not up
    to date: prepare, tune, confirm, report. They can be run by hand, too. What is finished is never trained
    again: interrupt a stage as you like, and run it again.

    \b
    Exit codes:
      0    done
      1    unfinished: not every training ended; run the stage again
      2    a mistake in settings, data or command, told in one line
      130  interrupted; what is finished is kept
    """  # noqa: D301  (click wants the backspace itself)


@cli.command()
def check() -> None:
    """Validate the settings and say what the study will train.

    That is params.yaml, and matrix.yaml where there is one. Nothing is trained.
    """
    params = load_params()
    from losstune.losses.registry import twin_of
    from losstune.search import SHARED
    from losstune.stages.checked import checked_spaces, hints
    from losstune.stages.confirm import num_crippled
    from losstune.stages.data_rows import data_rows
    from losstune.stages.device import check_device

    told_of_data = data_rows(params.data, str(PARAMS_FILE))
    check_device(params.resources)
    spaces = checked_spaces(params, Path.cwd())
    cells = _cells(params)
    num_losses, num_searches, num_trials = (
        len(params.losses),
        params.tune.num_searches,
        params.tune.trials_per_loss,
    )
    num_blocks = params.confirm.num_blocks
    twin = twin_of(params.baseline, params.losses)
    crippled = num_crippled(params)
    num_confirmed = num_losses * num_blocks + (twin is not None) + crippled
    control = f" + 1 control ({twin} as {params.baseline})" if twin else ""
    control += f" + {crippled} of the crippled {params.baseline}" if crippled else ""
    at_most = "at most " if params.confirm.stopping == "anytime" else ""
    own = {name: [key for key in space.ranges if key not in SHARED] for name, space in spaces.items()}
    searched = "; ".join(f"{name} {', '.join(keys)}" for name, keys in own.items() if keys)
    click.echo(f"{PARAMS_FILE} is valid.")
    for name, text in told_of_data:
        _echo_row(name, text)
    _echo_row("model", f"{params.model.name}, {params.training.epochs} epochs a training")
    _echo_row("baseline", params.baseline)
    _echo_row(
        "tune",
        f"{num_losses} losses x {num_searches} searches x {num_trials} trials = "
        f"{num_losses * num_searches * num_trials} trainings",
    )
    _echo_row(
        "confirm", f"{num_losses} losses x {num_blocks} blocks{control} = {at_most}{num_confirmed} trainings"
    )
    _echo_row("searched", f"{', '.join(SHARED)}" + (f"; {searched}" if searched else ""))
    for topic, line in hints(params, spaces, Path.cwd()):
        _echo_row(topic, line)
    if cells:
        _echo_row("matrix", f"{len(cells)} studies: {', '.join(cells)}")


@cli.command()
def cost() -> None:
    """Say what is left to train, and how long that takes.

    For tune and confirm: trainings that are kept and to train, epochs, core- or GPU-minutes, and from when to when the
    clock will say that it is done. Timed by what the study has trained, or by a few trainings on this machine, up
    to half a minute in all. The data has to be prepared. Nothing of the study is written.
    """
    params = load_params()
    with collection_paused():
        from losstune.stages import cost as stage
    for name, text in stage.rows(params, Path.cwd(), study_root()):
        _echo_row(name, text)


def _cells(params: Params) -> list[str]:
    """Return the names of the studies of ``matrix.yaml``, checked; none where there is no such file."""
    from losstune.matrix import MATRIX_FILE, load_matrix
    from losstune.stages.cell_names import check_cell

    cells = list(load_matrix(params)) if MATRIX_FILE.exists() else []
    for cell in cells:
        check_cell(cell)
    return [cell.name for cell in cells]


def _echo_row(name: str, text: str, indent: int = 10) -> None:
    """Print a name and a text that is wrapped beside it, within the width of the help."""
    width = min(shutil.get_terminal_size((MAX_COLUMNS, 24)).columns, MAX_COLUMNS)
    margin = " " * indent
    lines = textwrap.wrap(text, max(width - indent, 20), break_on_hyphens=False, break_long_words=False)
    click.echo(
        "\n".join((name.ljust(indent) if number == 0 else margin) + line for number, line in enumerate(lines))
    )


def _run(name: str) -> None:
    from importlib import import_module

    with collection_paused():
        stage: Stage = import_module(f"losstune.stages.{name}").run
    stage(load_params(), Path.cwd(), study_root())


@cli.command()
def prepare() -> None:
    """Read the data, split it, and write data/prepared.

    The splits are stratified, seeded by study.seed, and disjoint. The data's own test split is used where it
    has one.
    """
    _run("prepare")


@cli.command()
def tune() -> None:
    """Search every loss's hyperparameters on the same budget.

    Trials run on the GPUs there are, or else on the CPU cores (see `resources` in params.yaml). Writes
    results/tune. Finished trials are kept in .losstune/ledger and never trained again.
    """
    _run("tune")


@cli.command()
def confirm() -> None:
    """Retrain the winners on fresh seeds, score them on test data.

    Every loss's winner is trained on the same seeds and scored once on the test split. In a block all losses
    share initialisation, data order and augmentation, so that their differences are the losses'. Writes
    results/confirm.
    """
    _run("confirm")


@cli.command()
def report() -> None:
    """Draw the verdict, as a page, as data and in a few lines.

    Writes report/report.html with its plots, results.json and metrics.json. Nothing is trained.
    """
    _run("report")


@cli.command()
@click.option("--data", required=True, metavar="NAME", help="A data set of matrix.yaml.")
@click.option("--model", required=True, metavar="NAME", help="A model of matrix.yaml.")
def study(data: str, model: str) -> None:
    """Run one study of a matrix over data and models.

    All four stages, one after the other, in studies/<data>-<model>. matrix.yaml says what each data set and each
    model changes in params.yaml. `dvc repro` runs all cells, see docs/across.md.
    """
    from losstune.matrix import load_matrix

    cell = load_matrix(load_params()).cell(data, model)
    with collection_paused():
        from losstune.stages import cell as stage
    stage.run(cell, Path.cwd(), study_root())


@cli.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER]...")
@click.option(
    "--output",
    default="across",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write to.",
)
def across(folders: tuple[Path, ...], output: Path) -> None:
    """Compare several studies: ranks, robust means, verdicts.

    Each FOLDER holds a study's results.json; without any, they are those of matrix.yaml. Writes across.html with its
    plots, and across.json. Nothing is trained.
    """
    if not folders:
        from losstune.matrix import load_matrix

        folders = tuple(cell.folder for cell in load_matrix(load_params()))
    from losstune.stages import across as stage

    stage.run(folders, output)


@cli.command()
def promote() -> None:
    """Register the winner and the baseline in MLflow.

    They become versions of one registered model, named by data and network, under the aliases champion and
    baseline. MLflow loads and serves them without losstune. Doing it again adds nothing.
    """
    _run("promote")


@cli.group(cls=_InOrder, invoke_without_command=True)
@click.pass_context
def losses(ctx: click.Context) -> None:
    """Look at the loss catalogue; by itself, a table of it."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_losses)


@losses.command("list")
@click.option("--family", help="Only losses of this family.")
@click.option(
    "--with", "having", multiple=True, metavar="TRAIT", help="Only losses with it; may be repeated."
)
@click.option(
    "--without", "lacking", multiple=True, metavar="TRAIT", help="Only losses without it; may be repeated."
)
@click.option(
    "--sort", "order", default="name", show_default=True, help="name, family, year, scale or bound."
)
def list_losses(
    family: str | None = None,
    having: tuple[str, ...] = (),
    lacking: tuple[str, ...] = (),
    order: str = "name",
) -> None:
    """Print a table of losses: name, family, hyperparameters, properties, source.

    Traits are convex, proper, recoverable, bounded, symmetric, shift-invariant, smooth, soft-targets, hyperparameters,
    class-frequencies, maskable and normalised-head. `losstune losses list --with bounded --without hyperparameters`.
    """
    from typing import get_args

    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    from losstune.catalogue import ORDERS, TRAITS, choose, table_rows
    from losstune.losses.spec import Family

    for option, given, allowed in (
        ("--family", (family,) if family else (), get_args(Family)),
        ("--with", having, TRAITS),
        ("--without", lacking, TRAITS),
        ("--sort", (order,), ORDERS),
    ):
        for value in given:
            if value not in allowed:
                names = list(allowed)
                raise LosstuneError(
                    f"{option}: found {value!r}, expected one of {', '.join(names)}{did_you_mean(value, names)}"
                )
    chosen = choose(family=family, having=having, lacking=lacking, order=order)
    table = Table(box=SIMPLE, pad_edge=False, show_edge=False)
    for title in ("loss", "family", "hyperparameters", "properties", "source"):
        table.add_column(title, no_wrap=title in {"loss", "family"})
    for row in table_rows(chosen):
        table.add_row(*row)
    width = min(shutil.get_terminal_size((MAX_COLUMNS, 24)).columns, MAX_COLUMNS)
    console = Console(width=width, highlight=False)
    console.print(table)
    console.print(f"{len(chosen)} losses; `losstune losses describe NAME` says more of one", markup=False)


@losses.command()
@click.argument("name")
def describe(name: str) -> None:
    """Say what a loss is: formula, source, use, identities, and its code in plain PyTorch."""
    from losstune.catalogue import description

    stands_for, rows, code = description(name)
    if stands_for:
        click.echo(stands_for)
    indent = max(len(title) for title, _ in rows) + 2
    for title, text in rows:
        _echo_row(title, text, indent=indent)
    click.echo(f"\n# In plain PyTorch, to copy:\n{code}", nl=False)


@losses.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--classes", default=10, show_default=True, type=click.IntRange(2), help="Number of classes.")
@click.option(
    "--output",
    default="losses.svg",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The SVG file to write.",
)
def plot(names: tuple[str, ...], classes: int, output: Path) -> None:
    """Draw losses over each other.

    Value and gradient against the margin z_y - z_j, the same for all other classes j, and against the true class's
    probability p_y; the last is the weight |phi'(p)| p (1 - p) with which a sample pulls. A NAME may set
    hyperparameters: `losstune losses plot focal focal:gamma=0.5 gce:q=0.3`.
    """
    from losstune.catalogue import bound_loss
    from losstune.files import write_atomically
    from losstune.gallery import figure_svg

    bound = {name: bound_loss(name) for name in names}
    if not output.parent.is_dir():
        raise LosstuneError(f"--output: {output.parent}: no such folder")
    if output.is_dir():
        raise LosstuneError(f"--output: {output} is a folder, expected a file to write, such as losses.svg")
    write_atomically(output, figure_svg(bound, classes))
    click.echo(f"wrote {output}")


@losses.command()
def identities() -> None:
    """Compare all losses and say which are one: L_a(z) = a L_b(b z) + c.

    At their published hyperparameters, on unequal class frequencies, and for one kind of last layer at a time. A study
    that names two losses of one class is told so before it trains.
    """
    from functools import partial

    from losstune.identity import equivalence_classes
    from losstune.losses.registry import registry
    from losstune.testing.cases import imbalanced

    by_head: dict[str, dict[str, Any]] = {}
    for name, spec in registry().items():
        by_head.setdefault(spec.head, {})[name] = partial(imbalanced, spec.bind())
    groups = [group for members in by_head.values() for group in equivalence_classes(members)]
    for group in groups:
        if len(group) > 1:
            click.echo(" = ".join(group))
    click.echo(f"{len(registry())} losses, {len(groups)} of them different")


@losses.command("check")
@click.argument("path", type=click.Path(path_type=Path))
def check_losses(path: Path) -> None:
    """Hold the losses in a Python file against the contract.

    PATH defines one or more LossSpec at its top level; its code is run. Everything that the catalogue's losses have
    to pass is checked over their search spaces: shapes, gradients, extreme logits in every precision, and the
    properties that the spec declares, which are measured. About ten seconds a loss. Exit code 1 if anything fails.
    """
    from losstune.testing.plugin import specs_in
    from losstune.testing.suite import findings

    num_failed = 0
    for spec in specs_in(path):
        click.echo(spec.name)
        for finding in findings(spec):
            num_failed += not finding.passed
            click.echo(f"  {'ok    ' if finding.passed else 'FAILED'}  {finding.check}: {finding.message}")
    if num_failed:
        raise UnfinishedStudyError(f"{path}: {num_failed} checks failed")


@losses.command()
@click.option("--classes", default=10, show_default=True, type=click.IntRange(2), help="Number of classes.")
def scale(classes: int) -> None:
    """Say how hard each loss pulls on the true class, beside cross-entropy.

    The first number is the pull at equal logits, |dL/dz_y| relative to cross_entropy's; the second the mean over
    logits drawn from a standard normal distribution, about a new network's. A loss that pulls ten times harder
    wants a tenth of SGD's learning rate; AdamW doesn't mind.
    """
    from losstune.losses.registry import registry
    from losstune.losses.scale import gradient_scale

    click.echo(f"{'loss':<22}{'at zero':>12}{'new network':>14}")
    for spec in registry().values():
        pulls = [gradient_scale(spec.bind(), classes, spread) for spread in (0.0, 1.0)]
        click.echo(f"{spec.name:<22}{pulls[0]:12.3g}{pulls[1]:14.3g}")


@cli.group(cls=_InOrder)
def track() -> None:
    """Keep MLflow in step with the records."""


@track.command()
def sync() -> None:
    """Show in MLflow every finished training that it lacks.

    Records on disk are the truth and MLflow is a view of them: this restores it after mlflow.db or mlruns was
    deleted, or the tracking server was away, and shows what an interrupted stage has finished. The report follows
    where there is one. Nothing is trained, and running it twice adds nothing.
    """
    _run("sync")


@cli.command()
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


@cli.command("compare")
@click.argument("rev_a", metavar="REV_A")
@click.argument("rev_b", metavar="[REV_B]", default="workspace")
@click.option("--format", "form", default="table", show_default=True, help="table, markdown, json or html.")
@click.option("--mlflow", "links", is_flag=True, help="Name the MLflow runs of both sides.")
@click.option("--force", is_flag=True, help="Compare, with a warning, even if the protocols differ.")
def compare(rev_a: str, rev_b: str, form: str, links: bool, force: bool) -> None:
    """Compare two revisions of the study, loss by loss.

    Says what changed in settings, data, code and versions, and what came of it.

    A revision is a branch, a tag, a commit such as HEAD~3, the name of a DVC experiment, or `workspace` for the work
    tree, which REV_B is by default. Both sides are read from Git and from DVC's cache; the work tree stays as it is.
    Scores are compared block by block where both sides have the same seeds and test split, else as two samples.
    """
    from losstune.compare.formats import FORMATS, formatted
    from losstune.stages.compare import compare_revisions, with_links

    _check_choice("--format", form, FORMATS)
    comparison = compare_revisions(Path.cwd(), rev_a, rev_b, force=force)
    if links:
        comparison = with_links(comparison, study_root())
    click.echo(formatted(comparison, form, colour=sys.stdout.isatty()), nl=False)


@cli.command("log")
@click.argument("revision", default="HEAD", metavar="[REV]")
@click.option(
    "--plot", "figure", type=click.Path(path_type=Path), metavar="FILE.svg", help="Draw the scores."
)
@click.option("--format", "form", default="table", show_default=True, help="table or json.")
@click.option("-n", "most", type=click.IntRange(1), help="The newest verdicts only.")
def log(revision: str, figure: Path | None, form: str, most: int | None) -> None:
    """Show the study's verdicts along its Git history, newest first.

    Commits that leave results.json as it was are folded into the one that made it. Verdicts of an older layout are
    shown as far as they can be read.
    """
    from losstune.compare.history_formats import FORMATS, history_text
    from losstune.stages.history import draw_history, study_history

    _check_choice("--format", form, FORMATS)
    entries = study_history(Path.cwd(), revision, most)
    if figure is not None:
        draw_history(entries, figure)
    click.echo(history_text(entries, form, colour=sys.stdout.isatty()), nl=False)
    if figure is not None:
        click.echo(f"wrote {figure}", err=form == "json")


def _check_choice(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        names = list(allowed)
        raise LosstuneError(
            f"{option}: found {value!r}, expected one of {', '.join(names)}{did_you_mean(value, names)}"
        )


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line and exit with its code.

    0: done. 1: a study is unfinished. 2: a mistake the user can mend, told in one line. 130: interrupted. With
    ``--debug`` an error ends in its traceback, and with 1.
    """
    configure_environment()
    given = sys.argv[1:] if arguments is None else arguments
    code = 0
    try:
        cli.main(args=given, prog_name="losstune", standalone_mode=False)
    except getattr(
        click.exceptions, "NoArgsIsHelpError", ()
    ) as error:  # help is no mistake; click 8.1 shows it itself
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        more = f"; `{context.command_path} --help` says more" if context is not None else ""
        click.echo(f"losstune: {printable(error.format_message().rstrip('.'))}{more}", err=True)
        code = error.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort):  # click makes the second of the first
        click.echo("interrupted; what is finished is kept, `dvc repro` goes on from there", err=True)
        code = EXIT_INTERRUPTED
    except (LosstuneError, UnfinishedStudyError) as error:
        if "--debug" in given:
            raise
        click.echo(f"losstune: {printable(str(error))}", err=True)
        code = EXIT_MISTAKE if isinstance(error, LosstuneError) else EXIT_UNFINISHED
    except OSError as error:
        # A full or a read-only disk, wherever it shows: the user's to mend, and no secret of the program.
        if "--debug" in given:
            raise
        place = f"{error.filename}: " if error.filename is not None else ""
        more = "; what is finished is kept, run again once that is mended" * (error.errno in DISK_ERRORS)
        click.echo(f"losstune: {printable(f'{place}{error.strerror or error}')}{more}", err=True)
        code = EXIT_MISTAKE
    # Or nanobind tells at the end that what was imported, and is frozen, is leaked.
    gc.unfreeze()
    if code:
        sys.exit(code)
