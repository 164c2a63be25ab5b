"""Commands on the loss catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from losstune.cli.output import InOrder, echo_row, num_columns, require_choice
from losstune.core.errors import LosstuneError, UnfinishedStudyError
from losstune.core.gc_pause import collection_paused


@click.group(cls=InOrder, invoke_without_command=True)
@click.pass_context
def losses(ctx: click.Context) -> None:
    """Browse the loss catalogue. Without a subcommand: a table of it."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_losses)


@losses.command("list")
@click.option("--family", help="Only losses of this family.")
@click.option("--with", "having", multiple=True, metavar="TRAIT", help="Only losses with this trait; repeatable.")
@click.option(
    "--without", "lacking", multiple=True, metavar="TRAIT", help="Only losses without this trait; repeatable."
)
@click.option("--sort", "order", default="name", show_default=True, help="name, family, year, scale or bound.")
def list_losses(
    family: str | None = None, having: tuple[str, ...] = (), lacking: tuple[str, ...] = (), order: str = "name"
) -> None:
    """Print a table of losses: name, family, hyperparameters, properties, source.

    Traits are convex, proper, recoverable, bounded, symmetric, shift-invariant, smooth, soft-targets, hyperparameters,
    class-frequencies, maskable and normalised-head. `losstune losses list --with bounded --without hyperparameters`.
    """
    from typing import get_args

    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    with collection_paused():
        from losstune.losses.spec import Family
        from losstune.losses.tools.catalogue import ORDERS, TRAITS, choose, table_rows

    if family is not None:
        require_choice("--family", family, get_args(Family))
    for option, given in (("--with", having), ("--without", lacking)):
        for trait in given:
            require_choice(option, trait, TRAITS)
    require_choice("--sort", order, ORDERS)
    chosen = choose(family=family, having=having, lacking=lacking, order=order)
    table = Table(box=SIMPLE, pad_edge=False, show_edge=False)
    for title in ("loss", "family", "hyperparameters", "properties", "source"):
        table.add_column(title, no_wrap=title in {"loss", "family"})
    for row in table_rows(chosen):
        table.add_row(*row)
    console = Console(width=num_columns(), highlight=False)
    console.print(table)
    console.print(f"{len(chosen)} losses; `losstune losses describe NAME` describes one", markup=False)


@losses.command()
@click.argument("name")
def describe(name: str) -> None:
    """Describe a loss: formula, source, use, identities, and its code in plain PyTorch."""
    from losstune.losses.tools.catalogue import description

    stands_for, rows, code = description(name)
    if stands_for:
        click.echo(stands_for)
    indent = max(len(title) for title, _ in rows) + 2
    for title, text in rows:
        echo_row(title, text, indent=indent)
    click.echo(f"\n# In plain PyTorch:\n{code}", nl=False)


@losses.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--classes", default=10, show_default=True, type=click.IntRange(2), help="Number of classes.")
@click.option(
    "--output", default="losses.svg", show_default=True, type=click.Path(path_type=Path), help="The SVG file to write."
)
def plot(names: tuple[str, ...], classes: int, output: Path) -> None:
    """Plot losses in one figure.

    Draws value and gradient against the margin z_y - z_j, equal for all other classes j, and against the true class's
    probability p_y, where the size of the gradient is |phi'(p)| p (1 - p). A NAME may set hyperparameters:
    `losstune losses plot focal focal:gamma=0.5 gce:q=0.3`.
    """
    from losstune.core.files import write_atomically
    from losstune.losses.tools.catalogue import bound_loss
    from losstune.losses.tools.gallery import figure_svg

    bound = {name: bound_loss(name) for name in names}
    if not output.parent.is_dir():
        raise LosstuneError(f"--output: {output.parent}: no such folder")
    if output.is_dir():
        raise LosstuneError(f"--output: {output} is a folder, expected a file to write, such as losses.svg")
    write_atomically(output, figure_svg(bound, classes))
    click.echo(f"wrote {output}")


@losses.command()
def identities() -> None:
    """List the losses that are identical: L_a(z) = a L_b(b z) + c.

    Compares all losses at their published hyperparameters, on unequal class frequencies, for each kind of last layer.
    A study with two identical losses gets a message before it trains.
    """
    from functools import partial

    from losstune.losses.registry import registry
    from losstune.losses.tools.cases import imbalanced
    from losstune.losses.tools.identity import equivalence_classes

    by_head: dict[str, dict[str, Any]] = {}
    for name, spec in registry().items():
        by_head.setdefault(spec.head, {})[name] = partial(imbalanced, spec.bind())
    groups = [group for members in by_head.values() for group in equivalence_classes(members)]
    for group in groups:
        if len(group) > 1:
            click.echo(" = ".join(group))
    click.echo(f"{len(registry())} losses, {len(groups)} of them different")


@losses.command("check")
@click.argument("path")
def check_losses(path: str) -> None:
    """Test your own losses against the contract.

    PATH is a function or class, such as my_losses.py:tilted, or a file that defines one or more LossSpec at its top
    level. Its code is executed. The tests are those of the catalogue: shapes, gradients, extreme logits in every
    precision, over the whole search space. Properties such as convexity are compared with the declared ones, or
    measured if none are declared. They take about ten seconds a loss. The exit code is 1 if a test fails.
    """
    from losstune.core.own_code import is_own
    from losstune.losses.own import spec_of
    from losstune.losses.registry import registry
    from losstune.losses.tools.own import require_usable, same_as
    from losstune.losses.tools.plugin import specs_in
    from losstune.losses.tools.suite import findings

    num_failed = 0
    for spec in [spec_of(path, "PATH")] if is_own(path) else specs_in(Path(path)):
        if not spec.has_properties:
            require_usable(spec, num_classes=10, key="PATH")
        click.echo(spec.name)
        before = num_failed
        for finding in findings(spec):
            num_failed += not finding.passed
            click.echo(f"  {'ok    ' if finding.passed else 'FAILED'}  {finding.check}: {finding.message}")
        is_comparable = num_failed == before and spec.head == "linear"
        for other, how in same_as(spec, registry().values()) if is_comparable else ():
            click.echo(f"  note    identical to {other} of the catalogue: L = {how}")
    if num_failed:
        raise UnfinishedStudyError(f"{path}: {num_failed} checks failed")


@losses.command()
@click.option("--classes", default=10, show_default=True, type=click.IntRange(2), help="Number of classes.")
def scale(classes: int) -> None:
    """Show the gradient size of each loss relative to cross-entropy.

    The first number is |dL/dz_y| at equal logits, the second its mean over standard normal logits, which are similar to
    those of a new network. A loss with ten times the gradient needs a tenth of the learning rate with SGD. AdamW is
    not affected.
    """
    from losstune.losses.registry import registry
    from losstune.losses.scale import gradient_scale

    click.echo(f"{'loss':<22}{'at zero':>12}{'new network':>14}")
    for spec in registry().values():
        scales = [gradient_scale(spec.bind(), classes, spread) for spread in (0.0, 1.0)]
        click.echo(f"{spec.name:<22}{scales[0]:12.3g}{scales[1]:14.3g}")
