"""Commands on several studies, or on several revisions of one: across, compare, log."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from losstune.cli.output import require_choice
from losstune.config.load import load_params, study_root


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER]...")
@click.option(
    "--output",
    default="across",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write to.",
)
@click.option("--or-links", is_flag=True, help="If they can't be ranked together, write a page of links and say why.")
def across(folders: tuple[Path, ...], output: Path, or_links: bool) -> None:
    """Compare several studies: ranks, robust means, verdicts.

    Each FOLDER holds a study's results.json. Without a FOLDER, the studies in matrix.yaml are compared. Writes
    across.html with its plots, and across.json. Trains nothing.
    """
    if not folders:
        from losstune.config.matrix import load_matrix

        folders = tuple(cell.folder for cell in load_matrix(load_params()))
    from losstune.stages import across as stage

    stage.run(folders, output, or_links=or_links)


@click.command("compare")
@click.argument("rev_a", metavar="REV_A")
@click.argument("rev_b", metavar="[REV_B]", default="workspace")
@click.option("--format", "form", default="table", show_default=True, help="table, markdown, json or html.")
@click.option("--mlflow", "links", is_flag=True, help="Show links to the MLflow runs of both revisions.")
@click.option("--force", is_flag=True, help="Compare with a warning even if the protocols differ.")
def compare(rev_a: str, rev_b: str, form: str, links: bool, force: bool) -> None:
    """Compare two revisions of the study, loss by loss.

    Shows what changed in settings, data, code and versions, and how the scores changed.

    A revision is a branch, a tag, a commit such as HEAD~3, the name of a DVC experiment, or `workspace` for the work
    tree (the default of REV_B). Both are read from Git and DVC's cache; the work tree is not changed. If both have
    the same seeds and test split, scores are compared block by block, else as two samples.
    """
    from losstune.report.compare.formats import FORMATS, formatted
    from losstune.stages.compare import compare_revisions, with_links

    require_choice("--format", form, FORMATS)
    comparison = compare_revisions(Path.cwd(), rev_a, rev_b, force=force)
    if links:
        comparison = with_links(comparison, study_root())
    click.echo(formatted(comparison, form, colour=sys.stdout.isatty()), nl=False)


@click.command("log")
@click.argument("revision", default="HEAD", metavar="[REV]")
@click.option("--plot", "figure", type=click.Path(path_type=Path), metavar="FILE.svg", help="Draw the scores.")
@click.option("--format", "form", default="table", show_default=True, help="table or json.")
@click.option("-n", "most", type=click.IntRange(1), help="Only this many verdicts.")
def log(revision: str, figure: Path | None, form: str, most: int | None) -> None:
    """Show the study's verdicts along its Git history, newest first.

    Commits that do not change results.json are folded into the one before. Of results in an older format, what can be
    read is shown.
    """
    from losstune.report.compare.history_formats import FORMATS, history_text
    from losstune.stages.history import draw_history, study_history

    require_choice("--format", form, FORMATS)
    entries = study_history(Path.cwd(), revision, most)
    if figure is not None:
        draw_history(entries, figure)
    click.echo(history_text(entries, form, colour=sys.stdout.isatty()), nl=False)
    if figure is not None:
        click.echo(f"wrote {figure}", err=form == "json")
