"""The hub as a process, and a node that says what a test signed: over a real broker."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt

from hub.link.arrivals import Arrival
from messages import cose, topics
from messages.entries import content_type, network_aad, parse_as
from messages.receipt import Receipt, Refusal
from messages.status import Beacon
from messages.trust import Trust
from tests.support.brokers import RunningBroker
from tests.support.hub_bench import MICROGRID, NODE

DEADLINE_S = 20.0
ROOT = Path(__file__).parents[2]


class Node:
    """A scripted node: it publishes what the bench signed and keeps what the hub answers."""

    def __init__(self, broker: RunningBroker, trust: Trust) -> None:
        self.trust = trust
        self.changed = threading.Condition()
        self.received: list[Any] = []
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=NODE)
        self.client.username_pw_set(NODE, broker.password_file(NODE).read_text().strip())
        self.client.reconnect_delay_set(1, 1)
        self.client.on_message = self._keep
        self.client.on_connect = self._subscribe
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _subscribe(self, *_arguments: object) -> None:
        self.client.subscribe(topics.all_down(MICROGRID, NODE), qos=1)

    def _keep(self, _c: object, _u: object, message: mqtt.MQTTMessage) -> None:
        envelope = cose.parse(bytes(message.payload))
        cose.verify(envelope, self.trust.hub_key, network_aad(self.trust.network_id))
        for kind in (Receipt, Refusal, Beacon):
            if envelope.content_type == content_type(kind.KIND):
                with self.changed:
                    self.received.append(parse_as(kind, envelope))
                    self.changed.notify_all()

    def publish(self, *arrivals: Arrival) -> None:
        for arrival in arrivals:
            topic = topics.up(MICROGRID, arrival.node, arrival.channel)
            self.client.publish(topic, arrival.raw, qos=1)

    def wait(self, what: Callable[[], Any], seconds: float = DEADLINE_S) -> Any:
        """Wait until `what` says something of all that was received."""
        with self.changed:
            assert self.changed.wait_for(lambda: what() is not None, seconds), self.received
            return what()

    def final_up_to(self, kid: bytes, stream: str = "register") -> int:
        """What is proven of a stream, by receipts whose proofs hold."""
        lines = [
            line
            for receipt in self.received
            if isinstance(receipt, Receipt)
            for line in receipt.streams
        ]
        return max((x.final_up_to for x in lines if (x.kid, x.stream) == (kid, stream)), default=0)

    def send_until_final(self, arrivals: list[Arrival], kid: bytes) -> None:
        """Send as an edge does: again and again, until all of it is proven."""
        deadline_s = time.monotonic() + DEADLINE_S
        while self.final_up_to(kid) < len(arrivals):
            assert time.monotonic() < deadline_s, self.received
            self.publish(*arrivals[self.final_up_to(kid) :])
            with self.changed:
                self.changed.wait_for(lambda: self.final_up_to(kid) >= len(arrivals), 1.0)


class Hub:
    """The hub's process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = (folder / "hub.log").open("ab")
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "hub.cli", "run", "-c", str(self.folder / "hub.toml")]
        return subprocess.Popen(command, cwd=ROOT, stderr=self.log, stdout=self.log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def restart(self) -> None:
        self.process = self._start()

    def log_text(self) -> str:
        return (self.folder / "hub.log").read_text()

    def wait_health(self, what: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline_s = time.monotonic() + DEADLINE_S
        while True:
            path = self.folder / "health.json"
            health = json.loads(path.read_text()) if path.exists() else {}
            if health.get("pid") == self.process.pid and what(health):
                assert isinstance(health, dict)
                return health
            assert self.process.poll() is None, self.log_text()
            assert time.monotonic() < deadline_s, (health, self.log_text())
            time.sleep(0.05)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "hub.cli", *arguments]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
