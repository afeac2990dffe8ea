"""A hub under load, and under ten times as much: T12, T13 and T21 of the test plan.

The hub and Mosquitto are processes; this test speaks for every node with its meters' keys, sends
again what has no receipt, as an edge does, and takes the time from a reading to its receipt.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import psutil
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from keys.file import load
from messages import cose, topics
from messages.entries import content_type, parse_as
from messages.publickey import Signer
from messages.reading import Reading, sign_reading
from messages.receipt import Receipt
from testbed.installation import Installation
from testbed.stage import HUB
from tests.faults.whole import hub_alone, installation, scenario
from tests.support.edge_node import wait_until
from tests.support.needs import needs

MICROGRID, SLOT_MS = "bench", 60_000
USUAL_HZ, OVERLOAD_HZ = 200, 2_000
RECEIPT_MS, JITTER_MS = 500, 200
SETTLE_S = 60.0
AGAIN_S = 2.0
CACHE_MB = 64  # of the ledger's database, which a young hub has yet to fill
GROWTH_MB_AN_HOUR = 1


@dataclass(slots=True)
class Meter:
    """One meter: its key, its node, and what of it has no receipt yet."""

    meter_id: str
    node: str
    signer: Signer
    count: int = 0
    waiting: deque[tuple[int, float, bytes]] = field(default_factory=deque)

    def next(self, start_ms: int) -> bytes:
        """Sign the next reading."""
        self.count += 1
        at_ms, total_uwh = start_ms + (self.count - 1) * SLOT_MS, self.count * 1_000
        reading = Reading(MICROGRID, self.meter_id, self.count, at_ms, total_uwh, 0)
        return sign_reading(self.signer, reading)


class Street:
    """Every node of an installation, spoken for by this process."""

    def __init__(self, made: Installation) -> None:
        self._start_ms = made.layout.start_ms
        self._lock = threading.Lock()
        self.latencies_ms: list[float] = []
        self.beacons_s: list[float] = []
        self.meters: dict[bytes, Meter] = {}
        self._first = made.layout.nodes[0].node
        self._clients = {node.node: self._client(made, node.node) for node in made.layout.nodes}
        for node in made.layout.nodes:
            for place in node.meters:
                signer = load(made.folder / "keys" / f"{place.meter_id}.pem")
                self.meters[signer.public.kid] = Meter(place.meter_id, node.node, signer)
        self._turn = cycle(self.meters.values())

    @property
    def waiting(self) -> int:
        """How many readings have no receipt."""
        with self._lock:
            return sum(len(meter.waiting) for meter in self.meters.values())

    def send_for(self, seconds: float, rate_hz: int) -> int:
        """Send so many readings a second for so long; return how many that were."""
        began_s, sent = time.monotonic(), 0
        while (passed_s := time.monotonic() - began_s) < seconds:
            while sent < passed_s * rate_hz:
                self._send(next(self._turn))
                sent += 1
            time.sleep(0.002)
        return sent

    def settle(self) -> None:
        """Send again what has no receipt until everything has one."""
        deadline_s = time.monotonic() + SETTLE_S
        while self.waiting:
            assert time.monotonic() < deadline_s, f"{self.waiting} readings have no receipt"
            again_s = time.monotonic() + AGAIN_S
            while self.waiting and time.monotonic() < again_s:
                time.sleep(0.01)
            with self._lock:
                late = [(meter, raw) for meter in self.meters.values() for *_, raw in meter.waiting]
            for meter, raw in late:
                self._publish(meter, raw)

    def close(self) -> None:
        """Hang up."""
        for client in self._clients.values():
            client.disconnect()
            client.loop_stop()

    def _send(self, meter: Meter) -> None:
        raw = meter.next(self._start_ms)
        with self._lock:
            meter.waiting.append((meter.count, time.monotonic(), raw))
        self._publish(meter, raw)

    def _publish(self, meter: Meter, raw: bytes) -> None:
        topic = topics.up(MICROGRID, meter.node, "register")
        self._clients[meter.node].publish(topic, raw, qos=1)

    def _client(self, made: Installation, node: str) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=node)
        client.username_pw_set(node, (made.folder / f"{node}.password").read_text().strip())
        client.max_inflight_messages_set(1_000)
        client.on_message = lambda _c, _u, message: self._hear(node, message)
        client.on_connect = lambda each, *_: each.subscribe(topics.all_down(MICROGRID, node), 1)
        client.connect("127.0.0.1", made.broker_port)
        client.loop_start()
        return client

    def _hear(self, node: str, message: Any) -> None:
        now_s = time.monotonic()
        if message.topic.endswith("/beacon") and node == self._first:
            self.beacons_s.append(now_s)
        if not message.topic.endswith("/receipt"):
            return
        envelope = cose.parse(message.payload, limit=65_535)
        if envelope.content_type != content_type(Receipt.KIND):
            return
        with self._lock:
            for line in parse_as(Receipt, envelope).streams:
                waiting = self.meters[line.kid].waiting if line.kid in self.meters else deque()
                while waiting and waiting[0][0] <= line.stored_up_to:
                    self.latencies_ms.append((now_s - waiting.popleft()[1]) * 1000)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a phase came to."""

    sent: int
    p99_ms: float
    jitter_ms: float
    grown_mb: float
    fds: int


@contextmanager
def street(folder: Path, members: int) -> Iterator[tuple[Street, psutil.Process]]:
    """Yield all nodes of a bench and its running hub."""
    needs("mosquitto")
    made = installation(folder, scenario(members, (0,), (60,), slots=1))
    with hub_alone(made, "mosquitto") as stage:
        wait_until((made.folder / "health.json").exists, 20, "the hub's health")
        told = Street(made)
        try:
            wait_until(lambda: len(told.beacons_s) > 1, 20, "beacons")
            told.send_for(2, USUAL_HZ)
            told.settle()
            yield told, psutil.Process(stage.supervisor.children[HUB].process.pid)
        finally:
            told.close()


def phase(told: Street, hub: psutil.Process, seconds: float, rate_hz: int) -> Measured:
    """Send at a rate for a while, wait for every receipt, and say what came of it."""
    before_mb, before_fds = hub.memory_info().rss / 1e6, hub.num_fds()
    told.latencies_ms.clear()
    told.beacons_s.clear()
    sent = told.send_for(seconds, rate_hz)
    told.settle()
    times = sorted(told.latencies_ms)
    jitter_ms = max(abs(b - a - 1.0) * 1000 for a, b in pairwise(told.beacons_s))
    found = Measured(
        sent=sent,
        p99_ms=times[len(times) * 99 // 100],
        jitter_ms=jitter_ms,
        grown_mb=hub.memory_info().rss / 1e6 - before_mb,
        fds=hub.num_fds() - before_fds,
    )
    print(
        f"{rate_hz} readings a second for {seconds:.0f} s: {found.sent} sent, {len(times)} with a "
        f"receipt, p99 {found.p99_ms:.0f} ms, beacons late by at most {found.jitter_ms:.0f} ms, "
        f"hub + {found.grown_mb:.1f} MB, {found.fds:+} descriptors"
    )
    assert len(times) == sent
    return found


SIZES = [
    pytest.param(10, 8, 4, id="10-nodes"),
    pytest.param(50, 600, 600, id="50-nodes", marks=[pytest.mark.torture]),
]


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(("members", "usual_s", "overload_s"), SIZES)
def test_load_and_ten_times_as_much(
    tmp_path: Path, members: int, usual_s: float, overload_s: float
) -> None:
    with street(tmp_path / "bench", members) as (told, hub):
        usual = phase(told, hub, usual_s, USUAL_HZ)
        overload = phase(told, hub, overload_s, OVERLOAD_HZ)
    assert usual.fds <= 0
    assert overload.fds <= 0
    if overload_s > 60:  # the short run is on whatever else the machine does
        assert usual.p99_ms <= RECEIPT_MS
        assert overload.jitter_ms <= JITTER_MS


@pytest.mark.torture
@pytest.mark.timeout(7_200)
def test_an_hour_of_twenty_readings_a_second(tmp_path: Path) -> None:
    with street(tmp_path / "bench", 10) as (told, hub):
        phase(told, hub, 60, 20)
        found = phase(told, hub, 3_600, 20)
    assert found.fds <= 0
    assert found.grown_mb <= CACHE_MB + GROWTH_MB_AN_HOUR
