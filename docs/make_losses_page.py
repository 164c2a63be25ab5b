"""Writes ``losses.md``, the catalogue as a page, from the registry: ``python docs/make_losses_page.py``."""

from __future__ import annotations

from pathlib import Path

from losstune.losses.registry import registry
from losstune.losses.scale import gradient_scale
from losstune.losses.spec import LossSpec

PAGE = Path(__file__).with_name("losses.md")
PROPER = {"strictly": "strictly proper", "recoverable": "posterior recoverable", "no": "not proper"}
HEAD = """# The catalogue

{num_losses} losses and {num_aliases} other names for them. Generated from the registry by
`docs/make_losses_page.py`; a test holds it to the code. p = softmax(z), y the true class, C classes. Properties are at
the published hyperparameters, with one class per sample, and each of them is measured by `losstune.testing`. The scale
is the loss's pull on the true logit at equal logits, relative to cross-entropy's, with 10 and with 100 classes.

```python
from losstune.losses import get

criterion = get("focal", gamma=2.0).as_module(reduction="mean")  # in place of nn.CrossEntropyLoss
```

The same in a [plain loop](examples/plain_loop.py), in [Lightning](examples/lightning_module.py) and in
[Hugging Face's Trainer](examples/hugging_face_trainer.py). A loss of your own: `losstune losses check my_losses.py`.

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
    properties = spec.properties
    bound = properties.bound_at(10)
    claims = [
        *(["convex"] if properties.convex else []),
        PROPER[properties.proper],
        *([f"at most {bound:.3g}"] if bound is not None else []),
        *(["symmetric"] if properties.symmetric else []),
        *(["soft targets"] if spec.soft_targets else []),
        *(["class frequencies"] if spec.needs_counts else []),
        *(["normalised head"] if spec.head == "normalised" else []),
    ]
    searched = "<br>".join(f"{item.name} = {item.default:g}, {item.range}" for item in spec.hyperparameters)
    scale = " / ".join(f"{gradient_scale(spec.bind(), num):.2g}" for num in (10, 100))
    formula = spec.formula.replace("|", "\\|")
    return f"| `{spec.name}` | {formula} | {searched} | {', '.join(claims)} | {scale} |\n"


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


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
