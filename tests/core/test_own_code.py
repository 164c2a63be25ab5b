import pickle
import subprocess
import sys

import pytest

from losstune.core import local_code
from losstune.core.errors import LosstuneError
from losstune.core.own_code import bundle, code_digest, install, is_own, libraries, load, local_files
from tests.shared import forget_own_code


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study's folder, which is the working directory; the process forgets its modules afterwards."""
    folder = tmp_path / "study"
    folder.mkdir()
    forget_own_code()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(local_code, "_folder", None)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        del sys.modules[name]
    forget_own_code()


def write(folder, files=None, /, **modules):
    """Write files by their paths, and modules of the folder by their names."""
    for name, text in ((files or {}) | {f"{name}.py": text for name, text in modules.items()}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


NET = {
    "lib/net.py": "from near import B\nfrom top import A\ndef build():\n    return A + B\n",
    "lib/near.py": "B = 2\n",
    "top.py": "A = 1\n",
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cnn", False),
        ("torchvision:resnet18", False),
        ("timm:resnet18", False),
        ("my_models.py:build", True),
        ("my_models:build", True),
        ("lib/my_models.py:build", True),
    ],
)
def test_what_is_a_reference(name, expected):
    assert is_own(name) is expected


def test_by_file_and_by_module_it_is_the_same(study):
    write(study, my_models="def build():\n    return 'network'\n")
    assert load("my_models.py:build", "model.name")() == "network"
    assert load("my_models:build", "model.name") is load("my_models.py:build", "model.name")
    assert code_digest("my_models:build") == code_digest("my_models.py:build")


def test_a_file_imports_its_neighbours_and_the_study_s_modules(study):
    write(study, NET)
    assert load("lib/net.py:build", "model.name")() == 3
    assert [path.name for path in local_files("lib/net.py:build")] == ["near.py", "net.py", "top.py"]


def test_a_package_is_imported_as_one(study):
    files = {
        "shop/__init__.py": "",
        "shop/models/__init__.py": "from .parts import width\n",
        "shop/models/nets.py": "from . import width\nfrom ..common import depth\ndef build(): return width * depth\n",
        "shop/models/parts.py": "width = 3\n",
        "shop/common.py": "depth = 2\n",
    }
    write(study, files | {"shop/models/unused.py": ""})
    for reference in ("shop/models/nets.py:build", "shop.models.nets:build"):
        assert load(reference, "model.name")() == 6
    assert {path.relative_to(study).as_posix() for path in local_files("shop.models.nets:build")} == files.keys()


def test_an_installed_function_is_one_s_own_without_files(study):
    assert load("json:dumps", "model.name")({}) == "{}"
    assert local_files("numpy.linalg:norm") == []
    assert libraries(["numpy.linalg:norm"]) == ("numpy",)


def test_libraries_are_those_that_the_code_itself_imports(study):
    write(
        study,
        mine="import os, json, yaml_is_not_here\nimport numpy.linalg\nfrom near import X",
        near="import scipy\nX = 1",
    )
    assert libraries(["mine.py:build"]) == ("numpy", "scipy")


CODE = "from near import scale\ndef build(x):\n    return scale * x\n"


def test_the_digest_is_of_what_runs(study):
    write(study, mine=CODE, near="scale = 2\n", other="Z = 1\n")
    before = code_digest("mine.py:build")
    write(study, mine=f'"""Text."""\n\n\n{CODE}  # a comment\n', other="Z = 2\n")
    assert code_digest("mine.py:build") == before
    write(study, near="scale = 3\n")
    assert code_digest("mine.py:build") != before


def test_the_digest_does_not_depend_on_the_folder(study):
    write(study, {"lib/mine.py": CODE, "lib/near.py": "scale = 2\n"}, mine=CODE, near="scale = 2\n")
    assert code_digest("lib/mine.py:build") == code_digest("mine.py:build")
    assert code_digest("mine.py:build") != code_digest("mine.py:other")


def test_an_edited_file_is_imported_anew(study, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)  # as it is for users
    write(study, mine=CODE, near="scale = 2\n")
    assert load("mine.py:build", "model.name")(1) == 2
    write(study, near="scale = 5\n")
    assert load("mine.py:build", "model.name")(1) == 5


def test_two_studies_in_one_process_have_their_own_modules(study, tmp_path, monkeypatch):
    write(study, mine=CODE, near="scale = 2\n")
    assert load("mine.py:build", "model.name")(1) == 2
    write(tmp_path / "other", mine=CODE, near="scale = 7\n")
    monkeypatch.chdir(tmp_path / "other")
    assert load("mine.py:build", "model.name")(1) == 7


def test_the_name_of_a_loaded_module_is_not_taken_over(study):
    write(study, pytest="def build(): ...\n")
    with pytest.raises(LosstuneError, match=r"the name 'pytest' is that of another module, .*; rename the file"):
        load("pytest.py:build", "model.name")


INSTALL = """
import pickle, sys
from losstune.core import own_code
own_code.install(pickle.loads(bytes.fromhex(sys.argv[1])))
print(own_code.load(sys.argv[2], "model.name")())
"""


@pytest.mark.parametrize("reference", ["lib/net.py:build", "../shared/net.py:build", "shop.nets:build"])
def test_a_bundle_runs_where_the_folder_is_not(study, tmp_path, monkeypatch, reference):
    write(study, NET)
    write(tmp_path, {"shared/net.py": NET["lib/net.py"], "shared/near.py": NET["lib/near.py"]})
    # As an editable installation puts it on the path.
    write(
        tmp_path, {"elsewhere/src/shop/__init__.py": "", "elsewhere/src/shop/nets.py": "def build():\n    return 3\n"}
    )
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere/src"))
    found = bundle([reference])
    for folder in ("study", "shared", "elsewhere"):
        (tmp_path / folder).rename(tmp_path / f"moved-{folder}")
    done = subprocess.run(
        [sys.executable, "-c", INSTALL, pickle.dumps(found).hex(), reference],
        cwd=tmp_path,
        env={"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "3\n", done.stderr


def test_a_bundle_uses_the_files_in_place_if_they_are_the_same(study):
    write(study, mine="from pathlib import Path\ndef build():\n    return Path(__file__).parent\n")
    install(bundle(["mine.py:build"]))
    assert load("mine.py:build", "model.name")() == study
