"""The report of `compare` in a browser: alone, on a phone, at night, on paper, under a hand."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains

from testbed.compare.page import page
from tests.support.browser import chromium
from tests.support.compared import EVIL, evil_comparison, small_comparison

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def report(tmp_path: Path) -> str:
    """The address of a report on disk."""
    path = tmp_path / "report.html"
    path.write_text(page(small_comparison()), encoding="utf-8")
    return path.as_uri()


def test_it_asks_nobody_for_anything_and_complains_of_nothing(
    browser: webdriver.Chrome, report: str
) -> None:
    browser.get_log("performance")
    browser.get(report)
    asked = [
        event["params"]["request"]["url"]
        for entry in browser.get_log("performance")
        if (event := json.loads(entry["message"])["message"])["method"]
        == "Network.requestWillBeSent"
    ]
    assert [each for each in asked if not each.startswith(("data:", "chrome"))] == [report]
    assert [row for row in browser.get_log("browser") if row["level"] == "SEVERE"] == []


def test_every_shape_is_drawn(browser: webdriver.Chrome, report: str) -> None:
    browser.get(report)
    sizes = browser.execute_script(
        "return Array.from(document.querySelectorAll('details[open] svg'))"
        ".map(node => [node.clientWidth, node.clientHeight, node.getBBox().width])"
    )
    assert len(sizes) == 5
    assert all(width > 200 and height > 100 and drawn > 0 for width, height, drawn in sizes)


def test_a_phone_needs_no_sideways_scrolling(browser: webdriver.Chrome, report: str) -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    try:
        browser.get(report)
        browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        width = browser.execute_script("return document.documentElement.scrollWidth")
        assert width == PHONE["width"]
        small = browser.execute_script(
            "return Array.from(document.querySelectorAll('main *')).filter(n => n.textContent"
            " && n.children.length === 0 && n.getClientRects().length"
            " && !n.closest('svg') && parseFloat(getComputedStyle(n).fontSize) < 11).length"
        )
        assert small == 0
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_it_is_dark_at_night(browser: webdriver.Chrome, report: str) -> None:
    browser.get(report)
    colours = []
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        colours.append(
            browser.execute_script(
                "const s = getComputedStyle(document.body);"
                "return [s.backgroundColor, s.color].map(c =>"
                " c.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0))"
            )
        )
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    (paper, ink), (night, light) = colours
    assert paper - ink > 500
    assert light - night > 500


def test_it_prints_what_is_unfolded(browser: webdriver.Chrome, report: str) -> None:
    browser.get(report)
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.7})
    one = base64.b64decode(printed["data"])
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    all_open = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert one.startswith(b"%PDF-")
    assert one.count(b"/Type /Page\n") < all_open.count(b"/Type /Page\n")


def test_a_click_on_a_head_sorts(browser: webdriver.Chrome, report: str) -> None:
    browser.get(report)
    names = (
        "return Array.from(document.querySelectorAll('tbody tr')).map(r => r.cells[0].innerText)"
    )
    assert browser.execute_script(names) == ["grid only", "dep_balance", "double_auction"]
    heads = browser.find_elements("css selector", "thead th button")
    gini = next(head for head in heads if head.text.startswith("Gini"))
    gini.click()
    # The grid alone has none, so it goes last whichever way.
    assert browser.execute_script(names) == ["double_auction", "dep_balance", "grid only"]
    gini.click()
    assert browser.execute_script(names) == ["dep_balance", "double_auction", "grid only"]


def test_the_pointer_reads_a_chart(browser: webdriver.Chrome, report: str) -> None:
    browser.get(report)
    plot = browser.find_element("css selector", "details[open] figure .plot")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    ActionChains(browser).move_to_element_with_offset(plot, -plot.size["width"] // 6, 0).perform()
    hint = browser.execute_script("return document.querySelector('.hint').innerText")
    # A third of four points is the second slot: 6 hours, 4 kWh used, 1 of them ann's own.
    assert hint.splitlines()[0] == "day 1, 06:00"
    assert "from neighbours: 0.5 kW" in hint.splitlines()


def test_a_link_opens_its_contract(browser: webdriver.Chrome, report: str) -> None:
    browser.get(report)
    browser.find_element("link text", "double_auction").click()
    opened = "return document.querySelector(location.hash).open"
    assert browser.execute_script(opened) is True


def test_names_from_files_run_nothing(browser: webdriver.Chrome, tmp_path: Path) -> None:
    path = tmp_path / "evil.html"
    path.write_text(page(evil_comparison()), encoding="utf-8")
    browser.get(path.as_uri())
    assert browser.execute_script("return document.images.length") == 0
    assert EVIL in browser.execute_script("return document.querySelector('h1').innerText")
    assert [row for row in browser.get_log("browser") if row["level"] == "SEVERE"] == []
