from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import atexit, sys, threading, time
from losstune.core import process_exit

process_exit.prepare()
atexit.register(print, "registered later")

class Leaked:
    def __del__(self):
        print("taken apart")

leaked = Leaked()
threading.Thread(target=lambda: (time.sleep(0.3), print("thread"))).start()
{end}
"""


def run(end, **pipes):
    return subprocess.run([sys.executable, "-c", SCRIPT.format(end=end)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("code", [0, 2])
def test_ends_with_its_code_after_threads_and_what_is_registered(code):
    done = run(f"process_exit.leave_with({code}); print('unflushed', end=' '); sys.exit({code})")
    assert (done.stdout, done.stderr, done.returncode) == ("unflushed thread\nregistered later\n", "", code)


def test_an_error_that_nobody_expected_ends_as_python_ends_it():
    done = run("raise RuntimeError('a mistake')")
    assert done.stdout == "thread\nregistered later\ntaken apart\n"
    assert done.stderr.endswith("RuntimeError: a mistake\n")
    assert done.returncode == 1


def test_a_closed_stream_is_left_to_python():
    done = run("process_exit.leave_with(0); sys.stdout.close()")
    assert (done.stdout, done.returncode) == ("", 0)
