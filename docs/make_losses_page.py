"""Writes ``losses.md``, ``gallery.md`` and ``gallery/*.svg``: ``python docs/make_losses_page.py``."""

from __future__ import annotations

from pathlib import Path

from losstune.losses.registry import registry
from losstune.losses.scale import gradient_scale
from losstune.losses.spec import LossSpec
from losstune.losses.tools.catalogue import choose, traits
from losstune.losses.tools.gallery import figure_svg

PAGE = Path(__file__).with_name("losses.md")
GALLERY = Path(__file__).with_name("gallery.md")
FIGURES = Path(__file__).with_name("gallery")
HEAD = """# The catalogue

The catalogue has {num_losses} losses and {num_aliases} other names for them. `docs/make_losses_page.py` generates this
page from the registry, and a test compares it with the code. In the formulas, p = softmax(z), y is the true class and
C the number of classes.

- **Properties** hold at the published hyperparameters, with one class per sample. `losstune.losses.tools` measures
  each.
- **Scale** is the size of the gradient with respect to the true logit at equal logits, relative to cross-entropy's,
  with 10 and with 100 classes.
- **Masking.** A logit of minus infinity masks its class: the loss is then the finite limit, and the other classes
  still have gradients. "Not maskable" means that the loss is infinite or that no gradient is left.

```python
from losstune.losses import get

criterion = get("focal", gamma=2.0).as_module(reduction="mean")  # in place of nn.CrossEntropyLoss
```

[Losses in place of torch's](drop-in.md) has class weights, soft targets and all other cases. Complete examples: a
[plain loop](examples/plain_loop.py), [Lightning](examples/lightning_module.py) and [Hugging Face's
Trainer](examples/hugging_face_trainer.py). The [gallery](gallery.md) draws every loss.
`losstune losses check my_losses.py` tests a loss of your own.

| loss | formula | hyperparameters | properties | scale |
|-|-|-|-|-|
"""


def page() -> str:
    """Return the page's text."""
    specs = list(registry().values())
    head = HEAD.format(num_losses=len(specs), num_aliases=sum(len(spec.aliases) for spec in specs))
    rows = "".join(_row(spec) for spec in specs)
    aliases = "".join(_alias_rows(spec) for spec in specs)
    sources = "".join(_source(spec) for spec in specs)
    return (
        f"{head}{rows}\n## Other names\n\n| name | of | relation | holds for |\n|-|-|-|-|\n{aliases}"
        f"\n## Sources\n\n{sources}"
    )


def _row(spec: LossSpec) -> str:
    searched = "<br>".join(f"{item.name} = {item.default:g}, {item.range}" for item in spec.hyperparameters)
    scale = " / ".join(f"{gradient_scale(spec.bind(), num):.2g}" for num in (10, 100))
    formula = spec.formula.replace("|", "\\|").replace("<", "&lt;")  # `<q` would begin a tag
    return f"| `{spec.name}` | {formula} | {searched} | {', '.join(traits(spec))} | {scale} |\n"


def _alias_rows(spec: LossSpec) -> str:
    rows = ""
    for alias in spec.aliases:
        at = ", ".join(f"{name} = {value:g}" for name, value in alias.hyperparameters.items())
        of = f"`{spec.name}`{f' at {at}' if at else ''}"
        rows += f"| `{alias.name}` | {of} | {alias.relation} | {alias.condition} |\n"
    return rows


def _source(spec: LossSpec) -> str:
    cited = spec.citation
    return f"- `{spec.name}`: {cited.authors} {cited.year}, *{cited.title}*, {cited.reference}, {cited.equation}\n"


GALLERY_HEAD = """# Gallery

The figures show every loss at its published hyperparameters with 10 classes, in colour, and cross-entropy in grey. All
classes but the true one have the same logit. The margin is z_y - z_j. p_y is the true class's softmax probability, or
that of the loss's own link where the logits are cosines. The last panel shows the weight of a sample in the gradient,
|phi'(p)| p (1 - p). `docs/make_losses_page.py` generates this page from the registry, and a test compares it with the
code.

`losstune losses plot focal focal:gamma=0.5 gce:q=0.3` draws losses and hyperparameters of your choice.
"""


def gallery() -> str:
    """Return the gallery's text."""
    text, family = GALLERY_HEAD, None
    for spec in choose(order="family"):
        if spec.family != family:
            family = spec.family
            text += f"\n## {family[0].upper()}{family[1:]}\n"
        text += f"\n### `{spec.name}`\n\n{spec.summary} {spec.use}\n\n`{spec.formula}`\n"
        text += f"\n![Value and gradient of {spec.name}](gallery/{spec.name}.svg)\n"
    return text


def figures() -> dict[str, str]:
    """Return the gallery's figures as SVG text, by the loss's name."""
    return {spec.name: figure_svg({spec.name: spec.bind()}) for spec in registry().values()}


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    GALLERY.write_text(gallery(), encoding="utf-8")
    FIGURES.mkdir(exist_ok=True)
    for name, svg in figures().items():
        (FIGURES / f"{name}.svg").write_text(svg, encoding="utf-8")
