"""For the whole suite."""

from __future__ import annotations

import gc

import pytest


@pytest.fixture(scope="session", autouse=True)
def _thaw():
    """Undo what `losstune.startup` froze: at exit nanobind would tell everything frozen here as leaked."""
    yield
    gc.unfreeze()
