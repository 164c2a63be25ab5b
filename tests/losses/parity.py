"""What happens when a loss of the catalogue takes the place of torch's: the rows of ``docs/drop-in.md``, as code.

``python -m tests.losses.parity`` writes them into the page, which also has the definitions of the names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.paths import REPOSITORY

PAGE = REPOSITORY / "docs" / "drop-in.md"
HEAD = "| case | torch | losstune | result |\n|-|-|-|-|\n"


@dataclass(frozen=True)
class Case:
    """A row of the page.

    Attributes:
        id: Its first column, in words.
        torch: Torch's expression; empty if it has none.
        ours: That of losstune.
        equals: If torch's raises, the expression of the same value.
        error: The start of losstune's message, if it raises.
        torch_raises: Whether torch's expression raises.
    """

    id: str
    torch: str
    ours: str
    equals: str = ""
    error: str = ""
    torch_raises: bool = False

    def row(self) -> str:
        if self.error:
            who = "both raise" if self.torch_raises else "losstune raises"
            result = f"{'raises' if not self.torch else who}: {self.error} ..."
        else:
            result = f"torch raises; losstune: as `{self.equals}`" if self.torch_raises else "same value"
        return f"| {self.id} | {f'`{self.torch}`' if self.torch else ''} | `{self.ours}` | {result} |\n"


def same(name: str, torch: str, ours: str) -> Case:
    return Case(name, torch, ours)


def taken(name: str, torch: str, ours: str, equals: str) -> Case:
    return Case(name, torch, ours, equals=equals, torch_raises=True)


def refused(name: str, torch: str, ours: str, error: str, *, by_both: bool = True) -> Case:
    return Case(name, torch, ours, error=error, torch_raises=by_both and bool(torch))


CE = "nn.CrossEntropyLoss"
CASES = [
    same("class indices", f"{CE}()(z, y)", "ce.as_module()(z, y)"),
    same("functional form", 'F.cross_entropy(z, y, reduction="none")', "ce(z, y)"),
    same("reduction: sum", f'{CE}(reduction="sum")(z, y)', 'ce.as_module("sum")(z, y)'),
    same("reduction: none", f'{CE}(reduction="none")(z, y)', 'ce.as_module("none")(z, y)'),
    same("class weights", f"{CE}(w)(z, y)", "ce.as_module(weight=w)(z, y)"),
    same("ignored class", f"{CE}(ignore_index=2)(z, y)", "ce.as_module(ignore_index=2)(z, y)"),
    same(
        "ignored class and class weights",
        f"{CE}(w, ignore_index=2)(z, y)",
        "ce.as_module(weight=w, ignore_index=2)(z, y)",
    ),
    same("all samples ignored: NaN", f"{CE}()(z, y * 0 - 100)", "ce.as_module()(z, y * 0 - 100)"),
    same("label smoothing", f"{CE}(label_smoothing=0.1)(z, y)", "smooth.as_module()(z, y)"),
    same(
        "label smoothing and class weights", f"{CE}(w, label_smoothing=0.1)(z, y)", "smooth.as_module(weight=w)(z, y)"
    ),
    same(
        "the same with an ignored class",
        f"{CE}(w, label_smoothing=0.1, ignore_index=2)(z, y)",
        "smooth.as_module(weight=w, ignore_index=2)(z, y)",
    ),
    same("probabilities", f"{CE}()(z, t)", "ce.as_module()(z, t)"),
    same("probabilities and class weights", f"{CE}(w)(z, t)", "ce.as_module(weight=w)(z, t)"),
    same(
        "probabilities and class weights, reduction: none",
        f'{CE}(w, reduction="none")(z, t)',
        'ce.as_module("none", weight=w)(z, t)',
    ),
    same(
        "probabilities, label smoothing and class weights",
        f"{CE}(w, label_smoothing=0.1)(z, t)",
        "smooth.as_module(weight=w)(z, t)",
    ),
    same("one-hot rows and class weights", f"{CE}(w)(z, hot)", "ce.as_module(weight=w)(z, hot)"),
    same("maps of class indices", f"{CE}(w)(zs, ys)", "ce.as_module(weight=w)(zs, ys)"),
    same("maps of class indices, call", 'F.cross_entropy(zs, ys, reduction="none")', "ce(zs, ys)"),
    same("maps of probabilities", f"{CE}(w)(zs, ts)", "ce.as_module(weight=w)(zs, ts)"),
    same("one sample without a batch", f"{CE}(w)(z[0], y[0])", "ce.as_module(weight=w)(z[0], y[0])"),
    same("one sample with probabilities", f"{CE}(w)(z[0], t[0])", "ce.as_module(weight=w)(z[0], t[0])"),
    same("empty batch: NaN", f"{CE}()(z[:0], y[:0])", "ce.as_module()(z[:0], y[:0])"),
    same("empty batch, reduction: sum", f'{CE}(reduction="sum")(z[:0], t[:0])', 'ce.as_module("sum")(z[:0], t[:0])'),
    same("uint8 indices", f"{CE}()(z, y.byte())", "ce.as_module()(z, y.byte())"),
    taken("int32 indices", f"{CE}()(z, y.int())", "ce.as_module()(z, y.int())", f"{CE}()(z, y)"),
    same(
        "half-precision logits: computed and returned in float32",
        f"{CE}()(z.half().float(), y)",
        "ce.as_module()(z.half(), y)",
    ),
    taken(
        "class weights in float64", f"{CE}(w.double())(z, y)", "ce.as_module(weight=w.double())(z, y)", f"{CE}(w)(z, y)"
    ),
    same("Kullback-Leibler divergence", 'nn.KLDivLoss(reduction="batchmean")(log_p, t)', "kl.as_module()(z, t)"),
    same("NLLLoss", "nn.NLLLoss(w)(log_p, y)", "ce.as_module(weight=w)(z, y)"),
    same("one sigmoid per class", 'nn.BCEWithLogitsLoss(reduction="sum")(z, hot)', 'bce.as_module("sum")(z, y)'),
    same("margins", "5 * nn.MultiMarginLoss()(z, y)", 'get("weston_watkins").as_module()(z, y)'),
    same("squared error of the logits", "nn.MSELoss()(z, hot)", 'get("square").as_module()(z, y)'),
    same("squared error of the probabilities", "5 * nn.MSELoss()(p, hot)", 'get("brier").as_module()(z, y)'),
    same(
        "one logit for two classes: as two logits",
        "nn.BCEWithLogitsLoss()(s, b.float())",
        "ce.as_module()(torch.stack([torch.zeros_like(s), s], 1), b)",
    ),
    refused("one logit for two classes, (N,)", f"{CE}()(s, b)", "ce(s, b)", "logits: found shape (8,), one logit per"),
    refused(
        "one logit for two classes, (N, 1)",
        f"{CE}()(s[:, None], b)",
        "ce(s[:, None], b)",
        "logits: found shape (8, 1), one logit per sample",
    ),
    refused(
        "the same, all samples of class 0: torch returns 0",
        f"{CE}()(s[:, None], 0 * b)",
        "ce(s[:, None], 0 * b)",
        "logits: found shape (8, 1), one logit per sample",
        by_both=False,
    ),
    refused(
        "one logit and floating targets: to torch, 8 classes",
        f"{CE}()(s, b.float())",
        "ce(s, b.float())",
        "logits: found shape (8,), one logit per sample",
        by_both=False,
    ),
    refused(
        "Boolean target",
        f"{CE}()(z, y > 2)",
        "ce(z, y > 2)",
        "target: found torch.bool, expected class indices (target.long())",
    ),
    refused(
        "floating class indices",
        f"{CE}()(z, y.float())",
        "ce(z, y.float())",
        "target: found shape (8,) for logits of shape (8, 5), expected one probability per class",
    ),
    refused(
        "indices of shape (N, 1)",
        f"{CE}()(z, y[:, None])",
        "ce(z, y[:, None])",
        "target: found shape (8, 1) for logits of shape (8, 5), expected one class index per sample",
    ),
    refused(
        "one-hot rows of integers",
        f"{CE}()(z, hot.long())",
        "ce(z, hot.long())",
        "target: found shape (8, 5) for logits of shape (8, 5), expected one class index per sample, (8,); one-hot",
    ),
    refused(
        "class out of range, on the CPU",
        f"{CE}()(z, y + 1)",
        "ce(z, y + 1)",
        "target: found class 5 for logits of 5 classes, expected 0 to 4; classes that count from 1: target - 1",
    ),
    refused(
        "ignored class with probabilities",
        f"{CE}(ignore_index=2)(z, t)",
        "ce.as_module(ignore_index=2)(z, t)",
        "ignore_index: found 2 with probabilities as target",
    ),
    refused(
        "class weights as the first argument",
        f"{CE}(w)(z, y)",
        "ce.as_module(w)(z, y)",
        "reduction: found a tensor, expected one of mean, sum, none; class weights: weight=",
        by_both=False,
    ),
    refused(
        "label smoothing as an option",
        f"{CE}(label_smoothing=0.1)(z, y)",
        "ce.as_module(label_smoothing=0.1)",
        "as_module has no option 'label_smoothing'; label smoothing is a loss of its own",
        by_both=False,
    ),
    refused(
        "class weights as alpha",
        "",
        'get("focal", alpha=[0.5, 2, 1, 1, 3])',
        "focal has no hyperparameter 'alpha'; it has gamma; class weights are an option of the module",
    ),
    refused(
        "probabilities for a loss for class indices",
        "",
        "focal(z, t)",
        "target: found probabilities, but focal takes class indices or one-hot rows; losses that take probabilities",
    ),
    same("one-hot rows for a loss for class indices", "focal(z, y).mean()", "focal.as_module()(z, hot)"),
    refused(
        "class weights and probabilities for a loss that is not linear in them",
        "",
        'get("brier").as_module(weight=w)(z, t)',
        "weight: found class weights with probabilities as target; brier is not linear in the target",
    ),
]


def definitions(page: str) -> str:
    """Return the page's Python code that defines the names of the rows."""
    return next(code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "z = " in code)


def table(page: str) -> str:
    """Return the page's table."""
    return page[page.index(HEAD) + len(HEAD) :]


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(text.removesuffix(table(text)) + "".join(case.row() for case in CASES), encoding="utf-8")
