"""The documented defaults: ``params.yaml`` beside this module has every key with its default and a comment.

Tests hold the file to the schema's defaults.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from losstune.config.schema import Params
from losstune.core.errors import LosstuneError, did_you_mean

FILE = Path(__file__).with_name("params.yaml")


def documented_defaults(key: str = "") -> str:
    """Return the file, or the lines of one section or key, which are valid YAML on their own.

    Args:
        key: Such as ``"data"`` or ``"data.root"``; everything if empty.

    Raises:
        LosstuneError: If there is no such key; the message names the nearest one.
    """
    text = FILE.read_text(encoding="utf-8")
    if not key:
        return text
    _require_key(key)
    section, _, inner = key.partition(".")
    inner = inner.partition(".")[0]  # deeper keys share their line
    chosen, current = [], ["", ""]
    for line in text.splitlines(keepends=True):
        if found := re.match(r"(  )?(\w+):", line):
            current = [current[0], found[2]] if found[1] else [found[2], ""]
        if line.strip() and current[0] == section and (not inner or current[1] in ("", inner)):
            chosen.append(line)
    return "".join(chosen)


def _require_key(key: str) -> None:
    values: Any = Params().model_dump()
    above: list[str] = []
    for part in key.split("."):
        known = list(values) if isinstance(values, dict) else []
        if part not in known:
            where = f" in {'.'.join(above)}" if above else ""
            allowed = f" (allowed here: {', '.join(known)})" if known else ""
            raise LosstuneError(f"unknown key {part!r}{where}{did_you_mean(part, known)}{allowed}")
        values = values[part]
        above.append(part)
