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
        # Ray sends usage statistics to its own server by default.
        "RAY_USAGE_STATS_ENABLED": "0",
        # The newer output prints a table of the experiment even at verbose=0; the older one does not.
        "RAY_AIR_NEW_OUTPUT": "0",
        # Advice on moving to Ray Train's new interface, which Tune does not use.
        "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
        # MLflow sends usage statistics by default. DO_NOT_TRACK applies to every library that honours it.
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # MLflow prints two lines with a server's address after every run, even if no server is running.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "1",
        # MLflow configures its loggers on import, which would reset a level set through logging.
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        # For Ray's workers: each would repeat the driver's warnings.
        "PYTHONWARNINGS": "ignore",
    }
)
"""Environment variables that are set unless the user has set them."""

LOGGER_LEVELS = MappingProxyType(
    {
        # "Started a local Ray instance", at every start.
        "ray._private.worker": logging.WARNING,
        # That a notebook without ipywidgets shows less of Ray's own output, which is off.
        "ray.widgets.util": logging.WARNING,
        # That a local cluster is protected by a token, which is so unless RAY_AUTH_MODE says otherwise.
        "ray._private.authentication": logging.ERROR,
        # "Wrote the latest version of all result files", at every end.
        "ray.tune.tune": logging.WARNING,
        # "Failed to fetch metrics": TUNE_DISABLE_AUTO_CALLBACK_LOGGERS switches those files off.
        "ray.tune.analysis": logging.ERROR,
        # One line per migration when the MLflow database is made.
        "alembic": logging.WARNING,
        # "A new study created", and one line per trial. Optuna resets only the level of its root logger.
        "optuna.study": logging.WARNING,
        "optuna.storages": logging.WARNING,
        # Remarks on the dimensions of the example with which MLflow exports a model.
        "torch._export": logging.ERROR,
        "torch.export": logging.ERROR,
        # Font look-ups, and that their cache is in the temporary folder if the home folder is not writable.
        "matplotlib": logging.ERROR,
    }
)
"""Levels of loggers whose messages do not help the user."""


IGNORED_WARNINGS = (
    # Ray up to 2.5x announces on every start without a GPU that a default will change. losstune does not use it.
    r"(?s).*Ray will no longer override accelerator visible devices",
    # Optuna 4 warns about arguments that are stable in Optuna 5.
    r"(?s).*is an experimental feature\. The interface can change in the future",
    # tqdm, which Ray and MLflow import, misses ipywidgets in a notebook. losstune has its own bar.
    r"(?s).*IProgress not found",
)
"""Patterns of warnings about library internals; each matches from the start of the message."""


def configure_environment() -> None:
    """Reduce the libraries' output and disable their telemetry, in this process and its child processes.

    Call it before importing ray, mlflow or optuna, because most of them read their settings on import. Settings of
    the user, in the environment or with ``-W``, take precedence. Further calls change nothing.
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
