"""A study in MLflow, its server, and a browser, one of each for all tests here."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from losstune.config.schema import TrackingSettings
from losstune.tracking import open_tracker
from losstune.tracking.ui import _route
from tests.report.studies import make_study
from tests.report.test_page import render
from tests.tracking.conftest import make_entry, make_run
from tests.verdict.test_pipeline import GATED

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1600,1000",
)
EXPERIMENT = "digits cnn"


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def page(tmp_path_factory):
    """The report of a fabricated study, as a file, and what it is drawn from."""
    html, results = render(make_study(GATED, without_winner=["apl"]))
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html, encoding="utf-8")
    return path, results


@pytest.fixture(scope="session")
def study(tmp_path_factory, page):
    """A root whose database shows a search and its report; the address of the interface's first page without host."""
    from losstune.tracking import locate

    root = tmp_path_factory.mktemp("study")
    settings = TrackingSettings(enabled=True, uri=None, experiment=None)
    tags = {"protocol_hash": "e" * 64}
    search = open_tracker(settings, EXPERIMENT, root, make_run(tags=tags))
    for index in range(3):
        search.log(
            make_entry(loss="focal", index=index, hyperparameters={"gamma": 2.0}, learning_rate=0.01, num_epochs=5)
        )
    search.log(make_entry(loss="gce", index=0, status="diverged"))
    assert search.finish("FINISHED").problem is None
    run = make_run(stage="report", key="b" * 64, name="report digits cnn", tags=tags)
    report = open_tracker(settings, EXPERIMENT, root, run)
    summary = report.finish("FINISHED", note=page[1].verdict.sentence, artifacts={page[0]: ""})
    assert summary.problem is None
    return root, _route(locate(settings, root), EXPERIMENT)


@pytest.fixture(scope="session")
def address(study):
    """MLflow's server on the loopback address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root, _ = study
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{root}/mlflow.db", "--default-artifact-root", str(root / "mlruns")]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(f"http://127.0.0.1:{port}/health")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


def _wait_for(url: str, patience_sec: float = 90.0) -> None:
    deadline = time.monotonic() + patience_sec
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A headless Chromium with a profile of its own, which downloads into a folder of its own."""
    if CHROMIUM is None or CHROMEDRIVER is None:
        pytest.skip("no chromium with chromedriver here (Debian: apt-get install chromium chromium-driver)")
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (pip install -e '.[dev]')")
    from selenium.webdriver.chrome.service import Service

    options = selenium.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    driver = selenium.Chrome(options=options, service=Service(CHROMEDRIVER))
    driver.set_page_load_timeout(60)
    driver.downloads = tmp_path_factory.mktemp("downloads")
    driver.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(driver.downloads)})
    yield driver
    driver.quit()


@pytest.fixture(autouse=True)
def _picture(request, browser):
    """Keep what the browser shows at a test's end, to be looked at, in the folder that LOSSTUNE_PICTURES names."""
    yield
    if "LOSSTUNE_PICTURES" in os.environ:
        folder = Path(os.environ["LOSSTUNE_PICTURES"])
        folder.mkdir(parents=True, exist_ok=True)
        browser.save_screenshot(str(folder / f"{request.node.name}.png"))


@pytest.fixture
def wait(browser):
    """Wait until a function of the browser gives something true, and return that; on failure a picture is kept."""
    from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
    from selenium.webdriver.support.ui import WebDriverWait

    def until(condition, patience_sec=30):
        try:
            ignored = (StaleElementReferenceException,)
            return WebDriverWait(browser, patience_sec, 0.2, ignored_exceptions=ignored).until(condition)
        except TimeoutException:
            path = browser.downloads / "failed.png"
            browser.save_screenshot(str(path))
            pytest.fail(f"not within {patience_sec} s; a picture is in {path}")

    return until
