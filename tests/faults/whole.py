"""A whole simulated installation as real processes, without its page: small, and quick to start."""

from __future__ import annotations

import atexit
import itertools
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed.founding import found_microgrid
from testbed.installation import Installation, socket_folder
from testbed.layout import plan
from testbed.scenario import load_scenario
from testbed.stage import HUB, READY_S, Stage, staged
from testbed.supervisor import free_port
from tests.support.needs import needs

HEAD = """\
title = "A few members on a 12 V bench, for tests of faults"
microgrid = "bench"
start = "2026-06-21T00:00:00Z"
slots = {slots}
slot_ms = {slot_ms}
instant_ms = {instant_ms}
seed = 7

[bus]
voltage_mv = 12_500
buffer = {{ capacity_wh = 5_000, level_wh = 500, power_max_w = 350 }}
boundary = "dso"

[policy]
contract = "dep_balance"
dispatch = "dep"
parameters = {{ deficit = "curtail", surplus = "storage" }}
price = [{{ at = "00:00", utok_per_kwh = 200_000 }}]
feed_in = [{{ at = "00:00", utok_per_kwh = 80_000 }}]
"""
MEMBER = """
[[member]]
member = "dep{n}"
node = "dep{n}"
rated_w = 120
generation = {{ source = "slots", slots_w = {generation} }}
consumption = {{ source = "slots", slots_w = {consumption} }}

[[member.load]]
load = "fan"
power_w = 20
pin = 27

[[member.load]]
load = "heater"
power_w = 40
pin = 23
"""


def scenario(
    members: int,
    generation_w: tuple[int, ...],
    consumption_w: tuple[int, ...],
    *,
    slots: int,
    slot_ms: int = 60_000,
    instant_ms: int = 10_000,
) -> str:
    """Return a scenario file whose members all make and want the same in each slot."""
    numbers = {"generation": list(generation_w), "consumption": list(consumption_w)}
    tables = (MEMBER.format(n=n, **numbers) for n in range(1, members + 1))
    head = HEAD.format(slots=slots, slot_ms=slot_ms, instant_ms=instant_ms)
    return head + "".join(tables)


def installation(folder: Path, text: str) -> Installation:
    """Write a whole installation: configuration, keys, founded ledger."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "scenario.toml"
    file.write_text(text)
    ports = (free_port() for _ in itertools.count())
    layout = plan(load_scenario(str(file)), None, None).with_ports(ports)
    sockets = socket_folder(folder, layout)
    if sockets != folder:  # it has to outlive the run, as configurations name it; not this process
        atexit.register(shutil.rmtree, sockets, ignore_errors=True)
    made = Installation(folder, layout, free_port(), free_port(), sockets)
    found_microgrid(made)
    return made


@contextmanager
def running(
    made: Installation, broker: str, environment: Mapping[str, str] | None = None
) -> Iterator[Stage]:
    """Start broker, hub, guards and edges, and wait until all have joined the barrier.

    `environment` is set for hub and edges alone.
    """
    if broker == "mosquitto":
        needs("mosquitto")
    with staged(made, broker) as stage:
        nodes = made.layout.nodes
        ours = [stage._hub(), *(stage._edge(node) for node in nodes)]
        guards = [stage._guard(node) for node in nodes if node.relays]
        stage._up([stage._broker(), *guards])
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (environment or {}).items():
                patch.setenv(name, value)
            stage._up(ours)
        stage.clock.idle = stage.supervisor.check
        absent = stage.clock.wait_for([HUB, *(node.node for node in nodes)], READY_S)
        assert not absent, f"not at the barrier: {absent}"
        yield stage


@contextmanager
def hub_alone(made: Installation, broker: str) -> Iterator[Stage]:
    """Start broker and hub: whoever speaks as a node is the test's business."""
    with staged(made, broker) as stage:
        stage._up([stage._broker()])
        stage._up([stage._hub()])
        yield stage
