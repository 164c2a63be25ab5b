"""Mutation testing: change the code in one place and see whether a test fails.

python benchmarks/mutants.py                             # every module of `only_mutate` in pyproject.toml
python benchmarks/mutants.py losstune.statistics.paired  # one module; a package names all of its modules
python benchmarks/mutants.py --sample 40                 # at most 40 mutants of each module, drawn with a fixed seed

mutmut mutates a copy of each module below build/mutants and runs the tests that mirror it:
tests/<package>/test_<module>.py or, where there is no such file, the tests of the package. An interrupted run
continues where it stopped. A module whose code has changed starts anew; where tests or other code have changed, its
survivors are judged again. `mutmut browse` in build/mutants/<module> shows them.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from contextlib import suppress
from pathlib import Path

from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.stats import status_by_exit_code
from mutmut.utils.format_utils import get_mutant_name

REPOSITORY = Path(__file__).resolve().parents[1]
WORK = REPOSITORY / "build" / "mutants"
KILLED = ("killed", "timeout", "segfault")


def modules(only: list[str]) -> list[Path]:
    """Return the sources to mutate, relative to the repository."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["mutmut"]
    found = sorted({path for pattern in settings["only_mutate"] for path in REPOSITORY.glob(pattern)})
    sources = [path.relative_to(REPOSITORY) for path in found if path.name != "__init__.py"]
    known = {name: [path for path in sources if f"{dotted(path)}.".startswith(f"{name}.")] for name in only}
    for name, chosen in known.items():
        if not chosen:
            sys.exit(f"{name}: expected a module or package of {', '.join(map(dotted, sources))}")
    return [path for chosen in known.values() for path in chosen] if only else sources


def dotted(source: Path) -> str:
    """Return the name of the module in `source`."""
    return ".".join(source.with_suffix("").parts[1:])


def mirror(source: Path) -> Path:
    """Return the tests of a module: its own file or, where there is none, its package's folder."""
    folder = Path("tests", *source.parent.parts[2:])
    own = folder / f"test_{source.name}"
    return own if (REPOSITORY / own).exists() else folder


def without_decorators(code: str) -> str:
    """Apply decorators by assignment after the function, because mutmut skips decorated functions."""
    lines = code.splitlines()
    functions = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)]
    for function in sorted(functions, key=lambda node: -node.lineno):
        names = [ast.unparse(decorator) for decorator in function.decorator_list]
        if not names or any(re.search(r"classmethod|staticmethod|overload|\.setter", name) for name in names):
            continue
        assert function.end_lineno is not None
        call = function.name
        for name in reversed(names):
            call = f"{name}({call})"
        lines.insert(function.end_lineno, f"{' ' * function.col_offset}{function.name} = {call}")
        del lines[function.decorator_list[0].lineno - 1 : function.lineno - 1]
    return "\n".join(lines) + "\n"


