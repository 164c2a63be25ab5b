import os
import subprocess
import sys
import time

STAGE = """
import signal, sys, time
from pathlib import Path
from losstune.stages.interrupts import interruptible

signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a process that a script started in the background
try:
    with interruptible():
        Path(sys.argv[1]).write_text("started")
        time.sleep(60)
except KeyboardInterrupt:
    Path(sys.argv[1]).write_text("interrupted")
"""

DVC = """
import subprocess, sys
subprocess.run([sys.executable, sys.argv[1], sys.argv[2]])
"""


def _wait_for(path, text, timeout_sec=30):
    deadline = time.monotonic() + timeout_sec
    while not (path.exists() and path.read_text() == text):
        assert time.monotonic() < deadline, f"{path.name} did not become {text!r}"
        time.sleep(0.05)


def test_stage_ends_with_its_dvc_even_where_ctrl_c_is_ignored(tmp_path):
    stage, dvc, state = tmp_path / "stage.py", tmp_path / "dvc", tmp_path / "state"
    stage.write_text(STAGE)
    dvc.write_text(DVC)
    parent = subprocess.Popen(
        [sys.executable, str(dvc), str(stage), str(state)],
        env=os.environ | {"DVC_STAGE": "tune"},
        stderr=subprocess.DEVNULL,
    )
    _wait_for(state, "started")
    parent.kill()
    parent.wait()
    _wait_for(state, "interrupted")
