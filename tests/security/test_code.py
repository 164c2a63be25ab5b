"""What the source must not do: open pickles, run text as code, or hand text to a shell."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import REPOSITORY

SOURCES = sorted((REPOSITORY / "src").rglob("*.py"))
UNSAFE_MODULES = {"cloudpickle", "dill", "jsonpickle", "joblib", "marshal", "pickle", "shelve"}
UNSAFE_CALLS = {"eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load"}
LOADS = {"numpy.load": ("allow_pickle", False), "torch.load": ("weights_only", True)}


def unsafe(text: str) -> Iterator[str]:
    """Yield a line for everything in a module that opens a pickle or runs text."""
    tree = ast.parse(text)
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            imported = [node.module or ""]
        else:
            continue
        yield from (
            f"line {node.lineno}: imports {name}" for name in imported if name.partition(".")[0] in UNSAFE_MODULES
        )
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        first, dot, rest = ast.unparse(node.func).partition(".")
        called = names.get(first, first) + dot + rest
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        if called in UNSAFE_CALLS:
            yield f"line {node.lineno}: calls {called}"
        if called in LOADS:
            argument, wanted = LOADS[called]
            value = given.get(argument)
            if not (isinstance(value, ast.Constant) and value.value is wanted):
                yield f"line {node.lineno}: {called} without {argument}={wanted}"
        shell = given.get("shell")
        if shell is not None and not (isinstance(shell, ast.Constant) and shell.value is False):
            yield f"line {node.lineno}: hands text to a shell"


ALLOWED = {
    "own_code.py": ["imports pickle", "imports cloudpickle"],  # for a worker that this process started itself
    "weights_files.py": ["imports pickle"],  # the error of torch.load with weights_only
}
"""What a file may import, and why."""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY / "src")))
def test_no_pickle_is_opened_and_no_text_is_run(path: Path) -> None:
    found = [line.partition(": ")[2] for line in unsafe(path.read_text(encoding="utf-8"))]
    assert found == ALLOWED.get(path.name, [])


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import load",
        "import joblib as j",
        "import numpy as np\nnp.load(path)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "from numpy import load\nload(path, allow_pickle=flag)",
        "import torch\ntorch.load(path)",
        "import torch as t\nt.load(path, weights_only=False)",
        "eval(text)",
        "import os\nos.system(text)",
        "import subprocess\nsubprocess.run(text, shell=True)",
    ],
)
def test_the_check_sees_it(text: str) -> None:
    assert list(unsafe(text))


def test_the_check_sees_the_loads_there_are() -> None:
    loads = [path.name for path in SOURCES if "np.load(" in path.read_text(encoding="utf-8")]
    assert sorted(loads) == ["decoded.py", "encoded.py", "npz.py", "part_digests.py", "prepared.py"]
