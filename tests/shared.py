"""What tests of different packages share: folders made once for all workers of pytest-xdist, and a fresh process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from losstune.core import own_code


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return the folder of this name, filled by the first who asks. It is for reading: change a copy."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # the run's, of which each worker has a part
    folder, done = base / name, base / f"{name}.done"
    with FileLock(base / f"{name}.lock"):
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def forget_own_code() -> None:
    """Make this process forget the modules of users that studies of other tests have imported."""
    for name in own_code._loaded:
        sys.modules.pop(name, None)
    own_code._loaded.clear()
