from __future__ import annotations

import pytest

from losstune.losses.tools import cases, hunt, measure, suite


@pytest.fixture(autouse=True)
def _light(request, monkeypatch):
    """Try every check on every loss, on fewer draws than `losstune losses check` takes; all of them with --full."""
    if request.config.getoption("--full"):
        return
    monkeypatch.setattr(hunt, "MAX_EXAMPLES", 30)
    monkeypatch.setattr(cases, "NUM_INNER_BITS", 0)
    monkeypatch.setattr(measure, "NUM_DRAWS", 400)
    monkeypatch.setattr(measure, "NUM_LINES", 16)
    monkeypatch.setattr(measure, "NUM_POSTERIORS", 4)


@pytest.fixture
def claims_alone(request, monkeypatch):
    """Leave out what the test of the whole catalogue holds against the same functions: all but their claims."""
    if not request.config.getoption("--full"):
        monkeypatch.setattr(suite, "EVERYWHERE", {})
        monkeypatch.setattr(suite, "ONCE", {})
        monkeypatch.setattr(suite, "hunt", lambda spec: None)
