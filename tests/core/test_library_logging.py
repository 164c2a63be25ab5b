import importlib.util
import logging
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from losstune.core.library_logging import ENVIRONMENT, IGNORED_WARNINGS, LOGGER_LEVELS, configure_environment


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    for name in ENVIRONMENT:
        # Set first, so that monkeypatch also removes at the end what the test itself sets.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    levels = {name: logging.getLogger(name).level for name in LOGGER_LEVELS}
    with warnings.catch_warnings():
        yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_sets_every_variable():
    configure_environment()
    assert {name: os.environ.get(name) for name in ENVIRONMENT} == dict(ENVIRONMENT)


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_what_the_user_set_stays(name, monkeypatch):
    monkeypatch.setenv(name, "the user's")
    configure_environment()
    assert os.environ[name] == "the user's"


def test_a_logger_level_of_the_user_stays():
    logger = logging.getLogger("alembic")
    logger.setLevel(logging.DEBUG)
    configure_environment()
    assert logger.level == logging.DEBUG


def test_loggers_keep_quiet_below_their_level():
    for name in LOGGER_LEVELS:
        logging.getLogger(name).setLevel(logging.NOTSET)
    configure_environment()
    assert not logging.getLogger("optuna.storages._in_memory").isEnabledFor(logging.INFO)
    assert logging.getLogger("optuna.storages._in_memory").isEnabledFor(logging.WARNING)
    assert not logging.getLogger("ray.tune.analysis.experiment_analysis").isEnabledFor(logging.WARNING)


def test_twice_is_once(monkeypatch):
    monkeypatch.setattr(sys, "warnoptions", [])
    configure_environment()
    filters = list(warnings.filters)
    configure_environment()
    assert warnings.filters == filters


def test_known_warnings_are_ignored_and_others_are_not(monkeypatch):
    monkeypatch.setattr(sys, "warnoptions", [])
    warnings.simplefilter("always")
    with warnings.catch_warnings(record=True) as caught:
        configure_environment()
        for text in (
            "Argument ``multivariate`` is an experimental feature. The interface can change in the future.",
            "Tip: In future versions of Ray, Ray will no longer override accelerator visible devices env var",
            "something is wrong with your data",
        ):
            warnings.warn(text, stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["something is wrong with your data"]


def test_a_filter_on_the_command_line_stays(monkeypatch):
    monkeypatch.setattr(sys, "warnoptions", ["error"])
    before = list(warnings.filters)
    configure_environment()
    assert warnings.filters == before


@pytest.mark.parametrize("pattern", IGNORED_WARNINGS)
def test_no_pattern_matches_everything(pattern):
    assert not re.match(pattern, "loss became NaN")


@pytest.mark.parametrize("name", [name for name in ENVIRONMENT if name.startswith(("RAY_", "TUNE_", "MLFLOW_", "DO_"))])
def test_the_library_still_reads_the_variable(name):
    # A variable that a newer version has dropped would be set in vain, and its noise would be back.
    package = "ray" if name.startswith(("RAY_", "TUNE_")) else "mlflow"
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    root = Path(spec.origin).parent
    likely = [
        "tune/constants.py",
        "tune/utils/callback.py",
        "tune/experimental/output.py",
        "train/constants.py",
        "_private/ray_constants.py",
        "_common/usage/usage_constants.py",
        "environment_variables.py",
        "telemetry/utils.py",
    ]
    files = [root / file for file in likely if (root / file).is_file()] + list((root / "tune").rglob("*.py"))
    assert any(name in file.read_text(encoding="utf-8") for file in files)


def test_importing_the_module_sets_nothing_and_imports_no_library():
    script = (
        "import os, sys; before = dict(os.environ); import losstune.core.library_logging; "
        "assert dict(os.environ) == before; "
        "assert not {'ray', 'mlflow', 'optuna', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_optuna_is_silent():
    script = (
        "from losstune.core.library_logging import configure_environment as c; c(); import optuna; "
        "sampler = optuna.samplers.TPESampler(multivariate=True, constant_liar=True); "
        "study = optuna.create_study(sampler=sampler); "
        "trial = study.ask(); study.tell(trial, trial.suggest_float('x', 0, 1))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
