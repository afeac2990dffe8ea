"""A month of measured homes through the whole system at full speed: how long, and who worked.

python -m bench homes --homes FILE
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench.figure import Figure, Target
from testbed.supervisor import python

POLL_S = 0.2
TARGET_S = 180.0
ROLES = {"testbed.broker": "broker", "hub.cli run": "hub", "hub.cli web": "page"}
EDGE = "edge."


def run(*, homes: Path, broker: str) -> Iterator[Figure]:
    """Play the file, and yield the wall time and what each kind of process used."""
    with tempfile.TemporaryDirectory(prefix="gridtally-") as folder:
        options = ("--scenario", "homes", "--homes", str(homes.resolve()), "--speed", "max")
        state = ("--state", f"{folder}/run", "--broker", broker, "--exit", "--json")
        start_s = time.monotonic()
        with subprocess.Popen(
            python("testbed.cli", "demo", *options, *state),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            spent = _watch(process)
            text = process.stdout.read() if process.stdout else ""
        wall_s = time.monotonic() - start_s
    if process.returncode:
        raise SystemExit(f"the demo ended with {process.returncode}")
    result = json.loads(text.splitlines()[-1])
    name = f"homes, {broker} broker"
    note = (
        f"{result['slots']} slots, {result['readings_on_ledger']} readings, lost {result['lost']}, "
        f"verified {result['verified']}"
    )
    yield Figure(f"{name}: wall time", wall_s, "s", Target("at most", TARGET_S), note)
    for role, used_s in sorted(spent.items(), key=lambda item: -item[1]):
        yield Figure(f"{name}: CPU of {role}", used_s, "s")


def _watch(process: subprocess.Popen[str]) -> dict[str, float]:
    """Add up the CPU time of each kind of process until the demo ends. [s]"""
    demo, newest = psutil.Process(process.pid), dict[tuple[int, str], float]()
    while process.poll() is None:
        for each in _family(demo):
            try:
                times = each.cpu_times()
                newest[each.pid, _role(each, demo)] = times.user + times.system
            except psutil.NoSuchProcess:
                continue
        time.sleep(POLL_S)
    spent: dict[str, float] = defaultdict(float)
    for (_, role), used_s in newest.items():
        spent[role] += used_s
    return dict(spent)


def _family(demo: psutil.Process) -> list[psutil.Process]:
    try:
        return [demo, *demo.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _role(process: psutil.Process, demo: psutil.Process) -> str:
    if process.pid == demo.pid:
        return "simulation, then verification"
    command = " ".join(process.cmdline())
    if EDGE in command:
        return "edges"
    found = [role for words, role in ROLES.items() if words in command]
    return found[0] if found else "mosquitto" if "mosquitto" in command else "others"
