"""Every recipe of the documents: fenced blocks, and the commands of tables headed `command`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from losstune.config.schema import Params
from losstune.packs.schema import Pack
from tests.paths import REPOSITORY

DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
SECTIONS = {*Params.model_fields, "matrix"}
PROGRAMS = {".", "curl", "dvc", "export", "git", "losstune", "make", "mlflow", "pip", "python", "ray", ".ci/run"}

_FENCE = re.compile(r"^ *```(?P<kind>[\w-]*)[^\n]*\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_COMMAND_TABLE = re.compile(r"^\| *commands? *\|.*\n\|[-| :]+\n(?P<rows>(?:\|.*\n?)+)", re.MULTILINE)
_ASSIGNMENT = re.compile(r"\w+=\S*")


@dataclass(frozen=True)
class Recipe:
    """A fenced block, or a command of a table.

    Attributes:
        place: Document and line, to be found by.
        kind: What the fence says, such as ``yaml``; ``command`` for a table's.
        text: Between the fences.
    """

    place: str
    kind: str
    text: str


@dataclass(frozen=True)
class Command:
    """A line of a shell block.

    Attributes:
        line: Without the prompt, its comment and its continuation.
        words: Of it, without assignments before the program.
        shown: What the document shows it to print, "" if nothing.
    """

    line: str
    words: tuple[str, ...]
    shown: str = ""


def recipes() -> Iterator[Recipe]:
    """Yield every recipe of every document."""
    for path in DOCUMENTS:
        text, name = path.read_text(encoding="utf-8"), path.relative_to(REPOSITORY).as_posix()
        for found in _FENCE.finditer(text):
            yield Recipe(f"{name}:{_line(text, found.start())}", found["kind"], found["text"])
        for table in _COMMAND_TABLE.finditer(text):
            for row in table["rows"].splitlines():
                for number, command in enumerate(re.findall(r"`([^`]+)`", row.split("|")[1])):
                    line = _line(text, table.start("rows") + table["rows"].index(row))
                    yield Recipe(f"{name}:{line}.{number}", "command", command)


def settings(recipe: Recipe) -> list[dict[str, Any]]:
    """Return the pieces of settings in a YAML block: itself and, where every line has one beside it, the comments'."""
    lines = recipe.text.splitlines()
    texts = [recipe.text]
    if all("#" in line for line in lines if line.strip()):
        texts.append("\n".join(line.partition("#")[2].removeprefix(" ") for line in lines))
    found = []
    for text in texts:
        try:
            values = YAML(typ="safe", pure=True).load(text)
        except YAMLError:
            assert text is not recipe.text, f"{recipe.place}: no YAML"
            continue
        if isinstance(values, dict) and (values.keys() <= SECTIONS or values.keys() <= Pack.model_fields.keys()):
            found.append(values)
    assert found, f"{recipe.place}: no settings of params.yaml or matrix.yaml, and no pack"
    return found


def commands(recipe: Recipe) -> list[Command]:
    """Return a shell block's commands; none if it is no such block.

    Lines with a prompt are commands, and those after them what they print. Without a prompt all lines are commands if
    the first one begins with a program.
    """
    lines = recipe.text.replace("\\\n", " ").splitlines()
    if not any(line.startswith("$ ") for line in lines):
        if recipe.kind not in ("bash", "sh", "command") and not (lines and _program(lines[0]) in PROGRAMS):
            return []
        lines = [f"$ {line}" for line in lines if line.strip() and not line.lstrip().startswith("#")]
    found: list[Command] = []
    for number, line in enumerate(lines):
        if line.startswith("$ "):
            after = lines[number + 1] if number + 1 < len(lines) else ""
            shown = "" if after.startswith("$ ") else after
            text = re.split(r"\s+#", line.removeprefix("$ "))[0].strip()
            parts = re.split(r" *(?:;|&&) +", text)
            found += [Command(part, _words(part), shown) for part in parts]
    return found


def _program(line: str) -> str:
    words = _words(line)
    return words[0] if words else ""


def _words(line: str) -> tuple[str, ...]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # prose with an apostrophe
        return ()
    while len(words) > 1 and _ASSIGNMENT.fullmatch(words[0]):
        words = words[1:]
    return tuple(words)


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def expand_braces(path: str) -> list[Path]:
    """Return what a shell makes of ``a/{b,c}``."""
    found = re.search(r"\{([^{}]*)\}", path)
    if not found:
        return [Path(path)]
    return [
        expanded
        for choice in found[1].split(",")
        for expanded in expand_braces(path[: found.start()] + choice + path[found.end() :])
    ]
