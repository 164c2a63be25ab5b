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
from losstune.core.text import read_text

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
    """Read a YAML file of sections without validating them.

    Args:
        path: Path of the file.
        expected: What the file should contain, for the error message.

    Raises:
        LosstuneError: If the file is missing, cannot be read, or is not YAML.
    """
    text = read_text(path, "run losstune in the folder of the study")
    try:
        # YAML 1.2, the version DVC reads and writes: 1e-05 is a number in 1.2, but text in 1.1.
        values = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise LosstuneError(f"{path}: {explain_yaml_error(error, text)}") from None
    except RecursionError:
        raise LosstuneError(f"{path}: not valid YAML: brackets or sections are nested too deeply") from None
    except ValueError as error:  # a number or a date that Python cannot read
        raise LosstuneError(f"{path}: not valid YAML: invalid value: {str(error).split(';')[0]}") from None
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
    """Reject a ``data.root`` with ``~``, a variable or a scheme, unless a path with exactly that name exists.

    DVC reads the text literally, as a dependency of ``prepare``. If losstune expanded it, DVC and the stage would use
    different paths.

    Args:
        root: The path as written, such as ``data.root``.
        source: Start of the error message.
        folder: The folder that `root` is relative to.

    Raises:
        LosstuneError: With the absolute path to write, if it is known.
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
        raise LosstuneError(f"{found}, and {unknown}; expected a literal path, as DVC expands nothing")
    raise LosstuneError(
        f"{found}, which DVC reads literally; "
        f"write root: {json.dumps(os.path.abspath(folder / meant), ensure_ascii=False)}"
    )


def study_root() -> Path:
    """Return the folder that holds the ledger and MLflow's database.

    In queued and ``--temp`` experiments, DVC runs a stage in a copy of the work tree and gives the original in
    ``DVC_ROOT``. Without ``DVC_ROOT``, it is the DVC repository that contains the working directory, or else the
    working directory.
    """
    if root := os.environ.get("DVC_ROOT"):
        return Path(root)
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)


def data_path(root: str, folder: Path) -> Path:
    """Return where the data is, or another large file such as pretrained weights.

    DVC's temporary copies of a work tree have only files that Git or DVC tracks. For other data, a relative path
    starts in the original of the study's folder.

    Args:
        root: ``data.root`` as written.
        folder: The study's folder, in which a relative path starts.
    """
    path = folder / root
    if path.exists() or Path(root).is_absolute() or not os.environ.get("DVC_ROOT"):
        return path
    here = folder.absolute()
    copy = next((above for above in (here, *here.parents) if (above / ".dvc").is_dir()), here)
    original = study_root() / here.relative_to(copy) / root
    return original if original.exists() else path
