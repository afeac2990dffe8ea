"""A node on its own clock, which jumps while it measures (T17 of the test plan).

What it counts is held against the time that really passed: no jump adds, doubles or takes back
energy, and no message is lost or numbered twice.
"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from messages import cose
from messages.reading import Reading, parse_reading
from testbed.faults.clock import WrongClock
from tests.support.brokers import running_broker
from tests.support.edge_hub import FakeHub
from tests.support.edge_mqtt_hub import MqttHub, mqtt_hub
from tests.support.edge_node import node, wait_until
from tests.support.needs import needs

SEED = 20_261_121
SAMPLE_MS, SLOT_MS = 100, 1_000
POWER_MW = 3_600  # 300 mA at 12 V: one uWh a millisecond
UWH_PER_S = POWER_MW * 1_000 // 3_600
JUMPS_S = (1, 60, 3_600, 86_400, 365 * 86_400, 20 * 365 * 86_400)
JUMPS = [
    pytest.param(20, id="20-jumps"),
    pytest.param(200, id="200-jumps", marks=[pytest.mark.torture, pytest.mark.timeout(3_600)]),
]


def readings(link: MqttHub) -> list[Reading]:
    """Return what the hub stored, in the order of its numbers."""
    with link.lock:
        found = [
            parse_reading(cose.parse(raw))
            for (_, stream, _), raw in link.hub.raws.items()
            if stream == "register"
        ]
    return sorted(found, key=lambda reading: reading.sequence)


@pytest.mark.parametrize("jumps", JUMPS)
def test_no_jump_adds_or_takes_back_energy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jumps: int
) -> None:
    needs("gcc")
    random, hub, clock = Random(SEED), FakeHub(), WrongClock.right(tmp_path)
    with (
        running_broker("embedded", tmp_path / "broker", "bench", ("dep1",)) as broker,
        node(
            tmp_path / "node", port=broker.port, hub=hub, sample_ms=SAMPLE_MS, slot_ms=SLOT_MS
        ) as made,
        mqtt_hub(hub, broker.port, broker.password_file("hub")) as link,
    ):
        password = broker.password_file("dep1").read_text()
        (made.folder / "dep1.password").write_text(password)
        with monkeypatch.context() as preloaded:
            for name, value in clock.environment().items():
                preloaded.setenv(name, value)
            since_s = time.monotonic()
            agent = made.start("run")
        wait_until(lambda: len(readings(link)) >= 3, 30, "it measures")
        for _ in range(jumps):
            clock.jump(random.choice((-1, 1)) * random.choice(JUMPS_S))
            time.sleep(random.uniform(0.2, 0.6))
        clock.jump(0)
        seen = len(readings(link))
        wait_until(lambda: len(readings(link)) >= seen + 3, 30, "it goes on")
        assert agent.poll() is None
        found = readings(link)
        passed_s = time.monotonic() - since_s
    totals = [reading.import_uwh or 0 for reading in found]
    print(
        f"seed {SEED}: {jumps} jumps, {len(found)} readings in {passed_s:.0f} s, "
        f"{totals[-1]} uWh counted of at most {passed_s * UWH_PER_S:.0f}"
    )
    assert [reading.sequence for reading in found] == list(range(1, len(found) + 1))
    assert all(before <= after for before, after in pairwise(totals))
    assert totals[-1] <= passed_s * UWH_PER_S
    assert totals[-1] > 2 * SLOT_MS // 1_000 * UWH_PER_S
