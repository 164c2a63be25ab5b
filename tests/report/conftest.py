from __future__ import annotations

import pytest

from losstune.statistics import paired


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    """No test here is about a bootstrap's precision."""
    monkeypatch.setattr(paired, "NUM_RESAMPLES", 199)
