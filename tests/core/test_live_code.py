import functools
import linecache
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn

from losstune.core import live_code, local_code, own_code
from losstune.core.errors import LosstuneError

MODULE = "notebook_of_this_test"


def cell(source, name="build", *, is_known=True, **variables):
    """Return what a cell of a notebook defines: a function or class of a namespace that nobody can import.

    As IPython does, it keeps the source, unless it is not to be known.
    """
    source = textwrap.dedent(source)
    file = f"<cell {len(linecache.cache)}>"
    if is_known:
        linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
    namespace = {"__name__": "__main__", **variables}
    exec(compile(source, file, "exec"), namespace)
    return namespace[name]


def digest_of(source, name="build", **variables):
    return live_code.examine(cell(source, name, **variables), name).digest


BASE = "WIDTH = 8\ndef helper(x):\n    return x * WIDTH\ndef build(n, depth=2):\n    return [helper(n)] * depth\n"


@pytest.mark.parametrize(
    "changed",
    [
        BASE.replace("WIDTH = 8", "WIDTH = 9"),
        BASE.replace("x * WIDTH", "x + WIDTH"),
        BASE.replace("depth=2", "depth=3"),
        BASE.replace("[helper(n)]", "[helper(n + 1)]"),
        BASE.replace("return x * WIDTH", "return (lambda y: y * 8.0)(x)"),
        BASE.replace("WIDTH = 8", "WIDTH = 8.0"),
    ],
)
@pytest.mark.parametrize("is_known", [True, False])
def test_a_change_of_anything_that_it_uses_changes_the_digest(changed, is_known):
    assert digest_of(changed, is_known=is_known) != digest_of(BASE, is_known=is_known)


@pytest.mark.parametrize(
    "same",
    [
        BASE,
        "\n\n# a comment\n" + BASE,
        BASE.replace("    return x * WIDTH", '    """Multiply."""\n    return x*WIDTH  # by the width'),
        BASE + "other = 3\ndef unused():\n    return other\n",
        BASE.replace("def helper", "def unused():\n    return 1\ndef helper"),
    ],
)
@pytest.mark.parametrize("is_known", [True, False])
def test_comments_docstrings_and_other_definitions_do_not(same, is_known):
    assert digest_of(same, is_known=is_known) == digest_of(BASE, is_known=is_known)


def test_an_import_may_stand_in_another_cell():
    # CPython then compiles a call such as torch.exp(x) in another way.
    source = "def build(x):\n    return torch.exp(x)\n"
    assert digest_of(source, torch=torch) == digest_of("import torch\n" + source)


def test_a_lambda_counts_by_its_compiled_code():
    one, same, other = (cell(f"build = [lambda x: x + {number}, lambda x: x][0]\n") for number in (1, 1, 2))
    assert len({live_code.examine(value, "build").digest for value in (one, same)}) == 1
    assert live_code.examine(one, "build").digest != live_code.examine(other, "build").digest


def test_an_attribute_is_no_variable_of_the_same_name():
    source = "def build(x):\n    return x.images\n"
    assert digest_of(source, images=np.zeros(3)) == digest_of(source, images=np.ones(3))


NET = """
class Base(nn.Module):
    def forward(self, x):
        return self.layer(x)
class Net(Base):
    scale = 2.0
    def __init__(self, num_classes, input_shape):
        super().__init__()
        self.layer = nn.Linear(input_shape[0], num_classes)
    @property
    def size(self):
        return self.scale
    @staticmethod
    def twice(x):
        return 2 * x
"""


@pytest.mark.parametrize("old_new", [("self.layer(x)", "self.layer(x) + 1"), ("2.0", "3.0"), ("2 * x", "3 * x")])
def test_a_class_counts_with_its_bases_attributes_and_methods(old_new):
    assert digest_of(NET.replace(*old_new), "Net", nn=nn) != digest_of(NET, "Net", nn=nn)
    assert digest_of(NET, "Net", nn=nn) == digest_of(NET, "Net", nn=nn)


USES = "def build(x):\n    return value\n"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.arange(3), np.arange(3) + 1),
        (np.zeros(3, np.float32), np.zeros(3)),
        (torch.zeros(2, 3), torch.zeros(3, 2)),
        (torch.ones(2, dtype=torch.bfloat16), torch.zeros(2, dtype=torch.bfloat16)),
        (nn.Linear(2, 2), nn.Linear(2, 2)),
        ({1: "a"}, {1: "b"}),
        ({"a", "b"}, {"a", "c"}),
        ([1, [2]], [1, [3]]),
        (functools.partial(max, 1), functools.partial(max, 2)),
        (functools.partial(max, 1), functools.partial(min, 1)),
        (functools.lru_cache(lambda: 1), functools.lru_cache(lambda: 2)),
        (np.exp, np.log),
        (torch.float32, torch.float16),
        (1, True),
    ],
)
def test_values_count_by_their_content(one, other):
    assert digest_of(USES, value=one) != digest_of(USES, value=other)
    assert digest_of(USES, value=one) == digest_of(USES, value=one)


