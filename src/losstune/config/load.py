"""Read ``params.yaml``.

This is apart from the settings' schema, so that a reworded message does not change the identity of a training.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from losstune.config.messages import explain_validation_error, explain_yaml_error, show
from losstune.config.schema import Params
from losstune.core.errors import LosstuneError

PARAMS_FILE = Path("params.yaml")


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and validate ``params.yaml``.

    Raises:
        LosstuneError: If the file is missing, is not YAML, or a key or value is not allowed; the message names
            the key's path, what was found, what is allowed, and the nearest valid name.
    """
    values = read_settings(path, expected="sections such as 'data:' and 'model:'")
    params = parse_params(values, source=str(path))
    require_plain_root(params.data.root, str(path), path.parent)
    return params


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


def require_plain_root(root: str, source: str, folder: Path) -> None:
    """Refuse a ``data.root`` with ``~``, a variable or a scheme, unless there is a path of just that name.

    DVC takes the text as it stands, for a dependency of ``prepare``. Read in another way here, it would name one path
    to DVC and another to the stage.

    Args:
        root: ``data.root`` as it is written.
        source: Begins the message.
        folder: That `root` is relative to.

    Raises:
        LosstuneError: With the absolute path to write, where it is known.
    """
    scheme = re.match(r"(?i)[a-z][a-z0-9+.-]+(?=://)|file(?=:/)", root)
    is_plain = not (root.startswith("~") or scheme or re.search(r"\$(\w|\{\w+\})", root))
    if is_plain or os.path.exists(folder / root):
        return
    found = f"{source}: data.root: found {show(root)}"
    if scheme and scheme[0].lower() != "file":
        raise LosstuneError(
            f"{found}, a URL; expected a path on this machine: download the data first (`dvc get-url` does)"
        )
    local = unquote(re.sub("(?i)^file:(//)?(localhost(?=/))?", "", root)) if scheme else root
    meant = os.path.expandvars(os.path.expanduser(local))
    if meant.startswith("~") or "$" in meant:
        unknown = "no variable of that name is set" if "$" in meant else "there is no user of that name"
        raise LosstuneError(f"{found}, and {unknown}; expected a path as it stands, as DVC takes it")
    raise LosstuneError(
        f"{found}, which DVC takes as it stands, with nothing filled in; "
        f"write root: {json.dumps(os.path.abspath(folder / meant), ensure_ascii=False)}"
    )


def study_root() -> Path:
    """Return the folder in which ledger and MLflow's database are anchored.

    In queued and ``--temp`` experiments DVC runs a stage in a copy of the work tree, and names the real one in
    ``DVC_ROOT``. Elsewhere it is the DVC repository that the working directory lies in, which is what
    ``DVC_ROOT`` would be, or else the working directory.
    """
    if root := os.environ.get("DVC_ROOT"):
        return Path(root)
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)
