"""Atomic writes, and text with the same bytes on every platform."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil


def canonical_json(value: Any) -> str:
    """Return the one JSON text of `value`: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: If `value` holds a NaN or an infinity, which JSON cannot express.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """Return the SHA-256 (64 hex digits) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write `content` so that a reader, or a crash, finds the old file or the new one, never a part.

    The content is written beside `path`, flushed to the disk, and renamed over it.

    Raises:
        OSError: If the folder cannot be written; nothing is left behind then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    payload = content.encode() if isinstance(content, str) else content
    # Not tempfile, whose files nobody else may read, and they keep that when renamed.
    part = path.with_name(part_name(path))
    try:
        with part.open("xb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException as error:
        # Even on a full disk, where it makes room; what a crash leaves is named so that nothing takes it for whole.
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # writing, unlike opening, does not set it
        raise
    with suppress(OSError):
        remove_stale_parts(path)


def part_name(path: Path) -> str:
    """Return a name, beside `path`, for what is to become it; it names the writing process."""
    return f".{path.name}.{os.getpid()}-{secrets.token_hex(8)}.part"


def remove_stale_parts(path: Path) -> None:
    """Remove what writers of `path` that were killed have left beside it."""
    for kind in ("part", "old", "part-journal"):
        for found in path.parent.glob(f".{glob.escape(path.name)}.*-*.{kind}"):
            writer = found.name.removeprefix(f".{path.name}.").partition("-")[0]
            if writer.isdigit() and not psutil.pid_exists(int(writer)):
                shutil.rmtree(found, ignore_errors=True) if found.is_dir() else found.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, atomically."""
    write_atomically(
        path, json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )
