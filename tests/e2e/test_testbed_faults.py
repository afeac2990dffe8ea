"""A demo with a switchboard: a fault is switched from a terminal, the hub names it, and it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.supervisor import free_port
from tests.support.edge_node import wait_until

ROOT = Path(__file__).parents[2]
WITHIN_S = 90.0
SCENARIO = """
title = "One member with one lamp"
microgrid = "lamp"
start = "2026-06-21T00:00:00Z"
slots = 2
slot_ms = 60000
instant_ms = 10000
run_s = 0
seed = 1
[bus]
voltage_mv = 12500
grid = true
[policy]
contract = "dep_balance"
dispatch = "none"
parameters = { deficit = "supplier", surplus = "grid" }
price = [{ at = "00:00", utok_per_kwh = 200000 }]
feed_in = [{ at = "00:00", utok_per_kwh = 80000 }]
[[member]]
member = "ann"
node = "ann"
wire_mohm = 0
rated_w = 120
[member.generation]
source = "slots"
slots_w = [20, 20]
[member.consumption]
source = "slots"
slots_w = [10, 10]
[[member.load]]
load = "lamp"
power_w = 10
pin = 17
"""


def fault(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "testbed.cli", "fault", *words],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )


def board(environment: dict[str, str]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(fault(environment, "state", "--json").stdout or "{}")
    return told


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment in which a small demo runs, and is the only one."""
    scenario, log = tmp_path / "lamp.toml", tmp_path / "demo.txt"
    scenario.write_text(SCENARIO)
    runtime = tmp_path / "run"
    runtime.mkdir()
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime)}
    options = ("--scenario", scenario, "--state", tmp_path / "demo", "--port", free_port())
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "testbed.cli", "demo", *map(str, options)],
            cwd=ROOT,
            env=environment,
            stdout=stream,
            stderr=stream,
        )
    try:
        wait_until(
            lambda: "Faults to play" in log.read_text() or process.poll() is not None,
            WITHIN_S,
            "a demo with a switchboard",
        )
        assert process.poll() is None, log.read_text()
        yield environment
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    assert "Traceback" not in log.read_text()
    assert [*runtime.iterdir()] == []


@pytest.mark.timeout(300)
def test_a_fault_is_switched_from_a_terminal_named_by_the_hub_and_undone(
    demo: dict[str, str],
) -> None:
    wrong = fault(demo, "forgd", "on", "ann")
    assert (wrong.returncode, "did you mean forged" in wrong.stderr) == (os.EX_USAGE, True)

    assert fault(demo, "forged", "on").returncode == 0  # there is one node, so it needs no name
    assert fault(demo, "kill", "on", "edge-ann").returncode == 0
    assert fault(demo, "kill", "off", "edge-ann").returncode == 0
    wait_until(lambda: _is_noticed(demo, "bad-signature"), WITHIN_S, "forgeries that are refused")

    assert fault(demo, "kill", "on", "hub").returncode == 0
    wait_until(lambda: _is_noticed(demo, "hub: not running"), WITHIN_S, "a hub that is missed")
    assert fault(demo, "all", "off").stdout == "off: kill hub, forged ann\n"
    wait_until(lambda: not _is_noticed(demo, "hub: not"), WITHIN_S, "a hub that is back")


def _is_noticed(environment: dict[str, str], words: str) -> bool:
    return any(words in each for each in board(environment).get("noticed", ()))