def digest(*folders: Path) -> str:
    """Return a hash of the Python files in these folders."""
    files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def prepare(source: Path) -> Path:
    """Return the folder in which mutmut judges `source`, with the verdicts that still hold."""
    folder = WORK / dotted(source)
    code = without_decorators((REPOSITORY / source).read_text())
    if not (folder / source).exists() or (folder / source).read_text() != code:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "mutants").mkdir(parents=True)  # a folder of PYTHONPATH that is missing at first is never searched
        for name in ("tests", "params.yaml", "matrix.yaml", "dvc.yaml", "docs"):
            (folder / name).symlink_to(REPOSITORY / name)
    shutil.rmtree(folder / "src", ignore_errors=True)
    shutil.copytree(REPOSITORY / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    (folder / source).write_text(code)
    settings = (REPOSITORY / "pyproject.toml").read_text()
    selection = f'only_mutate = ["{source}"]\npytest_add_cli_args_test_selection = ["{mirror(source)}"]\n'
    (folder / "pyproject.toml").write_text(re.sub(r"only_mutate = \[.*?\n\]\n", selection, settings, flags=re.DOTALL))

    stamp, found = folder / "others.sha256", digest(REPOSITORY / "src", REPOSITORY / "tests")
    if not stamp.exists() or stamp.read_text() != found:
        (folder / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
        if meta(folder, source).exists():
            document = json.loads(meta(folder, source).read_text())
            codes = document["exit_code_by_key"]
            codes |= {name: None for name in codes if status_by_exit_code[codes[name]] not in KILLED}
            meta(folder, source).write_text(json.dumps(document))
        stamp.write_text(found)
    return folder


def meta(folder: Path, source: Path) -> Path:
    """Return the file in which mutmut keeps the exit code of each mutant's tests."""
    return folder / "mutants" / f"{source}.meta"


def verdicts(folder: Path, source: Path) -> dict[str, int | None]:
    """Return the exit codes so far; none while mutmut is writing them."""
    try:
        return dict(json.loads(meta(folder, source).read_text())["exit_code_by_key"])
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def judge(source: Path, sample: int | None, children: int) -> Counter[str]:
    """Run the tests on the mutants of one module and return how many ended how."""
    folder = prepare(source)
    code = (folder / source).read_text()
    names = [get_mutant_name(source, name) for name in mutate_file_contents(str(source), code).mutant_names]
    chosen = names
    if sample is not None and sample < len(names):
        chosen = random.Random(f"{source}").sample(names, sample)
    left = [name for name in chosen if verdicts(folder, source).get(name) is None]
    if left:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        environment["PYTHONPATH"] = str(folder / "mutants")
        command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", str(children), *left]
        log = folder / "mutmut.log"
        with log.open("w") as out:
            running = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT)
            while running.poll() is None:
                num_left = sum(code is None for name, code in verdicts(folder, source).items() if name in left)
                progress(f"{dotted(source)}: {num_left or len(left)} of {len(chosen)} to judge")
                with suppress(subprocess.TimeoutExpired):
                    running.wait(2.0)
            progress("")
        if running.returncode:
            print(f"{dotted(source)}: mutmut ended with exit code {running.returncode}; see {log}", file=sys.stderr)
    codes = verdicts(folder, source)
    counts = Counter(status_by_exit_code[codes[name]] for name in chosen if codes.get(name) is not None)
    counts["mutants"] = len(names)
    return counts


def main() -> None:
    """Judge the modules in turn: a line for each, and one for each package."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="*", metavar="MODULE", help="modules or packages, such as losstune.statistics")
    parser.add_argument("--sample", type=int, metavar="N", help="at most so many mutants of each module")
    parser.add_argument("--children", type=int, default=os.cpu_count(), metavar="N", help="tests run at a time")
    arguments = parser.parse_args()
    sources = modules(arguments.only)
    row = "{:<40}{:>9}{:>9}{:>9}{:>10}{:>8}"
    print(row.format("module", "mutants", "judged", "killed", "survived", "rate"))
    totals: dict[str, Counter[str]] = {}
    for source in sources:
        counts = judge(source, arguments.sample, arguments.children)
        totals.setdefault(dotted(source.parent / "_"), Counter()).update(counts)
        print(line(row, dotted(source), counts), flush=True)
    print()
    for package, counts in totals.items():
        print(line(row, package.removesuffix("._"), counts))


def progress(text: str) -> None:
    """Show what is being done, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r{text:<100}\r", end="", file=sys.stderr, flush=True)


def line(row: str, name: str, counts: Counter[str]) -> str:
    """Return one line of the table."""
    killed = sum(counts[status] for status in KILLED)
    judged = sum(counts.values()) - counts["mutants"]
    rate = f"{killed / judged:.1%}" if judged else "-"
    return row.format(name.removeprefix("losstune."), counts["mutants"], judged, killed, judged - killed, rate)


if __name__ == "__main__":
    main()
