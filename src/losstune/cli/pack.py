"""Commands on study packs: list, run."""

from __future__ import annotations

from pathlib import Path

import click

from losstune.cli.output import InOrder, num_columns
from losstune.core.gc_pause import collection_paused

FOLDER = Path("packs")
"""The folder that holds a folder for each pack."""


@click.group(cls=InOrder, invoke_without_command=True)
@click.pass_context
def pack(ctx: click.Context) -> None:
    """Repeat prior studies at a smaller size. Without a subcommand: a table of them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_packs)


@pack.command("list")
def list_packs() -> None:
    """Print a table of packs: name, source, claims, cells and duration."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    from losstune.packs.loading import library_names, load_pack

    table = Table(box=SIMPLE, pad_edge=False, show_edge=False)
    for title in ("pack", "about", "claims", "cells", "minutes"):
        table.add_column(title, no_wrap=title != "about", justify="right" if title in {"claims", "minutes"} else "left")
    for name in library_names():
        content = load_pack(name).content
        cells = "\n".join(f"{cell}*" if facts.needs else cell for cell, facts in content.cells.items())
        minutes = "-" if content.minutes is None else f"{content.minutes:g}"
        table.add_row(name, content.title, str(len(content.claims)), cells, minutes)
    console = Console(width=num_columns(), highlight=False)
    console.print(table)
    console.print(
        "* needs data that losstune does not bring; minutes: of the others on 2 free cores, at most", markup=False
    )
    console.print("`losstune pack run NAME` runs one, see docs/packs.md", markup=False)


@pack.command("run")
@click.argument("name", metavar="NAME")
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), help="The folder to write to.  [default: packs/NAME]"
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The folder of data that some cells need. Without it, these cells are not run.",
)
def run_pack(name: str, folder: Path | None, data: Path | None) -> None:
    """Run a pack's studies, and compare them with the published claims.

    NAME is a pack of `losstune pack list`, or the path of your own folder with a pack.yaml. Each of its cells is a
    study in FOLDER. Ends in a table of claims, and writes it as pack.json and pack.md. Finished trainings are kept, so
    you can interrupt it and run it again. A finished pack only prints its table.
    """
    from losstune.packs.loading import load_pack

    loaded = load_pack(name, data)
    with collection_paused():
        from losstune.packs import run
    run.run(loaded, FOLDER / loaded.name if folder is None else folder)
