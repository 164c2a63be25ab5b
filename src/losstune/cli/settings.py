"""Commands on settings: params, fingerprint."""

from __future__ import annotations

from pathlib import Path

import click

from losstune.config.load import load_params


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
