from __future__ import annotations

import pytest

from tests.commands import losstune
from tests.faults.study import FEW, SMALL
from tests.shared import made_once
from tests.test_pipeline import write_params


@pytest.fixture(scope="module")
def small_reference(tmp_path_factory):
    """A small study that nobody disturbed, for reading; MLflow, which has no part in its bytes, is left out."""

    def make(folder):
        write_params(folder, SMALL | FEW | {"tracking.enabled": False})
        for stage in ("prepare", "tune", "confirm"):
            losstune(folder, stage)

    return made_once(tmp_path_factory, "faults", make)
