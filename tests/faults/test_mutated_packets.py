"""Six thousand mutated MQTT packets: a broker serves on, and grows by little (T7 of the plan)."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from random import Random

import paho.mqtt.client as mqtt
import psutil
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from messages import topics
from tests.support.brokers import HOST, KINDS, RunningBroker, running_broker

SEED = 20_261_121
GROWTH_MB = 8
EVERY = 60  # packets between two honest messages
PACKETS = [
    pytest.param(6_000, id="6000"),
    pytest.param(100_000, id="100000", marks=[pytest.mark.torture, pytest.mark.timeout(3_600)]),
]
CONNECT = b"\x10\x16\x00\x04MQTT\x04\xc2\x00\x3c\x00\x02zz\x00\x02zz\x00\x02pw"
SUBSCRIBE = b"\x82\x10\x00\x01\x00\x0bgridtally/#\x01"
PUBLISH = b"\x33\x19\x00\x14gridtally/bench/a/up\x00\x02x"
CORPUS = (CONNECT, SUBSCRIBE, PUBLISH, b"\xc0\x00", b"\xe0\x00", b"\x40\x02\x00\x01")


class Honest:
    """A node that says something and a hub that hears it, through the same broker."""

    def __init__(self, broker: RunningBroker) -> None:
        self.topic = topics.up("bench", "n1", "register")
        self.heard: set[bytes] = set()
        self.hub = self._client(broker, "hub")
        self.hub.on_message = lambda _c, _u, message: self.heard.add(bytes(message.payload))
        self.hub.subscribe(topics.all_up("bench"), qos=1)
        self.node = self._client(broker, "n1")

    def is_served(self, payload: bytes, seconds: float = 10.0) -> bool:
        """Whether a message gets through."""
        deadline_s = time.monotonic() + seconds
        self.node.publish(self.topic, payload, qos=1)
        while payload not in self.heard and time.monotonic() < deadline_s:
            time.sleep(0.005)
        return payload in self.heard

    def close(self) -> None:
        for client in (self.node, self.hub):
            client.disconnect()
            client.loop_stop()

    def _client(self, broker: RunningBroker, user: str) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=user)
        client.username_pw_set(user, broker.password_file(user).read_text().strip())
        client.connect(HOST, broker.port)
        client.loop_start()
        return client


def mutated(random: Random) -> bytes:
    """Return one to three packets of which something is wrong."""
    raw = b"".join(random.choices(CORPUS, k=random.randint(1, 3)))
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(raw))
        kind = random.randrange(4)
        if kind == 0:
            raw = raw[:at] + bytes((random.randrange(256),)) + raw[at + 1 :]
        elif kind == 1:
            raw = raw[: at + 1]
        elif kind == 2:
            raw = raw[:at] + random.randbytes(random.randint(1, 200)) + raw[at:]
        else:
            raw = raw[:at] + b"\xff\xff\xff\x7f" + raw[at:]
    return raw


def send(port: int, raw: bytes) -> None:
    """Send a packet on a connection of its own, and hang up."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 5) as link:
        link.sendall(raw)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("packets", PACKETS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_honest_client_is_served_through_it(tmp_path: Path, kind: str, packets: int) -> None:
    random = Random(f"{SEED}/{kind}")
    with running_broker(kind, tmp_path, "bench", ("n1",)) as broker:
        honest = Honest(broker)
        try:
            assert honest.is_served(b"before", 20)
            process = psutil.Process(broker.supervisor.children["broker"].process.pid)
            before_mb = process.memory_info().rss / 1e6
            served = 0
            for number in range(packets):
                send(broker.port, mutated(random))
                if number % EVERY == 0:
                    served += honest.is_served(b"%d" % number)
            grown_mb = process.memory_info().rss / 1e6 - before_mb
        finally:
            honest.close()
        broker.supervisor.check()
    asked = len(range(0, packets, EVERY))
    print(
        f"{kind}, seed {SEED}: {packets} mutated packets, {served} of {asked} honest messages "
        f"served, grown by {grown_mb:.1f} MB"
    )
    assert served == asked
    assert grown_mb <= GROWTH_MB
