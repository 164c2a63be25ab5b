import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from losstune.core.sources import LOSSTUNE, SourceTree, code_digest, modules_of_stage, transitive_imports

FILES = {
    "__init__.py": '"""A package."""\n',
    "alone.py": "import os\nX = 1\n",
    "low.py": "Y = 2\n",
    "middle.py": "from pkg.low import Y\nimport json\n",
    "lazy.py": "def f():\n    from pkg import middle\n    return middle\n",
    "guarded.py": "try:\n    import pkg.low as low\nexcept ImportError:\n    low = None\n",
    "inner/__init__.py": "from pkg.inner.deep import helper\n",
    "inner/deep.py": "from ..low import Y\nfrom . import twin\ndef helper(): ...\n",
    "inner/twin.py": "",
    "inner/page.html.j2": "<p>",
    "inner/py.typed": "",
    "named.py": "from pkg.inner import twin, helper\n",
    "outer.py": "from pkg import inner\n",
    "plugins/__init__.py": "",
    "plugins/one.py": "from pkg import low\n",
    "plugins/two.py": "",
    "plugins/finder.py": "import pkgutil\n",
    "left.py": "from pkg import right\n",
    "right.py": "from pkg import left\n",
}


def make(root: Path, **changed: str) -> SourceTree:
    for name, text in (FILES | changed).items():
        path = root / "pkg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return SourceTree(root / "pkg", "pkg", {"pkg.plugins.finder": "pkg.plugins"})


@pytest.fixture
def tree(tmp_path) -> SourceTree:
    return make(tmp_path)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("pkg.alone", {"pkg", "pkg.alone"}),
        ("pkg.middle", {"pkg", "pkg.middle", "pkg.low"}),
        ("pkg.lazy", {"pkg", "pkg.lazy", "pkg.middle", "pkg.low"}),
        ("pkg.guarded", {"pkg", "pkg.guarded", "pkg.low"}),
        ("pkg.inner.twin", {"pkg", "pkg.inner", "pkg.inner.deep", "pkg.inner.twin", "pkg.low"}),
        ("pkg.named", {"pkg", "pkg.named", "pkg.inner", "pkg.inner.deep", "pkg.inner.twin", "pkg.low"}),
        ("pkg.outer", {"pkg", "pkg.outer", "pkg.inner", "pkg.inner.deep", "pkg.inner.twin", "pkg.low"}),
        ("pkg.plugins.two", {"pkg", "pkg.plugins", "pkg.plugins.two"}),
        (
            "pkg.plugins.finder",
            {"pkg", "pkg.plugins", "pkg.plugins.finder", "pkg.plugins.one", "pkg.plugins.two", "pkg.low"},
        ),
        ("pkg.left", {"pkg", "pkg.left", "pkg.right"}),
    ],
)
def test_closure(tree, module, expected):
    assert tree.closure([module]) == expected