def test_equal_values_that_are_different_objects_are_the_same():
    pair = ["x" * 3, [1, 2]]
    assert digest_of(USES, value=[pair, pair]) == digest_of(USES, value=[["x" * 3, [1, 2]], ["xxx", [1, 2]]])


def test_a_function_may_refer_to_itself_and_to_its_class():
    source = "def build(n):\n    return n and build(n - 1)\n"
    assert digest_of(source) == digest_of(source) != digest_of(source.replace("n - 1", "n - 2"))


def test_the_digest_is_the_same_in_another_process(tmp_path):
    script = tmp_path / "study.py"
    script.write_text(
        "from losstune.core import live_code\nimport torch\nfrom torch import nn\n"
        f"{NET}\nprint(live_code.examine(Net, 'Net').digest)\n"
    )
    runs = {
        subprocess.run(
            [sys.executable, str(script)],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert runs == {digest_of(NET, "Net", nn=nn) + "\n"}


def test_a_value_without_content_is_an_error_that_names_it(tmp_path):
    with (
        (tmp_path / "open.txt").open("w") as file,
        pytest.raises(LosstuneError, match=r"^model: build uses 'value', a TextIOWrapper, whose content can't be told"),
    ):
        live_code.examine(cell(USES, value=file), "model: build")


def test_modules_that_it_uses_are_named():
    function = cell("def build(x):\n    return torch.exp(x), Linear(1, 1)\n", torch=torch, Linear=nn.Linear)
    assert live_code.examine(function, "build").modules == {"torch", "torch.nn.modules.linear"}


@pytest.fixture
def live(monkeypatch):
    """Objects that are known in this process while the test runs."""
    monkeypatch.setattr(live_code, "_objects", {})
    monkeypatch.setattr(local_code, "_folder", None)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield live_code.use
    sys.modules.pop(MODULE, None)


def test_a_local_file_that_it_uses_is_part_of_its_code(live, tmp_path, monkeypatch):
    path = tmp_path / f"{MODULE}.py"
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    digests = []
    for width in (1, 2):
        path.write_text(f"WIDTH = {width}\n")
        sys.modules.pop(MODULE, None)
        helpers = __import__(MODULE)
        live({"__main__:build": cell("def build(x):\n    return helpers.WIDTH\n", helpers=helpers)})
        digests.append(own_code.code_digest("__main__:build"))
        assert own_code.local_files("__main__:build") == [path.resolve()]
    assert digests[0] != digests[1]
    content = own_code.bundle(["__main__:build"])
    assert list(content.files.values()) == ["WIDTH = 2\n"]


def test_a_bundle_carries_it_to_a_process_that_does_not_know_it(live, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    live({"__main__:build": cell(BASE)})
    content = own_code.bundle(["__main__:build"])
    digest = own_code.code_digest("__main__:build")
    monkeypatch.setattr(live_code, "_objects", {})
    own_code.install(content)
    assert own_code.load("__main__:build", "model.name")(3) == [24, 24]
    assert own_code.code_digest("__main__:build") == digest


def test_the_libraries_that_it_uses_count_by_version(live):
    live({"__main__:build": cell("def build(x):\n    return torch.exp(x)\n", torch=torch)})
    assert own_code.libraries(["__main__:build"]) == ("torch",)


def test_what_cannot_be_sent_to_a_worker_is_an_error_that_says_what_to_do(live, tmp_path, monkeypatch):
    import threading

    monkeypatch.chdir(tmp_path)
    live({"__main__:build": cell(USES, value=threading.Lock())})
    with pytest.raises(LosstuneError, match=r"build uses 'value', a lock, whose content can't be told"):
        own_code.bundle(["__main__:build"])


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (nn.Linear, "torch.nn.modules.linear:Linear"),
        (lambda: 1, None),
        (cell(BASE), None),
        (functools.partial(max, 1), None),
        (max, None),
    ],
)
def test_what_can_be_named_by_its_module(own, expected):
    assert own_code.reference_of(own) == expected


def test_a_function_of_a_file_in_the_study_is_named_by_the_file(live, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / f"{MODULE}.py").write_text("def build():\n    return 1\n")
    assert own_code.reference_of(__import__(MODULE).build) == f"{MODULE}.py:build"
