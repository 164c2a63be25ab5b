import sys
import types

import pytest

from losstune.core.notebook import in_notebook
from losstune.core.progress import Progress


class Handle:
    def __init__(self):
        self.shown = []

    def update(self, value):
        self.shown.append(value)


@pytest.fixture
def kernel(monkeypatch):
    """A process that looks like a notebook's kernel; returns what its cell shows."""
    handle = Handle()
    shell = types.SimpleNamespace(kernel=object())
    ipython, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    ipython.get_ipython = lambda: shell
    display.HTML, display.display = str, lambda value, display_id: handle
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return handle.shown


def test_a_process_without_ipython_is_no_notebook(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not in_notebook()


def test_a_terminal_of_ipython_is_no_notebook(kernel):
    sys.modules["IPython"].get_ipython = lambda: types.SimpleNamespace()
    assert not in_notebook()
    sys.modules["IPython"].get_ipython = lambda: None
    assert not in_notebook()


def test_progress_in_a_notebook_is_one_bar(kernel, capsys):
    assert in_notebook()
    with Progress(2, "tune", kept=1, unit="training", clock=lambda: 0.0) as progress:
        progress.update(1, "focal <0>")
        progress.update(2)
    assert [text.partition("<code>")[2] for text in kernel] == [
        "tune: 2 trainings to go, 1 kept</code>",
        "tune 1/2, 50%, 0:00 elapsed, about 0:00 left, focal &lt;0&gt;</code>",
        "tune 2/2, 100%, 0:00 elapsed, about 0:00 left</code>",
        "tune: 2 trainings in 0:00</code>",
    ]
    assert '<progress value="2" max="2"' in kernel[-1]
    assert capsys.readouterr() == ("", "")


def test_an_interruption_stays_visible(kernel):
    def interrupted():
        with Progress(3, "tune", clock=lambda: 0.0) as progress:
            progress.update(1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert kernel[-1].endswith("<code>tune: ended at 1/3 after 0:00</code>")


def test_nothing_to_do_is_a_line(kernel, capsys):
    with Progress(0, "tune", kept=4):
        pass
    assert capsys.readouterr().err == "tune: nothing left to do, 4 trials kept\n"
    assert not kernel
