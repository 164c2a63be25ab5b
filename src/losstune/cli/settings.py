"""Commands on settings: params, fingerprint."""

from __future__ import annotations

import click


@click.command()
@click.argument("key", default="", metavar="[KEY]")
def params(key: str) -> None:
    """Show every setting with its default and its meaning.

    KEY shows a part: a section such as data, or a key such as tune.metric. A study's params.yaml needs only the keys
    that differ from their defaults.
    """
    from losstune.config.defaults import documented_defaults

    click.echo(documented_defaults(key), nl=False)
