"""The documentation site in a browser."""

from __future__ import annotations

import http.server
import threading
from functools import partial

import pytest
from selenium.webdriver.common.by import By

from tests.site import build_site

WIDE, NARROW = 1400, 400


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, and does not say so."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    done = build_site(site)
    assert done.returncode == 0, done.stderr
    return site


@pytest.fixture(scope="module")
def home(folder):
    """The site's address on this machine."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def resize(browser):
    def to(width):
        size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    yield to
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_the_search_finds_a_loss(browser, wait, home, resize, width):
    resize(width)
    browser.get(f"{home}/index.html")
    if width == NARROW:
        browser.find_element(By.CSS_SELECTOR, "label.md-header__button[for=__search]").click()
    box = browser.find_element(By.CSS_SELECTOR, "input.md-search__input")
    wait(lambda _: box.is_displayed() and box.is_enabled())
    box.send_keys("logit_norm")
    hit = "a.md-search-result__link[href*='gallery.html'][href$='#logit_norm']"
    browser.get(wait(lambda page: page.find_element(By.CSS_SELECTOR, hit).get_attribute("href")))
    heading = browser.find_element(By.ID, "logit_norm")
    assert heading.is_displayed()
    figure = browser.find_element(By.CSS_SELECTOR, "img[src='gallery/logit_norm.svg']")
    assert wait(lambda page: page.execute_script("return arguments[0].naturalWidth", figure))


def test_a_code_block_copies(browser, wait, home):
    permissions = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": home}
    browser.execute_cdp_cmd("Browser.grantPermissions", permissions)
    browser.get(f"{home}/losses.html")
    block = browser.find_element(By.CSS_SELECTOR, "article .highlight")
    block.find_element(By.CSS_SELECTOR, "button[data-clipboard-target], button.md-code__button").click()
    wait(lambda page: "opied" in page.find_element(By.TAG_NAME, "body").text)
    read = "const done = arguments[0]; navigator.clipboard.readText().then(done, error => done(String(error)))"
    copied = browser.execute_async_script(read)
    assert copied.strip() == block.find_element(By.CSS_SELECTOR, "pre code").text.strip()
    assert 'get("focal", gamma=2.0)' in copied


def test_nothing_is_fetched_from_elsewhere_and_no_script_fails(browser, folder, home):
    browser.get_log("browser")  # what other pages said
    for page in sorted(folder.rglob("*.html")):
        browser.get(f"{home}/{page.relative_to(folder)}")
        fetched = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
        assert fetched
        assert [name for name in fetched if not name.startswith((home, "data:", "blob:"))] == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_no_page_scrolls_sideways(browser, folder, home, resize, width):
    resize(width)
    for page in sorted(folder.rglob("*.html")):
        browser.get(f"{home}/{page.relative_to(folder)}")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, page.name


def test_the_colours_change_by_a_click(browser, wait, home):
    browser.get(f"{home}/index.html")
    before = browser.find_element(By.TAG_NAME, "body").get_attribute("data-md-color-scheme")
    wait(
        lambda page: [one for one in page.find_elements(By.CSS_SELECTOR, "label[for^=__palette]") if one.is_displayed()]
    )[0].click()
    wait(lambda page: page.find_element(By.TAG_NAME, "body").get_attribute("data-md-color-scheme") != before)
