"""Commands that lay out a study: init, params, fingerprint."""

from __future__ import annotations

from pathlib import Path

import click

from losstune.cli.output import echo_row
from losstune.config.load import load_params
from losstune.core.gc_pause import collection_paused


@click.command()
@click.argument("path", default="digits")
@click.option(
    "--model",
    metavar="NAME",
    help="mlp, cnn, resnet, resnet9, torchvision:<builder>, timm:<model>, or my_models.py:build.",
)
@click.option(
    "--losses",
    metavar="SET",
    help="screen, robust, imbalanced or all. By default, what `losstune advise` says, or else screen.",
)
@click.option("--no-scm", is_flag=True, help="Let DVC do without Git. This is so where there is no Git repository.")
def init(path: str, model: str | None, losses: str | None, no_scm: bool) -> None:
    """Lay out a study in this folder, for the data at PATH.

    PATH is a folder of images or of Hugging Face's save_to_disk, an .npz file, a table (.csv, .parquet), the name of a
    torchvision data set, digits, or a loader of your own (my_data.py:load). Shows what the data is, and writes
    params.yaml with what it chose, and dvc.yaml. Runs `dvc init` if need be. Overwrites nothing: a second run shows
    what differs. Trains nothing.
    """
    with collection_paused():
        from losstune.stages import init as stage

    for name, text in stage.run(Path.cwd(), path, model, losses, no_scm=no_scm):
        if name == "diff":
            click.echo(f"          {text}")
        else:
            echo_row(name, text)


@click.command()
@click.argument("key", default="", metavar="[KEY]")
def params(key: str) -> None:
    """Show every setting with its default and its meaning.

    KEY shows a part: a section such as data, or a key such as tune.metric. A study's params.yaml needs only the keys
    that differ from their defaults.
    """
    from losstune.config.defaults import documented_defaults

    click.echo(documented_defaults(key), nl=False)


@click.command()
@click.option("--data", is_flag=True, help="Count the data's files, too, by name, size and time.")
def fingerprint(data: bool) -> None:
    """Write down what each stage depends on, for DVC.

    Writes fingerprints/<stage>.json: losstune's version and code, your own code, and the settings with their defaults.
    DVC runs a stage again when its file changes. `losstune init` writes a dvc.yaml that does so. Takes about a second.
    """
    from losstune.stages import fingerprint as stage

    stage.run(load_params(), Path.cwd(), with_data=data)
