"""The dvc above this process; tests/execution/test_warm.py has stages that one has started."""

import subprocess
import sys

import psutil
import pytest

from losstune.core.dvc import dvc_parent, is_gone


@pytest.mark.parametrize("stage", [None, "tune"])
def test_without_a_dvc_above_there_is_none(monkeypatch, stage):
    monkeypatch.delenv("DVC_STAGE", raising=False)
    if stage is not None:
        monkeypatch.setenv("DVC_STAGE", stage)
    assert dvc_parent() is None


def test_a_process_is_gone_when_it_has_ended_though_nobody_has_waited_for_it():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    found = psutil.Process(process.pid)
    assert not is_gone(found)
    process.stdin.close()
    while found.is_running() and found.status() != psutil.STATUS_ZOMBIE:
        pass
    assert is_gone(found)
    process.wait()
    assert is_gone(found)
