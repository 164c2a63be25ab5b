from __future__ import annotations

import pytest

from losstune.statistics import across


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    """No test here is about a bootstrap's precision."""
    monkeypatch.setattr(across, "NUM_RESAMPLES", 199)
