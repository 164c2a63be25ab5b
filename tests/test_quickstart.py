"""The notebook, and what happens to a study when its kernel is interrupted, in a real kernel with Ray's workers."""

import re
import time
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

from losstune.verdict.results import Results
from tests.paths import REPOSITORY

pytestmark = pytest.mark.integration

NOTEBOOK = REPOSITORY / "examples" / "quickstart.ipynb"
PATIENCE_SEC = 300


def outputs(notebook, source):
    """Return the outputs of the one cell that contains the text."""
    (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and source in cell.source]
    return cell.outputs


def shown_verdict(notebook):
    return [output for cell in notebook.cells if cell.source == "verdict" for output in cell.outputs]


def test_the_notebook_runs_and_shows_the_verdict(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=PATIENCE_SEC, resources={"metadata": {"path": str(tmp_path)}}).execute()
    results = Results.model_validate_json((tmp_path / "quickstart-study/results.json").read_bytes())
    assert {loss.loss for loss in results.losses} >= {"cross_entropy", "kl_divergence", "tilted"}
    assert results.control.identity.passed
    (shown,) = shown_verdict(notebook)
    assert results.verdict.sentence in shown["data"]["text/html"]
    assert shown["data"]["text/plain"] == results.verdict.sentence
    (table,) = outputs(notebook, "verdict.table()")
    assert all(loss.loss in table["data"]["text/html"] for loss in results.losses)
    run = outputs(notebook, "study.run()")
    bars = [output["data"]["text/html"] for output in run if output.output_type == "display_data"]
    assert [re.search(r"<code>(\w+): \d+ trainings in", bar)[1] for bar in bars] == ["tune", "confirm"]
    assert not [output for output in run if output.get("name") == "stderr"], "libraries say nothing"


def test_the_notebook_is_stored_with_its_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    (shown,) = shown_verdict(notebook)
    assert "data:image/svg+xml;base64," in shown["data"]["text/html"]
    assert str(Path.home()) not in NOTEBOOK.read_text(encoding="utf-8")


CELL = """
import losstune
study = losstune.Study("digits", "mlp", ["cross_entropy", "focal"], epochs=3, folder="study", settings={
    "model": {"width": 8, "depth": 1}, "tune": {"trials_per_loss": 20}, "confirm": {"num_blocks": 2},
    "resources": {"device": "cpu"}})
verdict = study.run()
"""


class Kernel:
    def __init__(self, folder):
        self.manager, self.client = start_new_kernel(cwd=str(folder))

    def start(self, code):
        return self.client.execute(code)

    def messages(self, request, until):
        """Yield the outputs of a cell up to the one for which `until` is true, or up to its end."""
        end = time.monotonic() + PATIENCE_SEC
        while time.monotonic() < end:
            message = self.client.get_iopub_msg(timeout=PATIENCE_SEC)
            if message["parent_header"].get("msg_id") != request:
                continue
            yield message
            if until(message) or is_idle(message):
                return
        raise AssertionError("the kernel takes too long")

    def stop(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def is_idle(message):
    return message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"


def text_of(messages):
    contents = [message["content"] for message in messages]
    return "\n".join(content.get("text", "") + "\n".join(content.get("traceback", [])) for content in contents)


@pytest.fixture
def kernel(tmp_path):
    started = Kernel(tmp_path)
    yield started
    started.stop()


def test_an_interrupted_cell_loses_nothing_and_goes_on(kernel, tmp_path):
    request = kernel.start(CELL)

    def is_under_way(message):
        data = message["content"].get("data", {}).get("text/html", "")
        return (done := re.search(r"tune (\d+)/40", data)) is not None and int(done[1]) >= 3

    list(kernel.messages(request, is_under_way))
    kernel.manager.interrupt_kernel()
    ended = text_of(kernel.messages(request, is_idle))
    assert "interrupted; finished trainings are kept: run this again to continue" in ended
    assert "KeyboardInterrupt" in ended
    told = text_of(kernel.messages(kernel.start(CELL), is_idle))
    kept, missing = map(int, re.search(r"tune: kept (\d+), to train (\d+)", told).groups())
    assert kept >= 3
    assert kept + missing == 40
    assert "Traceback" not in told
    assert (tmp_path / "study/results.json").is_file()
    assert "tune: kept 40, to train 0" in text_of(kernel.messages(kernel.start(CELL), is_idle))


def test_a_mistake_is_one_line_in_a_notebook(kernel):
    request = kernel.start('import losstune\nlosstune.Study("digits", "mlp", ["cross_entropy", "focall"])')
    (error,) = [message for message in kernel.messages(request, is_idle) if message["msg_type"] == "error"]
    (line,) = error["content"]["traceback"]
    assert line.startswith("LosstuneError: losstune.Study: losses: unknown loss 'focall'; did you mean 'focal'?")
