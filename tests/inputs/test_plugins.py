"""A loss of the user's own that is wrong, in a file for ``losstune losses check`` or as a module of the catalogue."""

from __future__ import annotations

import importlib
import pkgutil
import types
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from losstune.cli import main as cli
from losstune.losses.registry import get, registry
from losstune.losses.tools import suite
from tests.inputs.project import Project, assert_says

BRIER = """
from dataclasses import replace
from losstune.losses.registry import get
brier = get("brier")
"""

FILES: dict[str, tuple[str | bytes | None, str]] = {
    "no file": (None, "mine.py: no such file; expected a Python file that defines a LossSpec"),
    "nothing": ("", "mine.py: found no LossSpec at its top level; expected one, such as SPEC = LossSpec(name=...)"),
    "no loss": ("SPEC = 3", "mine.py: found no LossSpec at its top level"),
    "a function alone": ("def my_loss(logits, target): ...", "mine.py: found no LossSpec at its top level"),
    "a loss of others": ("from losstune.losses.focal import SPEC", "mine.py: found no LossSpec at its top level"),
    "no Python": ("def f(:\n", "mine.py: cannot be run: SyntaxError: invalid syntax (mine.py, line 1)"),
    "an indentation": ("def f():\nreturn 1\n", "mine.py: cannot be run: IndentationError"),
    "no text": (b"# \xe4\n", "mine.py: cannot be run: UnicodeDecodeError"),
    "null characters": (b"a\0b", "mine.py: cannot be run: … source code string cannot contain null bytes"),
    "no such module": ("import nothing_of_the_kind", "cannot be run: ModuleNotFoundError: No module named 'nothing"),
    "no such name": ("from losstune.losses import fokal", "mine.py: cannot be run: ImportError: cannot import name"),
    "an exception": ("raise ValueError('of\\ntwo lines')", "mine.py: cannot be run: ValueError: of two lines"),
    "an exit": ("import sys; sys.exit(0)", "mine.py: cannot be run: SystemExit: 0"),
    "no end": ("def f(): f()\nf()", "mine.py: cannot be run: RecursionError: maximum recursion depth exceeded"),
    "missing attributes": (
        "from losstune.losses.spec import LossSpec\nSPEC = LossSpec(name='mine')",
        "mine.py: cannot be run: TypeError: LossSpec.__init__() missing 6 required keyword-only arguments: 'function'",
    ),
    "an unknown attribute": (
        "from losstune.losses.spec import LossSpec\nSPEC = LossSpec(nmae='mine')",
        "mine.py: cannot be run: TypeError: LossSpec.__init__() got an unexpected keyword argument 'nmae'",
    ),
    "a default out of its domain": (
        "from losstune.losses.spec import Hyperparameter\nfrom losstune.losses.ranges import Domain, FloatRange\n"
        "q = Hyperparameter(name='q', default=5, range=FloatRange(0, 1), source='', domain=Domain(0, 1))",
        "cannot be run: ValueError: q: default and range must be in its domain, a number in [0, 1]; found 5",
    ),
    "a function that is none": (
        f"{BRIER}SPEC = replace(brier, name='mine', function=3)",
        "mine.py: mine.function: found 3, expected a function of logits (N, C)",
    ),
    "no link": (
        f"{BRIER}SPEC = replace(brier, name='mine', link=None)",
        "mine.py: mine.link: found None, expected a function of logits (N, C)",
    ),
    "a name that is none": (
        f"{BRIER}SPEC = replace(brier, name='my loss')",
        "mine.py: found the name 'my loss', expected letters, digits and _, such as 'my_loss'",
    ),
    "no name": (f"{BRIER}SPEC = replace(brier, name=None)", "mine.py: found the name None, expected letters"),
    "a name that is taken": (
        f"{BRIER}SPEC = replace(brier, name='focal')",
        "mine.py: the name 'focal' is taken by a loss of the catalogue, expected another (`losstune losses list`)",
    ),
    "another loss's other name": (
        f"{BRIER}SPEC = replace(brier, name='balanced_softmax')",
        "mine.py: the name 'balanced_softmax' is taken by a loss of the catalogue",
    ),
    "a name twice": (
        f"{BRIER}ONE = replace(brier, name='mine')\nTWO = replace(get('focal'), name='mine')",
        "mine.py: two losses are named 'mine', expected a name for each",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file(project: Project, name: str) -> None:
    text, message = FILES[name]
    if text is not None:
        (project.folder / "mine.py").write_bytes(text.encode() if isinstance(text, str) else text)
    assert_says(project.refused("losses", "check", "mine.py"), message)


@pytest.mark.parametrize(
    ("function", "found"),
    [
        ("lambda z, y: brier.function(z, y).mean()", "shapes and types"),
        ("lambda z, y: brier.function(z.detach(), y)", "RuntimeError: element 0 of tensors does not require grad"),
        ("lambda z, y: {}['no such key']", "KeyError: 'no such key'"),
    ],
    ids=["wrong shape", "not differentiable", "raising"],
)
def test_a_loss_that_breaks_the_contract(
    project: Project, monkeypatch: pytest.MonkeyPatch, function: str, found: str
) -> None:
    # Here the answer counts, not the finding. The whole suite takes a minute on such losses: tests/losses/tools has it.
    monkeypatch.setattr(suite, "_hunted", lambda spec: iter([(True, "not hunted")]))
    monkeypatch.setattr(suite, "CLASS_COUNTS", (4,))
    monkeypatch.setattr(suite, "ONCE", {})
    monkeypatch.setattr(suite, "CLAIMS", {})
    # Not a mistake in the command, but what it was asked to find: exit code 1, as its help says.
    (project.folder / "mine.py").write_text(f"{BRIER}SPEC = replace(brier, name='mine', function={function})")
    ended = project.run("losses", "check", "mine.py")
    assert ended.code == cli.EXIT_UNFINISHED
    failed = [line for line in ended.out.splitlines() if line.startswith("  FAILED  ")]
    assert ended.err == f"losstune: mine.py: {len(failed)} checks failed\n"
    assert any(found in line for line in failed)


def _with(changes: dict[str, Any]) -> Callable[[str], object]:
    mine = types.SimpleNamespace(SPEC=replace(get("brier"), **changes))
    focal = types.SimpleNamespace(SPEC=get("focal"))
    real = importlib.import_module
    modules = {"losstune.losses.mine": mine, "losstune.losses.focal": focal}
    return lambda name: modules.get(name) or real(name)


def test_a_module_of_the_catalogue_whose_name_is_taken(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [types.SimpleNamespace(name=name, ispkg=False) for name in ("focal", "mine")]
    modules = _with({"name": "focal"})
    monkeypatch.setattr("losstune.losses.registry.registry", registry.__wrapped__)
    monkeypatch.setattr(pkgutil, "iter_modules", lambda path: found)
    monkeypatch.setattr(importlib, "import_module", modules)
    line = project.refused("losses", "describe", "mine")
    assert line == "losstune.losses.mine: the name 'focal' is taken by another loss, expected another"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.name": "npz", "model.name": "torchvision:resnet18"}, "model.name: 'torchvision:resnet18' takes images"),
        ({"data.name": "npz", "model.name": "cnn"}, "model.name: 'cnn' takes images, found samples of 5 features"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_take_the_data(project: Project, changes: dict[str, Any], message: str) -> None:
    import numpy as np

    project.write_arrays(images=np.random.default_rng(0).normal(size=(36, 5)))
    project.write(changes)
    assert project.run("prepare").code == 0
    assert_says(project.refused("tune"), message)
