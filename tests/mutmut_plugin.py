"""Loaded by mutmut alone (see benchmarks/mutants.py): which tests judge a mutant, and in which order."""

from __future__ import annotations

import pytest
from mutmut.state import state

_by_fixtures: set[str] = set()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call():
    """A fixture with a wide scope calls a function once, before the first of the tests that it serves."""
    _by_fixtures.update(state()._stats)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown():
    state()._stats.update(_by_fixtures)


def pytest_collection_modifyitems(items):
    """The quickest first: most mutants fail one of them."""
    items.sort(key=lambda item: state().duration_by_test.get(item.nodeid, 0))
