"""Reads ``params.yaml``. Apart from the settings themselves, so that rewording a message retrains nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from losstune.config import Params
from losstune.errors import LosstuneError
from losstune.explain import explain_validation_error, explain_yaml_error, show

PARAMS_FILE = Path("params.yaml")


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and validate ``params.yaml``.

    Raises:
        LosstuneError: If the file is missing, is not YAML, or a key or value is not allowed; the message names
            the key's path, what was found, what is allowed, and the nearest valid name.
    """
    values = read_settings(path, expected="sections such as 'data:' and 'model:'")
    return parse_params(values, source=str(path))


def read_settings(path: Path, *, expected: str) -> dict[str, Any]:
    """Read a YAML file of sections, not validated; `expected` says what it should hold where it holds none.

    Raises:
        LosstuneError: If the file is missing, cannot be read, or is not YAML.
    """
    try:
        # YAML 1.2, the version DVC reads and writes: 1e-05 is a number in it, and text in YAML 1.1.
        text = path.read_text(encoding="utf-8")
        values = YAML(typ="safe", pure=True).load(text)
    except FileNotFoundError:
        raise LosstuneError(f"{path}: no such file; run losstune in the folder of the study") from None
    except UnicodeDecodeError:
        raise LosstuneError(f"{path}: not text in UTF-8") from None
    except OSError as error:
        raise LosstuneError(f"{path}: cannot be read: {error.strerror}") from None
    except YAMLError as error:
        raise LosstuneError(f"{path}: {explain_yaml_error(error, text)}") from None
    except RecursionError:
        raise LosstuneError(
            f"{path}: not valid YAML: brackets within brackets, too deep to be settings"
        ) from None
    except ValueError as error:  # of a number or a date that Python takes for none
        raise LosstuneError(f"{path}: not valid YAML: a value is none: {str(error).split(';')[0]}") from None
    if not isinstance(values, dict):
        raise LosstuneError(f"{path}: found {show(values)}, expected {expected}")
    return values


def parse_params(values: dict[str, Any], source: str = "params") -> Params:
    """Validate `values` as the contents of ``params.yaml``; `source` begins every message.

    Raises:
        LosstuneError: As for :func:`load_params`.
    """
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise LosstuneError(f"{source}: {explain_validation_error(error, Params)}") from None
