"""What each stage depends on besides files: losstune's code, the user's own code and the settings, a small file each.

In a user's repository these files are the dependencies of DVC's stages. DVC's own ``params`` would refuse a
``params.yaml`` that leaves out keys, and losstune's code lies outside the repository.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from losstune import __version__
from losstune.config.data import FILES
from losstune.config.load import data_path
from losstune.config.schema import Params
from losstune.core import own_code
from losstune.core.files import digest, write_json
from losstune.core.sources import LOSSTUNE, modules_of_stage
from losstune.data.walk import files_below
from losstune.stages.identity import digests_of
from losstune.stages.layout import FINGERPRINTS

_TUNE = ("study.seed", "data", "model", "training", "losses", "search_space", "protocol", "tune")
_CONFIRM = (*_TUNE, "study", "baseline", "budget", "confirm", "report")
SETTINGS: Mapping[str, tuple[str, ...]] = {
    "prepare": ("study.seed", "data"),
    "features": ("study.seed", "data", "model", "training"),
    "tune": _TUNE,
    "confirm": _CONFIRM,
    "report": _CONFIRM,
}
"""The settings that each stage reads. ``resources`` and ``tracking`` change no result."""


def run(params: Params, folder: Path, *, with_data: bool) -> None:
    """Write ``fingerprints/<stage>.json``.

    Args:
        params: Validated ``params.yaml``.
        folder: Folder of the study, which is the working directory.
        with_data: Whether the names, sizes and times of the data's files count, too: for data that neither Git nor DVC
            tracks. They always do for files that only the training loop reads.

    Raises:
        LosstuneError: If a reference to the user's own code leads nowhere, or the file of weights is missing.
    """
    for stage, fingerprint in fingerprints(params, folder, with_data=with_data).items():
        write_json(folder / FINGERPRINTS / f"{stage}.json", fingerprint)


def fingerprints(params: Params, folder: Path, *, with_data: bool) -> dict[str, dict[str, Any]]:
    """Return the content of each stage's file; see :func:`run`."""
    values = params.model_dump(mode="json")
    found = {stage: _fingerprint(params, values, stage, keys) for stage, keys in SETTINGS.items()}
    if with_data or params.data.name == FILES:
        found["prepare"]["data"] = _files(data_path(params.data.root, folder))
    return found


def _fingerprint(params: Params, values: Mapping[str, Any], stage: str, keys: tuple[str, ...]) -> dict[str, Any]:
    # The modules' own digests: what the command line imports inside functions belongs to other stages.
    code = {module: LOSSTUNE.module_digest(module) for module in modules_of_stage(stage)}
    own = _own_data(params) if stage == "prepare" else digests_of(params)
    if stage == "features":
        own = {key: value for key, value in own.items() if key.startswith("model.")}
    if stage in ("tune", "confirm", "report") and params.tune.prior != "none":
        from losstune.advice.database import SHIPPED  # which imports SciPy

        code["verdicts.jsonl"] = digest(SHIPPED.read_text(encoding="utf-8"))
    return {
        "losstune": {"version": __version__, "code": digest(code)},
        "own code": own,
        "settings": {key: _value(values, key) for key in keys},
    }


def _own_data(params: Params) -> dict[str, str]:
    name, key = params.data.name, "data.name"
    return {key: own_code.code_digest(name, key)} if own_code.is_own(name) else {}


def _value(values: Mapping[str, Any], key: str) -> Any:
    section, _, inner = key.partition(".")
    return values[section][inner] if inner else values[section]


def _files(root: Path) -> dict[str, Any] | None:
    """Return the number of files, their bytes, and a digest of names, sizes and times; None if there is no data."""
    if not root.exists():
        return None
    paths = [entry.path for entry in files_below(str(root))] if root.is_dir() else [str(root)]
    rows = []
    for path in paths:
        status = os.stat(path)
        rows.append([os.path.relpath(path, root), status.st_size, status.st_mtime_ns])
    return {"files": len(rows), "bytes": sum(size for _, size, _ in rows), "digest": digest(rows)}
