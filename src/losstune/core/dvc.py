"""The ``dvc`` process that runs this stage."""

from __future__ import annotations

import os

import psutil


def dvc_parent() -> psutil.Process | None:
    """Return the ``dvc`` that started this process; None if none did."""
    if "DVC_STAGE" not in os.environ:
        return None
    try:
        # DVC runs a stage in a shell, which outlives DVC.
        for process in psutil.Process().parents():
            if any(os.path.basename(part) == "dvc" for part in process.cmdline()[:3]):
                return process
    except psutil.Error:
        pass
    return None


def is_gone(process: psutil.Process) -> bool:
    """Return whether a process has ended, also if nobody has waited for it or its number belongs to another one."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True
