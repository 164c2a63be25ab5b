"""What a person sees who opens MLflow's interface on a study."""

from selenium.webdriver.common.by import By


def link(browser, name):
    found = [one for one in browser.find_elements(By.CSS_SELECTOR, "a[href*='/runs/']") if one.text.startswith(name)]
    return found[0] if found else None


def open_view(browser, wait, address, study, view="losstune-study"):
    browser.get("about:blank")
    browser.get(address + study[1].replace("losstune-study", view))
    return wait(lambda page: link(page, "tune digits cnn"))


def test_the_printed_address_shows_the_stages_and_the_verdict(browser, wait, address, study, page):
    open_view(browser, wait, address, study)
    assert link(browser, "report digits cnn")
    assert not link(browser, "focal")
    shown = browser.find_element(By.TAG_NAME, "body").text
    assert "Stages and verdict" in shown
    assert page[1].verdict.sentence[:20] in shown
    assert "Model training" in shown
    assert "Agent versions" not in shown, "the interface for language models opened"


def test_children_expand_below_their_parent(browser, wait, address, study):
    parent = open_view(browser, wait, address, study, "losstune-nested")
    assert not link(browser, "focal #0.1")
    row = parent.find_element(By.XPATH, "./ancestor::*[@role='row'][1]")
    row.find_element(By.CSS_SELECTOR, "[data-component-id*='expander'], button.ant-btn, button, [role=button]").click()
    wait(lambda page: link(page, "focal #0.1 lr=0.01 gamma=2"))
    assert link(browser, "gce #0.0")


def test_columns_make_sense_at_first_sight(browser, wait, address, study):
    browser.get("about:blank")
    browser.get(address + study[1].replace("losstune-study", "losstune-trials"))
    wait(lambda page: link(page, "focal #0.0"))
    shown = browser.find_element(By.TAG_NAME, "body").text
    for column in ("val_accuracy", "val_ece", "val_nll", "epochs_done"):
        assert column in shown


def test_the_parent_opens_and_its_report_is_drawn(browser, wait, address, study, page):
    open_view(browser, wait, address, study)
    link(browser, "report digits cnn").click()
    wait(lambda page_: page[1].verdict.sentence[:40] in page_.find_element(By.TAG_NAME, "body").text)
    where = browser.current_url.partition("?")[0].rstrip("/")
    browser.get(f"{where}/artifacts/report.html")
    frame = wait(lambda page_: page_.find_element(By.CSS_SELECTOR, "iframe"))
    browser.switch_to.frame(frame)
    try:
        heading = wait(lambda page_: page_.find_element(By.TAG_NAME, "h1"))
        assert heading.text == "Use focal"
    finally:
        browser.switch_to.default_content()


def test_a_training_draws_its_metrics_by_epoch(browser, wait, address, study):
    browser.get("about:blank")
    browser.get(address + study[1].replace("losstune-study", "losstune-trials"))
    wait(lambda page: link(page, "focal #0.0")).click()
    wait(lambda page: "About this run" in page.find_element(By.TAG_NAME, "body").text)
    where = browser.current_url.partition("?")[0].rstrip("/")
    browser.get(f"{where}/model-metrics")
    plots = "[...document.querySelectorAll('.js-plotly-plot')]"
    points = f"return {plots}.map(plot => plot.data.map(line => line.x.length))"
    wait(lambda page: any(5 in lengths for lengths in page.execute_script(points)))
