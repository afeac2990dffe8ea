"""`gridtally-testbed torture` as a lab types it: the line of JSON, its exit code, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.supervisor import child_environment
from tests.support.edge_node import wait_until
from tests.support.needs import needs

FULL = [
    pytest.param(3, id="3-times"),
    pytest.param(100, id="100-times", marks=[pytest.mark.torture, pytest.mark.timeout(3_600)]),
]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the command; what it keeps for a while lies in a folder of the test's."""
    return subprocess.Popen(
        [sys.executable, "-m", "testbed.cli", "torture", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=child_environment() | {"TMPDIR": str(folder)},
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize("n", FULL)
def test_a_full_disk_loses_nothing_and_everybody_goes_on(tmp_path: Path, n: int) -> None:
    needs("gcc")
    command = start(tmp_path, "--faults", "disk_full", "--n", str(n), "--seed", "7", "--json")
    out, err = command.communicate()
    print(out, err)
    told = json.loads(out.splitlines()[-1])
    assert told["seed"] == 7
    (row,) = told["faults"]
    assert row.pop("worst_ms") <= row["limit_ms"]
    assert row == {
        "fault": "disk_full",
        "trials": n,
        "failed": 0,
        "limit_ms": 10_000,
        "lost": 0,
        "duplicated": 0,
        "hostile_obeyed": 0,
    }
    assert command.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_fault_is_a_sentence(tmp_path: Path) -> None:
    command = start(tmp_path, "--faults", "hub_melt")
    out, err = command.communicate()
    assert (command.returncode, out) == (os.EX_USAGE, "")
    assert "--faults hub_melt: there are hub_kill, hub_stop," in err


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    command = start(tmp_path, "--faults", "hub_stop", "--broker", "embedded")
    log = "*/bench/logs/edge-dso.log"
    # It says something once it runs, which is after its parent forked: Python drops what a signal
    # raises in the middle of a fork.
    wait_until(lambda: any(each.stat().st_size for each in tmp_path.glob(log)), 50, "all runs")
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=40)
    assert command.returncode == 130, err
    assert "nothing is left behind" in err
    assert list(tmp_path.iterdir()) == []
