"""The fake hub on a real broker: takes a node's messages in and answers with receipts."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from messages import cose, topics
from messages.entries import Ack, NodeEvent, parse_as, parse_entry
from messages.live import Live, parse_live
from messages.reading import parse_reading
from messages.status import Hello, Status
from messages.telemetry import parse_pack
from tests.support.edge_hub import FakeHub

BEACON_EVERY_S = 0.5


@dataclass
class MqttHub:
    """What came in is kept as it came; `is_answering` says whether receipts go out."""

    hub: FakeHub
    client: mqtt.Client
    is_answering: bool = True
    seals: bool = True
    lives: list[Live] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    hellos: list[Hello] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    beacons: list[bytes] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def take(self, leaf: str, raw: bytes) -> None:
        with self.lock:
            self.order.append(leaf)
            if not raw:
                return
            envelope = cose.parse(raw)
            if leaf == "live":
                self.lives.append(parse_live(envelope))
            elif leaf == "status":
                self.statuses.append(parse_as(Status, envelope))
            elif leaf == "hello":
                self.hellos.append(parse_as(Hello, envelope))
                self.answer()
            else:
                self._store(leaf, envelope)
                self.answer()

    def _store(self, leaf: str, envelope: cose.Envelope) -> None:
        stream, sequence = leaf, 0
        if leaf == "register":
            sequence = parse_reading(envelope).sequence
        elif leaf == "telemetry":
            sequence = parse_pack(envelope).sequence
        else:
            stream, entry = "event", parse_entry(envelope)
            assert isinstance(entry, NodeEvent)
            sequence = entry.event
            if isinstance(entry, Ack):
                self.acks.append(entry)
        is_new = self.hub.store(envelope.kid, stream, sequence, envelope.raw)
        if is_new and self.seals and stream == "telemetry":
            self.hub.seal()

    def answer(self) -> None:
        """Prove everything from what the newest hello still lacks."""
        if not self.is_answering:
            return
        first = {}
        if self.hellos:
            first = {(h.kid, h.stream): h.final_up_to + 1 for h in self.hellos[-1].heads}
        self.publish("receipt", self.hub.sign(self.hub.receipt(first)))

    def beacon(self) -> None:
        with self.lock:
            self.beacons.append(os.urandom(16))
            self.publish("beacon", self.hub.beacon(self.beacons[-1]))

    def lease(self, **changes: object) -> None:
        with self.lock:
            lease = self.hub.lease(self.statuses[-1].nonces[0], **changes)
            self.publish("lease", self.hub.sign(lease))

    def publish(self, leaf: str, raw: bytes) -> None:
        self.client.publish(topics.down("bench", self.hub.node, leaf), raw, qos=1)

    def stored(self, stream: str) -> list[tuple[bytes, int]]:
        with self.lock:
            return sorted((kid, n) for kid, name, n in self.hub.raws if name == stream)


@contextmanager
def mqtt_hub(hub: FakeHub, port: int, password_file: Path) -> Iterator[MqttHub]:
    """Yield the fake hub, connected as the user "hub", with a beacon twice a second."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="hub", clean_session=True)
    client.username_pw_set("hub", password_file.read_text().strip())
    client.reconnect_delay_set(0.2, 0.5)
    made = MqttHub(hub, client)
    subscribed, ended = threading.Event(), threading.Event()

    def on_connect(_, userdata, flags, code, properties):
        client.subscribe(topics.all_up("bench"), qos=1)

    def on_message(_, userdata, message):
        made.take(topics.parse(message.topic).leaf, bytes(message.payload))

    def beat():
        while not ended.wait(BEACON_EVERY_S):
            if client.is_connected():
                made.beacon()

    client.on_connect = on_connect
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.loop_start()
    beating = threading.Thread(target=beat)
    beating.start()
    try:
        assert subscribed.wait(10)
        yield made
    finally:
        ended.set()
        beating.join()
        client.disconnect()
        client.loop_stop()
