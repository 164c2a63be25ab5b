"""Log levels, warnings and telemetry of the libraries, set before they are imported."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from types import MappingProxyType

ENVIRONMENT = MappingProxyType(
    {
        # Ray writes a CSV, a JSON and a TensorBoard file per trial by default; the ledger holds all of it.
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        # Paths in params.yaml are relative to the study, so workers must stay where the driver is.
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        # Under `uv run` Ray would pack the working directory, data and all, and build new environments.
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        # Usage statistics are sent to a server of Ray's by default.
        "RAY_USAGE_STATS_ENABLED": "0",
        # The newer output prints a table of the experiment at verbose=0 too; the older one is silent there.
        "RAY_AIR_NEW_OUTPUT": "0",
        # Advice on moving to Ray Train's new interface, which Tune does not use.
        "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
        # MLflow sends usage statistics by default; the second name speaks for every library that honours it.
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # Two lines with addresses of a server at the end of every run, whether one is running or not.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "1",
        # MLflow sets its loggers up anew whenever it is imported, so a level given to logging would not last.
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        # Read by processes started from here, that is Ray's workers: each would repeat the driver's warnings.
        "PYTHONWARNINGS": "ignore",
    }
)
"""Variables that are set where the user has not set them; each name is read by the library it speaks to."""

LOGGER_LEVELS = MappingProxyType(
    {
        # "Started a local Ray instance", at every start.
        "ray._private.worker": logging.WARNING,
        # That a cluster of our own is protected by a token, as it is unless RAY_AUTH_MODE says otherwise.
        "ray._private.authentication": logging.ERROR,
        # "Wrote the latest version of all result files", at every end.
        "ray.tune.tune": logging.WARNING,
        # "Failed to fetch metrics": it misses the files that TUNE_DISABLE_AUTO_CALLBACK_LOGGERS switches off.
        "ray.tune.analysis": logging.ERROR,
        # One line per migration when the MLflow database is made.
        "alembic": logging.WARNING,
        # "A new study created", and one line per trial. Optuna resets the level of its root logger alone.
        "optuna.study": logging.WARNING,
        "optuna.storages": logging.WARNING,
        # Remarks on dimensions of the example with which MLflow exports a model.
        "torch._export": logging.ERROR,
        "torch.export": logging.ERROR,
        # Font look-ups, and that it makes a folder for them in the temp folder where the home folder is of no use.
        "matplotlib": logging.ERROR,
    }
)
"""Levels of loggers whose messages do not help the user."""


IGNORED_WARNINGS = (
    # Ray up to 2.5x announces on every start without a GPU that a default will change; nothing rests on it.
    r"(?s).*Ray will no longer override accelerator visible devices",
    # Optuna 4 says it of arguments that are stable in Optuna 5.
    r"(?s).*is an experimental feature\. The interface can change in the future",
)
"""How the messages of warnings begin that are about the libraries' own affairs."""


def configure_environment() -> None:
    """Keep the libraries quiet and private, in this process and in those it starts.

    Call it before ray, mlflow or optuna is imported: most of them read their settings then. What the user has
    set, in the environment or with ``-W``, stays. Calling it again changes nothing.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name, level in LOGGER_LEVELS.items():
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(level)
    if not sys.warnoptions:
        for message in IGNORED_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
