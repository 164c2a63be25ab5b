"""The house keeps its shape: imports run downward, and a library has one door."""

import ast
import json
import os
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest

from losstune.core.sources import LOSSTUNE

# From the ground up. A package imports itself and what stands below it, never sideways or up.
FLOORS = (
    {"core", "statistics"},
    {"config", "losses"},
    {"data", "models"},
    {"training"},
    {"study"},
    {"execution", "tracking", "verdict"},
    {"advice", "report"},
    {"stages"},
    {"packs"},
    {"api", "cli"},
    {"__main__"},
)
LEVELS = {part: level for level, parts in enumerate(FLOORS) for part in parts}
DOORS = {
    "ray": "losstune.execution.trials",
    "mlflow": "losstune.tracking",
    "optuna": "losstune.study.search",
    "fsspec": "losstune.study.shared_ledger",
    "pyarrow": "losstune.data.table",
    "datasets": "losstune.data.huggingface",
    "scikit_posthocs": "losstune.statistics",
}
DYNAMIC_IMPORTERS = {
    "losstune",
    "losstune.core.own_code",
    "losstune.losses",
    "losstune.losses.registry",
    "losstune.cli.study",
}
MODULES = sorted(LOSSTUNE.modules)


def part_of(module: str) -> str:
    """Return the module or package right below ``losstune``; an empty text for ``losstune`` itself."""
    return module.partition(".")[2].partition(".")[0]


def tree_of(module: str) -> ast.Module:
    return ast.parse(LOSSTUNE.modules[module].read_text(encoding="utf-8"))


def imported_names(module: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return names


def imported_libraries(module: str) -> set[str]:
    roots = {name.partition(".")[0] for name in imported_names(module)}
    return roots - {"losstune"} - set(sys.stdlib_module_names)


def test_no_module_lies_beside_the_packages():
    root = LOSSTUNE.root
    assert {path.stem for path in root.glob("*.py")} == {"__init__", "__main__"}
    assert {part_of(module) for module in MODULES} == LEVELS.keys() | {""}


def test_no_file_is_long():
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in LOSSTUNE.modules.items()}
    assert not {name: length for name, length in lengths.items() if length > 350}


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downward(module):
    part = part_of(module)
    for imported in LOSSTUNE.imports(module):
        other = part_of(imported)
        if other not in {"", part}:
            assert LEVELS[other] < LEVELS[part], f"{module} imports {imported}, which does not stand below it"


def test_no_two_modules_import_each_other():
    # A package and what lies in it may: that is how a package offers what its modules hold.
    graph = {
        module: {other for other in LOSSTUNE.imports(module) if not module.startswith(f"{other}.")}
        for module in MODULES
    }
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize(("library", "door"), DOORS.items())
def test_a_library_has_one_door(library, door):
    importers = {module for module in MODULES if library in imported_libraries(module)}
    assert importers
    assert not {module for module in importers if module != door and not module.startswith(f"{door}.")}


TOOLS = "losstune.losses.tools"
LOSSES = [name for name in MODULES if part_of(name) == "losses" and not name.startswith(TOOLS)]


@pytest.mark.parametrize("module", LOSSES)
def test_a_loss_needs_only_torch_and_entmax(module):
    outside = {name for name in LOSSTUNE.imports(module) if part_of(name) not in {"", "losses"}}
    doors = {"losstune.losses.registry", "losstune.losses.own"}
    assert outside <= (
        {"losstune.core", "losstune.core.errors", "losstune.core.own_code"} if module in doors else set()
    )
    assert not [name for name in LOSSTUNE.imports(module) if name.startswith(TOOLS)]
    assert imported_libraries(module) <= {"torch", "entmax"}


def test_only_the_registry_knows_the_losses():
    shared = {
        f"losstune.losses.{name}"
        for name in ("facts", "inputs", "module", "own", "ranges", "registry", "scale", "snippet", "spec", "targets")
    }
    losses = set(LOSSES) - shared - {"losstune.losses"}
    for module in set(MODULES) - set(LOSSES):
        assert not imported_names(module) & losses, f"{module} imports a loss by name"


METRICS = [f"losstune.training.{name}" for name in ("metrics", "decision_metrics", "ranking_metrics")]


@pytest.mark.parametrize("module", [*METRICS, *(name for name in MODULES if part_of(name) == "statistics")])
def test_numbers_know_nothing_of_the_project(module):
    assert {part_of(name) for name in LOSSTUNE.imports(module)} <= {"", part_of(module)}
    assert module not in METRICS or LOSSTUNE.imports(module) == {"losstune", "losstune.training"}


@pytest.mark.parametrize("module", MODULES)
def test_static_analysis_sees_every_import(module):
    # What is imported by a name worked out at run time escapes `losstune.core.sources`, and with it the identity
    # of a trial and the deps of a stage. The modules that do so are known to it.
    calls = {ast.unparse(node.func) for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call)}
    dynamic = {"importlib.import_module", "import_module", "__import__", "exec", "eval", "runpy.run_module"}
    if module not in DYNAMIC_IMPORTERS:
        assert not calls & dynamic


def test_training_knows_no_loss_by_name():
    # Or every trial's identity would cover every loss, and a new loss would throw all finished work away.
    closure = LOSSTUNE.closure(["losstune.training.loop"])
    assert {module for module in closure if part_of(module) == "losses"} == {
        "losstune.losses",
        "losstune.losses.facts",
        "losstune.losses.inputs",
        "losstune.losses.module",
        "losstune.losses.ranges",
        "losstune.losses.spec",
        "losstune.losses.targets",
    }


IMPORT_EVERYTHING = """
import json, logging, os, random, sys, warnings
libraries, modules = json.loads(sys.argv[1])
import importlib
for name in libraries:
    importlib.import_module(name)

import numpy, torch
loggers = sorted(logging.root.manager.loggerDict)
touched = []
sys.addaudithook(lambda event, args: touched.append(f"{event} {args}") if event in WRITES or (
    event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")) else None)
def state():
    return {
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "files": sorted(os.listdir()),
        "search path": list(sys.path),
        "warning filters": [str(item) for item in warnings.filters],
        "logger levels": {name: logging.getLogger(name).level for name in loggers},
        "root handlers": [str(item) for item in logging.root.handlers],
        "torch threads": torch.get_num_threads(),
        "torch dtype": str(torch.get_default_dtype()),
        "torch stream": torch.get_rng_state().tolist()[:64],
        "numpy stream": str(numpy.random.get_state()[1][:8]),
        "python stream": str(random.getstate()),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }
changed = {}
for name in modules:
    touched.clear()
    before = state()
    importlib.import_module(name)
    after = state()
    effects = [key for key in before if before[key] != after[key]] + touched
    if effects:
        changed[name] = effects
print(json.dumps(changed))
"""


def test_no_import_has_a_side_effect(tmp_path):
    # The libraries come first: what they do when imported is theirs.
    from_the_ground_up = sorted(MODULES, key=lambda module: (LEVELS.get(part_of(module), -1), module))
    libraries = sorted({name for module in MODULES for name in imported_names(module)} - set(MODULES))
    libraries = [name for name in libraries if name.partition(".")[0] != "losstune"]
    writes = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "subprocess.Popen", "os.system", "socket.connect")
    done = subprocess.run(
        [
            sys.executable,
            "-B",
            "-c",
            f"WRITES = {writes!r}{IMPORT_EVERYTHING}",
            json.dumps([libraries, [module for module in from_the_ground_up if module != "losstune.__main__"]]),
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {}
    assert list(tmp_path.iterdir()) == []
