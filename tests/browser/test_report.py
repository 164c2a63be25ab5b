"""The report's page in a browser: what only a script can do, and the links."""

import csv

from selenium.webdriver.common.by import By


def column(table, number):
    return [
        row.find_elements(By.CSS_SELECTOR, "td, th")[number].text
        for row in table.find_elements(By.CSS_SELECTOR, "tbody tr")
    ]


def test_a_table_sorts_by_a_click_and_back_by_another(browser, page):
    browser.get(page[0].as_uri())
    table = browser.find_element(By.CSS_SELECTOR, "table.sortable")
    button = table.find_elements(By.CSS_SELECTOR, "thead button")[0]
    head = button.find_element(By.XPATH, "./ancestor::th")
    before = column(table, 0)
    browser.execute_script("arguments[0].click()", button)
    assert head.get_attribute("aria-sort") == "ascending"
    up = column(table, 0)
    assert up == sorted(before)
    browser.execute_script("arguments[0].click()", button)
    assert head.get_attribute("aria-sort") == "descending"
    assert column(table, 0) == up[::-1]


def test_numbers_sort_as_numbers(browser, page):
    browser.get(page[0].as_uri())
    tables = browser.find_elements(By.CSS_SELECTOR, "table.sortable")
    num_checked = 0
    for table in tables:
        rows = table.find_elements(By.CSS_SELECTOR, "tbody tr")
        for button in table.find_elements(By.CSS_SELECTOR, "thead button"):
            browser.execute_script("arguments[0].click()", button)
            number = int(button.find_element(By.XPATH, "./ancestor::th").get_attribute("cellIndex"))
            cells = [
                row.find_elements(By.CSS_SELECTOR, "td, th")[number]
                for row in table.find_elements(By.CSS_SELECTOR, "tbody tr")
            ]
            values = [cell.get_attribute("data-value") for cell in cells]
            if all(
                value is not None and value.replace(".", "").replace("-", "").replace("e", "").isdigit()
                for value in values
            ):
                assert [float(value) for value in values] == sorted(float(value) for value in values)
                num_checked += 1
        assert len(table.find_elements(By.CSS_SELECTOR, "tbody tr")) == len(rows)
    assert num_checked


def test_every_csv_link_saves_its_numbers(browser, wait, page):
    browser.get(page[0].as_uri())
    links = browser.find_elements(By.CSS_SELECTOR, "a[download]")
    assert {link.get_attribute("download") for link in links} >= {"losses.csv", "differences.csv"}
    link = next(one for one in links if one.get_attribute("download") == "losses.csv")
    browser.execute_script("arguments[0].click()", link)
    path = browser.downloads / "losses.csv"
    wait(lambda _: path.exists() and path.stat().st_size)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["loss"] for row in rows} == {result.loss for result in page[1].losses}


def test_nothing_is_fetched_and_no_script_fails(browser, page):
    browser.get_log("browser")  # what other pages said
    browser.get(page[0].as_uri())
    fetched = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in fetched if not name.startswith(("data:", "blob:"))] == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