def test_closure_is_what_python_imports(tree, tmp_path):
    # The oracle is Python itself, for modules without lazy or discovered imports.
    for module in ("pkg.alone", "pkg.middle", "pkg.guarded", "pkg.inner.twin", "pkg.named", "pkg.outer", "pkg.left"):
        script = f"import sys, {module}; print(*[name for name in sys.modules if name.split('.')[0] == 'pkg'])"
        done = subprocess.run(
            [sys.executable, "-B", "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        assert tree.closure([module]) == set(done.stdout.split())


def test_only_the_top_level_where_asked(tree):
    assert tree.imports("pkg.lazy", inside_functions=False) == {"pkg"}
    assert tree.imports("pkg.lazy") == {"pkg", "pkg.middle"}


def test_a_class_body_is_top_level(tmp_path):
    tree = make(tmp_path, **{"alone.py": "class A:\n    from pkg import low\n"})
    assert tree.imports("pkg.alone", inside_functions=False) == {"pkg", "pkg.low"}


def test_an_unknown_module_is_an_error(tree):
    with pytest.raises(ValueError, match=r"pkg has no module 'pkg\.none'"):
        tree.closure(["pkg.none"])


BEFORE = '''"""Head."""
import math


class A:
    """Doc."""

    x: int = 1
    """Below a variable."""

    def f(self, a, b=2):
        """Doc."""
        # why
        return {"a": f"{a!r:>{b}} {self.x + 1}", 'b': (a, b)}
'''
SAME = {
    "a comment": BEFORE.replace("# why", "# because\n        # of this"),
    "a docstring": BEFORE.replace('"""Doc."""', '"""Other words."""'),
    "a docstring less": BEFORE.replace('        """Doc."""\n', ""),
    "quotes": BEFORE.replace("'b'", '"b"'),
    "line breaks": BEFORE.replace("a, b=2", "\n        a,\n        b=2,\n    "),
    "parentheses": BEFORE.replace("self.x + 1", "(self.x + 1)"),
    "Windows line ends": BEFORE.replace("\n", "\r\n"),
}
OTHER = {
    "a constant": BEFORE.replace("b=2", "b=3"),
    "a constant's type": BEFORE.replace("b=2", "b=2.0"),
    "true for one": BEFORE.replace("b=2", "b=True"),
    "text for a number": BEFORE.replace("b=2", "b='2'"),
    "a name": BEFORE.replace("def f", "def g"),
    "an operator": BEFORE.replace("self.x + 1", "self.x - 1"),
    "an operand's order": BEFORE.replace("self.x + 1", "1 + self.x"),
    "an annotation": BEFORE.replace("x: int", "x: float"),
    "a format": BEFORE.replace("!r", "!s"),
    "an import": BEFORE.replace("import math", "import cmath as math"),
    "a statement": BEFORE.replace("# why", "del b"),
}


@pytest.mark.parametrize("change", SAME)
def test_the_digest_does_not_see(change, tmp_path):
    before = make(tmp_path / "a", **{"alone.py": BEFORE}).digest(["pkg.alone"])
    assert SAME[change] != BEFORE
    assert make(tmp_path / "b", **{"alone.py": SAME[change]}).digest(["pkg.alone"]) == before


@pytest.mark.parametrize("change", OTHER)
def test_the_digest_sees(change, tmp_path):
    before = make(tmp_path / "a", **{"alone.py": BEFORE}).digest(["pkg.alone"])
    assert OTHER[change] != BEFORE
    assert make(tmp_path / "b", **{"alone.py": OTHER[change]}).digest(["pkg.alone"]) != before


def test_the_digest_sees_what_is_imported_and_nothing_else(tmp_path):
    before = make(tmp_path / "a").digest(["pkg.lazy"])
    assert make(tmp_path / "b", **{"low.py": "Y = 3\n"}).digest(["pkg.lazy"]) != before
    assert make(tmp_path / "c", **{"alone.py": "Y = 3\n"}).digest(["pkg.lazy"]) == before


def test_the_digest_covers_all_modules_named(tree):
    assert len({tree.digest([a]) for a in ("pkg.low", "pkg.alone")} | {tree.digest(["pkg.low", "pkg.alone"])}) == 3
    assert tree.digest(["pkg.low", "pkg.alone"]) == tree.digest(["pkg.alone", "pkg.low"])


@pytest.mark.integration
def test_a_moved_checkout_has_the_same_digest(tmp_path):
    copy = tmp_path / "elsewhere" / "losstune"
    shutil.copytree(LOSSTUNE.root, copy, ignore=shutil.ignore_patterns("__pycache__"))
    everything = list(LOSSTUNE.modules)
    assert SourceTree(copy, "losstune", LOSSTUNE.discovers).digest(everything) == LOSSTUNE.digest(everything)


def test_the_digest_is_the_same_in_every_python(tmp_path):
    text = (
        "async def f(a, /, *b, c: int = 1, **d):\n"
        "    return f\"{a!r:>{c}} {d['x']=} {{}}\" 'tail' if (n := len(b)) else -1.5e-7j\n"
        "match f:\n    case {'a': [1, *_], **rest} if rest: pass\n    case _: raise ValueError from None\n"
    )
    # Worked out with Python 3.11.7, 3.12.1 and 3.13.0, which agree.
    assert make(tmp_path, **{"alone.py": text}).digest(["pkg.alone"]) == (
        "11c109b9e35a81151d6ad4a64879dac5a826ddf7c33b85b11e20f94cf86e5184"
    )


def test_the_registry_rests_on_every_loss():
    losses = {name for name in LOSSTUNE.modules if name.startswith("losstune.losses")}
    losses = {name for name in losses if not name.startswith("losstune.losses.tools")}
    assert losses <= transitive_imports("losstune.losses.registry")


def test_a_loss_rests_on_no_other_loss_and_not_on_the_pipeline():
    assert transitive_imports("losstune.losses.spec") == {
        "losstune",
        "losstune.losses",
        "losstune.losses.facts",
        "losstune.losses.inputs",
        "losstune.losses.module",
        "losstune.losses.spec",
        "losstune.losses.ranges",
        "losstune.losses.targets",
    }


def test_code_digest_is_one_per_set_of_modules():
    assert code_digest("losstune.core.files") == LOSSTUNE.digest(["losstune.core.files"])
    assert code_digest("losstune.core.files") != code_digest("losstune.core.files", "losstune.core.seeds")
    with pytest.raises(ValueError, match="no module"):
        code_digest("losstune.none")


def test_a_stage_runs_the_command_line_and_no_other_stage():
    modules = modules_of_stage("prepare")
    assert {name for name in LOSSTUNE.modules if name.startswith("losstune.cli")} <= modules
    assert {"losstune.stages.prepare", "losstune.data.splits"} <= modules
    # The command line imports these inside a function, for a stage of their own.
    assert not {"losstune.stages.tune", "losstune.stages.report", "losstune.report.page"} & modules


def test_an_unknown_stage_is_an_error():
    with pytest.raises(ValueError, match=r"no module"):
        modules_of_stage("none")
