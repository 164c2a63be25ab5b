"""Commands on past verdicts: advise, advice add."""

from __future__ import annotations

from pathlib import Path

import click

from losstune.cli.output import echo_row
from losstune.core.gc_pause import collection_paused


@click.command()
@click.argument("path", default=".")
@click.option("--noise", type=float, metavar="RATE", help="The share of wrong labels that you assume, such as 0.2.")
@click.option(
    "--from",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Another database of verdicts, besides the shipped one and your own. May be repeated.",
)
def advise(path: str, noise: float | None, files: tuple[Path, ...]) -> None:
    """Say which losses are worth a trial on the data at PATH.

    PATH is a study's folder, or data as for `losstune init`. The evidence is the verdicts of past studies on similar
    data; with too little of it, the losses are those of `losstune init --losses screen`. The last line is ready for
    params.yaml. Trains nothing, and sends nothing anywhere.
    """
    with collection_paused():
        from losstune.stages import advise as stage
    for name, text in stage.rows(path, noise, files):
        echo_row(name, text)


@click.group()
def advice() -> None:
    """Extend the database of verdicts with studies of your own."""


@advice.command("add")
@click.argument("folder", default=".", type=click.Path(path_type=Path, file_okay=False), metavar="[STUDY_DIR]")
@click.option(
    "--to",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to add to. By default losstune/verdicts.jsonl in $XDG_DATA_HOME or ~/.local/share.",
)
def add(folder: Path, to: Path | None) -> None:
    """Add the verdicts of the study in STUDY_DIR to your own database.

    One line for each loss; a study that was added before is replaced. The file stays on this machine.
    """
    with collection_paused():
        from losstune.stages import advice_add as stage
    found, total, path = stage.run(folder, to)
    echo_row("added", f"{found} verdicts; {path} has {total}")
