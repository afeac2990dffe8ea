"""The page in a real browser: it moves, verifies, fits a phone, loads nothing from elsewhere."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.support.browser import chromium
from tests.support.needs import needs

DEADLINE_S = 90.0


def wait_for(what: str, find: Callable[[], object]) -> object:
    """Return what `find` finds, as soon as it is something."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        found = find()
        if found:
            return found
        time.sleep(0.2)
    pytest.fail(f"{what}: not within {DEADLINE_S:.0f} s")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running demo, faster than in real life."""
    needs("chromium")
    folder = tmp_path_factory.mktemp("demo")
    log = folder / "demo.txt"
    with log.open("w") as out:
        demo = subprocess.Popen(
            [sys.executable, "-m", "testbed.cli", "demo", "--state", str(folder / "state")],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"},
        )
    try:
        found = wait_for(
            "the address of the page",
            lambda: (
                re.search(r"http://127\.0\.0\.1:\d+\S*", log.read_text())
                or (demo.poll() is not None and pytest.fail(log.read_text()))
            ),
        )
        assert isinstance(found, re.Match)
        yield found.group(0).rstrip("/.")
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(timeout=30)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path / "profile") as driver:
        yield driver


SHOWN = """
return Array.from(document.querySelectorAll(arguments[0]))
  .filter(node => node.getClientRects().length).map(node => node.textContent).join(" ");
"""


def shown(browser: webdriver.Chrome, selector: str) -> str:
    """What a person sees there, read in one go: the page is drawn anew each second."""
    return str(browser.execute_script(SHOWN, selector))


def test_it_shows_the_microgrid_and_moves(browser: webdriver.Chrome, url: str) -> None:
    browser.get(url)
    wait_for("three members", lambda: shown(browser, ".only-wide svg.map text").count("dep") >= 3)
    first = shown(browser, "svg.map")
    wait_for("a picture that moves", lambda: shown(browser, "svg.map") != first)

    assert "SIMULATION" in shown(browser, ".simulation")
    wait_for("a verified ledger", lambda: "verified" in shown(browser, ".ledger"))
    wait_for(
        "a verification that finished",
        lambda: re.search(r"verified \d+ s ago, (\d+) of \d+ entries", shown(browser, ".ledger")),
    )
    assert "unwitnessed" in shown(browser, ".ledger")
    wait_for("a closed slot with a sale", lambda: "→" in shown(browser, "table.slots"))
    assert "load fed" in shown(browser, ".only-wide svg.map .relay")
    assert "signed and fresh" in shown(browser, ".only-wide svg.map .badge.signed")


def test_it_loads_nothing_from_elsewhere_and_complains_of_nothing(
    browser: webdriver.Chrome, url: str
) -> None:
    for path in ("", "/docs"):
        browser.get(url + path)
        time.sleep(3)
    asked = [
        event["params"]["request"]["url"]
        for entry in browser.get_log("performance")
        if (event := json.loads(entry["message"])["message"])["method"]
        == "Network.requestWillBeSent"
    ]
    assert len(asked) > 5
    elsewhere = [each for each in asked if not each.startswith((url, "data:", "blob:", "chrome"))]
    assert elsewhere == []
    severe = [
        entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"
    ]
    assert severe == []


def test_a_phone_needs_no_sideways_scrolling(browser: webdriver.Chrome, url: str) -> None:
    browser.set_window_size(420, 900)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 400, "height": 860, "deviceScaleFactor": 1, "mobile": True},
    )
    browser.get(url)
    wait_for("the narrow map", lambda: "dep" in shown(browser, ".only-narrow svg.map"))
    width = browser.execute_script("return document.documentElement.scrollWidth")
    assert width <= 400
    assert shown(browser, ".only-wide svg.map") == ""


def lever(browser: webdriver.Chrome, fault: str) -> str:
    """Press a fault's switch, and return how it stood before."""
    script = """
    const lever = document.querySelector(`#fault-${arguments[0]} .lever`);
    const stood = lever.getAttribute("aria-checked"); lever.click(); return stood;
    """
    return str(browser.execute_script(script, fault))


@pytest.mark.timeout(180)
def test_a_fault_is_switched_on_noticed_and_switched_off(
    browser: webdriver.Chrome, url: str
) -> None:
    browser.get(url + "/faults")
    wait_for("the switches", lambda: "forged" in shown(browser, ".fault h3"))
    assert "SIMULATION" in shown(browser, ".simulation")
    assert lever(browser, "forged") == "false"
    wait_for("what is on", lambda: "forged dep1" in shown(browser, "#on li"))
    wait_for("what is noticed", lambda: "bad-signature" in shown(browser, "#noticed li"))
    assert lever(browser, "forged") == "true"
    wait_for("that nothing is on", lambda: "forged" not in shown(browser, "#on li"))
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    asked = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    names = [
        each["params"]["request"]["url"]
        for each in asked
        if each["method"] == "Network.requestWillBeSent"
    ]
    assert [name for name in names if not name.startswith((url, "data:", "chrome"))] == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
